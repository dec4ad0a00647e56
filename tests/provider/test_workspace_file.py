from __future__ import annotations

import multiprocessing
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec, DatastoreSpec
from airflow_ml_pipelines.workspace_file import create_workspace_file, find_workspace_file, load_workspace
from airflow_ml_pipelines.workspace_model import WorkspaceFile

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


# --- what is wrong (tests/broken has what each mistake is told) ---------------------------------------------------


def test_all_mistakes_are_said_at_once_each_with_its_line(tmp_path, load):
    with pytest.raises(WorkspaceError) as caught:
        load("lease_seconds: x\nnme: a\n")
    file = tmp_path / "workspace.yaml"
    assert str(caught.value).splitlines() == [
        f"{file}:1:16: lease_seconds: expected a number, found the text 'x'",
        "  1 | lease_seconds: x",
        "    |                ^",
        f"{file}:2:1: nme: unknown field. Did you mean 'name'? There are: {', '.join(sorted(WorkspaceFile.model_fields))}.",
        "  2 | nme: a",
        "    | ^^^",
    ]


def test_no_python_objects_are_made(tmp_path, load):
    target = tmp_path / "made"
    with pytest.raises(WorkspaceError):
        load(f"name: !!python/object/apply:os.mkdir [{target}]")
    assert not target.exists()


def test_room_for_anchors_is_not_read(load):
    workspace = load("x-store: &store {options: {anon: true}}\ndatastores: {a: {<<: *store, url: s3://b}}\n")
    assert workspace.datastores()["a"].options == {"anon": True}


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


def test_a_new_workspace_may_have_its_root_elsewhere(tmp_path, monkeypatch):
    elsewhere = create_workspace_file(tmp_path / "a", "a", root=str(tmp_path / "root"))
    assert elsewhere.root.url == str(tmp_path / "root")
    assert os.listdir(tmp_path / "a") == ["workspace.yaml"]
    monkeypatch.setenv("ML_PIPELINES_ROOT", "{url: 's3://bucket/x', connection: mine}")
    told = create_workspace_file(tmp_path / "b", "b").root
    assert (told.url, told.connection) == ("s3://bucket/x", "mine")
    monkeypatch.setenv("ML_PIPELINES_ROOT", "s3://bucket/y")
    assert create_workspace_file(tmp_path / "c", "c").root.url == "s3://bucket/y"


@pytest.mark.parametrize(
    ("root", "error"),
    [
        ("{url: x, conection: y}", "root.conection"),
        ("[1]", "expected a URL, a path, or"),
        ("{", "ML_PIPELINES_ROOT: expected"),
        ("s3://user:hunter2@bucket", "has a secret in it"),
        ("{url: 's3://b', options: {secret: hunter2}}", "looks like a secret"),
    ],
)
def test_a_root_that_is_wrong_makes_no_file(tmp_path, monkeypatch, root, error):
    monkeypatch.setenv("ML_PIPELINES_ROOT", root)
    with pytest.raises(WorkspaceError, match=error) as caught:
        create_workspace_file(tmp_path / "a", "a")
    assert "hunter2" not in str(caught.value)
    assert not (tmp_path / "a").exists()
