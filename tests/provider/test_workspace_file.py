from __future__ import annotations

import multiprocessing
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.workspace import ComputeTargetSpec, DatastoreSpec
from airflow_ml_pipelines.workspace_file import create_workspace_file, find_workspace_file, load_workspace

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(autouse=True)
def no_workspace_from_outside(monkeypatch):
    monkeypatch.delenv("ML_PIPELINES_WORKSPACE", raising=False)
    monkeypatch.delenv("ML_PIPELINES_CACHE", raising=False)


@pytest.fixture
def load(tmp_path):
    def write_and_load(text):
        (tmp_path / "workspace.yaml").write_text(text)
        return load_workspace(tmp_path)

    return write_and_load


@pytest.fixture
def problems(tmp_path, load):
    def of(text):
        with pytest.raises(WorkspaceError) as caught:
            load(text)
        return [line.removeprefix(f"{tmp_path}/workspace.yaml:") for line in str(caught.value).splitlines()]

    return of


FULL = """\
schema_version: 1
name: full
root: {url: state, options: {auto_mkdir: true}}
datastores:
  raw: ../raw
  lake:
    url: s3://bucket/lake
    connection: my_aws
  other: {url: "s3://b", options: {anon: false}, credentials: {key: "env:K"}}
default_datastore: raw
compute_targets:
  cpu: local
  big: {type: docker, image: "python:3.12"}
default_compute_target: cpu
amlcompute: docker
environments:
  sklearn: {python: "3.12", pip: [scikit-learn], conda: [pandas], channels: [conda-forge], variables: {A: "1"}}
  mine: {interpreter: /opt/python}
  plain: {}
lease_seconds: 30
cache_directory: cache
"""


def test_all_that_a_file_says_is_in_the_workspace(tmp_path, load):
    workspace = load(FULL)
    assert (workspace.name, workspace.file, workspace.lease_seconds) == (
        "full",
        tmp_path / "workspace.yaml",
        30,
    )
    assert workspace.root == DatastoreSpec("root", str(tmp_path / "state"), {"auto_mkdir": True})
    stores = workspace.datastores()
    assert set(stores) == {"raw", "lake", "other", "workspaceblobstore", "workspacefilestore"}
    assert stores["raw"].url == str(tmp_path.parent / "raw")
    assert stores["lake"] == DatastoreSpec("lake", "s3://bucket/lake", connection="my_aws")
    assert stores["other"] == DatastoreSpec("other", "s3://b", {"anon": False}, None, {"key": "env:K"})
    assert workspace.default_datastore == "raw"
    assert workspace.compute_target() == ComputeTargetSpec("cpu", "local")
    assert workspace.compute_target("big") == ComputeTargetSpec("big", "docker", {"image": "python:3.12"})
    assert workspace.compute_target("local") == ComputeTargetSpec("local", "local")
    assert workspace.aml_compute_kind == "docker"
    assert workspace.cache_directory == tmp_path / "cache"
    sklearn = workspace.environment("sklearn")
    assert (sklearn.name, sklearn.python, sklearn.user_managed) == ("sklearn", "3.12", False)
    assert (sklearn.pip, sklearn.conda, sklearn.conda_channels) == (
        ("scikit-learn",),
        ("pandas",),
        ("conda-forge",),
    )
    assert workspace.environment("mine").interpreter == "/opt/python"
    assert workspace.environment("plain").user_managed


def test_an_empty_file_is_a_workspace_named_after_its_folder(tmp_path, load):
    workspace = load("# nothing\n")
    assert workspace.name == tmp_path.name
    assert workspace.root.url == str(tmp_path / ".ml-pipelines")
    assert set(workspace.datastores()) == {"workspaceblobstore", "workspacefilestore"}


def test_datastores_lie_beside_the_file_wherever_the_process_is(tmp_path, load, monkeypatch):
    monkeypatch.chdir("/")
    load("datastores: {raw: data/raw}\n").datastore("raw").put("x", b"1")
    assert (tmp_path / "data" / "raw" / "x").exists()


# --- what is wrong -----------------------------------------------------------------------------------------------


def test_an_unknown_field_is_named_with_its_place_and_the_nearest(problems):
    assert problems("name: a\ndatastore: {}\n")[0].startswith(
        "2:1: datastore: unknown field. Did you mean 'datastores'?"
    )
    assert problems("datastores:\n  a:\n    urls: x\n    url: y\n")[0].startswith(
        "3:5: datastores.a.urls: unknown field. Did you mean 'url'? There are: connection, credentials, options, url."
    )
    assert "Did you mean 'python'?" in problems("environments: {e: {pyton: '3.12'}}\n")[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lease_seconds: soon", "1:16: lease_seconds: expected a number, found the text 'soon'"),
        ("lease_seconds: 0", "1:16: lease_seconds: expected at least 1, found the number 0"),
        ("name: 3", "1:7: name: expected text, found the number 3: put it in quotes"),
        ("name: ''", "1:7: name: expected some text, found the text ''"),
        ("datastores: [a]", "1:13: datastores: expected a mapping of names to values, found a list"),
        ("datastores: {a: }", "1:17: datastores.a: expected a mapping of fields to values, found nothing"),
        ("datastores: {a: {connection: c}}", "1:14: datastores.a: the field 'url' is missing"),
        ("environments: {e: {python: 3.10}}", "found the number 3.1: put it in quotes"),
        ("environments: {e: {user_managed: maybe}}", "expected true or false, found the text 'maybe'"),
        ("- a", "1:1: expected a mapping of fields to values, found a list"),
        ("compute_targets: {a: {image: x}}", "the field 'type' is missing"),
        ("1: 2", "1:1: [1]: expected a name, found the number 1"),
        ("default_datastore: raw", "1:20: default_datastore: there is no datastore 'raw' in this file."),
        (
            "default_compute_target: locl",
            "there is no compute target 'locl' in this file. Did you mean 'local'?",
        ),
        ("schema_version: 2", "1:17: schema_version: expected at most 1, found 2: it needs a newer version"),
        ("environments: {'a:1': {}}", "expected a name without ':'"),
        ("environments: {e: {user_managed: true, pip: [a]}}", "user_managed: true installs nothing"),
        ("environments: {e: {interpreter: /x, pip: [a]}}", "interpreter is for user_managed: true"),
    ],
)
def test_what_was_expected_and_found_is_said(problems, text, problem):
    found = problems(text)
    assert len(found) == 1
    assert problem in found[0]


def test_all_mistakes_are_said_at_once_in_their_order(problems):
    found = problems("lease_seconds: x\nnme: a\nname: 3\n")
    assert [line.split(":")[0] for line in found] == ["1", "2", "3"]


def test_a_key_that_is_there_twice_is_refused(problems):
    assert problems("datastores:\n  a: x\n  b: y\n  a: z\n") == [
        "4:3: the key 'a' is there already, at line 2: take one of them out"
    ]


@pytest.mark.parametrize(
    "text",
    ["a: [", "a: b: c", "\tx: 1", "a: *b", "? [1]\n: 2\n? {a: 1}\n: 3", "a: 2024-13-45", "--- a\n--- b"],
)
def test_what_is_no_yaml_says_where(problems, text):
    line, column, message = problems(text)[0].split(":", 2)
    assert int(line) >= 1
    assert int(column) >= 1
    assert message.strip()


def test_python_objects_are_not_made(problems, tmp_path):
    target = tmp_path / "made"
    assert "not YAML" in problems(f"name: !!python/object/apply:os.mkdir [{target}]")[0]
    assert not target.exists()


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_a_workspace_error(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "bytes"
    folder.mkdir(exist_ok=True)
    file = folder / "workspace.yaml"
    file.write_bytes(data)
    os.utime(file, ns=(0, hash(data) & 0xFFFFFFFFFFFF))
    message = str(file)
    try:
        load_workspace(file)
    except WorkspaceError as error:
        message = str(error)
    assert str(file) in message


@pytest.mark.parametrize(
    "text",
    [
        "root: s3://user:hunter2@bucket",
        "root: {url: x, options: {secret: hunter2}}",
        "datastores: {a: 's3://user:hunter2@bucket'}",
        "datastores: {a: {url: 's3://b', credentials: {secret: hunter2}}}",
        "datastores: {a: {url: 's3://b', credentials: hunter2}}",
        "datastores: {a: {url: 's3://b', options: hunter2}}",
        "datastores: {a: {url: [hunter2]}}",
        "environments: {e: {variables: {API_KEY: hunter2}}}",
        "environments: {e: {variables: hunter2}}",
        "environments: {e: {pip_options: ['--index-url https://u:hunter2@h/']}}",
        "compute_targets: {c: {type: databricks, access_token: hunter2}}",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(problems, text):
    found = problems(text)
    assert len(found) == 1
    assert found[0].startswith("1:")
    assert "hunter2" not in found[0]


# --- finding -----------------------------------------------------------------------------------------------------


def test_the_file_is_found_upwards_from_the_current_folder(tmp_path, load, monkeypatch):
    load("name: up\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert load_workspace().name == "up"
    assert find_workspace_file() == tmp_path / "workspace.yaml"
    assert find_workspace_file(tmp_path / "a") == tmp_path / "workspace.yaml"


def test_the_variable_comes_before_the_current_folder_and_a_path_before_the_variable(
    tmp_path, load, monkeypatch
):
    load("name: here\n")
    for name in ("variable", "path"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "workspace.yaml").write_text(f"name: {name}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ML_PIPELINES_WORKSPACE", str(tmp_path / "variable"))
    assert load_workspace().name == "variable"
    assert load_workspace(tmp_path / "path" / "workspace.yaml").name == "path"


def test_where_there_is_none_it_is_said_where_it_was_looked_for_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if find_workspace_file() is None:
        with pytest.raises(
            WorkspaceError, match=r"no workspace\.yaml in .* or above it.*Workspace\.create\("
        ):
            load_workspace()
    with pytest.raises(WorkspaceError, match=rf"no workspace file {tmp_path}/workspace\.yaml: give the path"):
        load_workspace(tmp_path)
    monkeypatch.setenv("ML_PIPELINES_WORKSPACE", "nowhere.yaml")
    with pytest.raises(WorkspaceError, match=r"nowhere\.yaml, which ML_PIPELINES_WORKSPACE names"):
        load_workspace()


def test_an_unchanged_file_is_read_once_and_a_changed_one_again(tmp_path, load):
    first = load("name: one\n")
    assert load_workspace(tmp_path / "workspace.yaml") is first
    assert load("name: other\n").name == "other"


# --- making ------------------------------------------------------------------------------------------------------


def test_a_new_workspace_can_be_used_and_is_never_committed(tmp_path):
    workspace = create_workspace_file(tmp_path / "new", "mine")
    assert workspace.name == "mine"
    workspace.datastore().put("x", b"1")
    assert (tmp_path / "new/.ml-pipelines/data/workspaceblobstore/x").exists()
    assert (tmp_path / "new/.ml-pipelines/.gitignore").read_text() == "*\n"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [".ml-pipelines", "workspace.yaml"]


@pytest.mark.parametrize("name", ["true", "3", "a: b", "ü 'x' \"y\"", "#a", "{name}", "no", "😀"])
def test_any_name_can_be_given(tmp_path, name):
    assert create_workspace_file(tmp_path, name).name == name


def test_what_is_commented_out_in_a_new_file_is_right_as_well(tmp_path, load):
    create_workspace_file(tmp_path, "mine")
    lines = (tmp_path / "workspace.yaml").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("# datastores:"))
    prose = ("# Environments", "# Credentials", "# Datastores")
    shown = [line.removeprefix("# ") if not line.startswith(prose) else line for line in lines[first:]]
    workspace = load("\n".join([*lines[:first], *shown]))
    assert set(workspace.datastores()) >= {"raw", "lake", "other"}
    assert workspace.environment("sklearn").python == "3.12"


def test_a_workspace_that_is_there_is_opened_only_if_asked_and_never_changed(tmp_path, load):
    load("name: mine\nroot: elsewhere\n")
    with pytest.raises(WorkspaceError, match="there is a workspace already"):
        create_workspace_file(tmp_path, "mine")
    assert create_workspace_file(tmp_path, "mine", exist_ok=True).root.url == str(tmp_path / "elsewhere")
    with pytest.raises(WorkspaceError, match="its name is 'mine', not 'other'"):
        create_workspace_file(tmp_path, "other", exist_ok=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["workspace.yaml"]


def test_a_name_has_no_line_breaks(tmp_path):
    with pytest.raises(WorkspaceError, match="expected a name"):
        create_workspace_file(tmp_path, "a\nroot: x")


def test_a_folder_that_can_not_be_made_is_a_workspace_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="no workspace can be made"):
        create_workspace_file(tmp_path / "file" / "new", "mine")


def create(folder, start, results):
    start.wait()
    try:
        results.put(create_workspace_file(folder, "mine").name)
    except WorkspaceError:
        results.put(None)


def test_of_several_that_make_it_at_once_one_does(tmp_path):
    start, results = SPAWN.Barrier(3), SPAWN.Queue()
    processes = [SPAWN.Process(target=create, args=(tmp_path / "new", start, results)) for _ in range(3)]
    for process in processes:
        process.start()
    assert sorted(str(results.get(timeout=60)) for _ in processes) == ["None", "None", "mine"]
    for process in processes:
        process.join()
