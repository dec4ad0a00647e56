from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.errors import (
    ComputeTargetException,
    DocumentError,
    NewerDocumentError,
    WorkspaceError,
)
from airflow_ml_pipelines.core.spec import Data, EnvironmentSpec, Location
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.workspaces.workspace import (
    ComputeTargetSpec,
    DatastoreSpec,
    Workspace,
    default_cache_directory,
)

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def workspace(tmp_path):
    return Workspace.local(tmp_path / "root", "ws")


def data(path="a.csv"):
    return Data(locations=(Location(datastore="workspaceblobstore", path=path),))


def everything_in(workspace):
    return b"".join(workspace.store.get(info.path) for info in workspace.store.walk())


# --- datastores --------------------------------------------------------------------------------------------------


def test_a_new_workspace_has_its_two_datastores_under_the_root(workspace, tmp_path):
    assert set(workspace.datastores()) == {"workspaceblobstore", "workspacefilestore"}
    assert workspace.default_datastore == "workspaceblobstore"
    workspace.datastore().put("x", b"1")
    assert (tmp_path / "root" / "data" / "workspaceblobstore" / "x").read_bytes() == b"1"
    assert (
        workspace.datastore("workspacefilestore").local_path("") == tmp_path / "root/data/workspacefilestore"
    )


def test_opening_writes_nothing(workspace, tmp_path):
    workspace.datastore()
    workspace.datastores()
    assert workspace.default_datastore
    assert not (tmp_path / "root").exists()


def test_a_datastore_is_opened_once_even_by_many_threads(workspace):
    found = []
    threads = [threading.Thread(target=lambda: found.append(workspace.datastore())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(store) for store in found}) == 1


def test_a_registered_datastore_is_there_for_every_process_that_opens_the_workspace(workspace, tmp_path):
    workspace.register_datastore(
        DatastoreSpec("raw", str(tmp_path / "raw"), {"a": {"b": 1}}, "my_conn", {"k": "env:K"})
    )
    again = Workspace.local(tmp_path / "root")
    assert again.datastores()["raw"] == workspace.datastores()["raw"]
    assert again.datastores()["raw"].connection == "my_conn"


def test_a_datastore_that_another_process_registers_later_is_found(workspace, tmp_path):
    assert "raw" not in workspace.datastores()
    Workspace.local(tmp_path / "root").register_datastore(DatastoreSpec("raw", str(tmp_path / "raw")))
    workspace.datastore("raw").put("x", b"1")
    assert (tmp_path / "raw" / "x").exists()


def test_a_local_path_is_kept_absolute(workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert workspace.register_datastore(DatastoreSpec("raw", "raw")).url == str(tmp_path / "raw")


def test_a_registered_datastore_can_be_replaced(workspace, tmp_path):
    workspace.register_datastore(DatastoreSpec("raw", str(tmp_path / "a")))
    first = workspace.datastore("raw")
    workspace.register_datastore(DatastoreSpec("raw", str(tmp_path / "b")))
    assert workspace.datastore("raw").url != first.url


def test_a_datastore_of_the_workspace_itself_is_not_replaced(workspace, tmp_path):
    with pytest.raises(WorkspaceError, match="take another name"):
        workspace.register_datastore(DatastoreSpec("workspaceblobstore", str(tmp_path / "other")))


def test_registering_what_is_fixed_as_it_is_does_nothing(workspace):
    fixed = workspace.datastores()["workspaceblobstore"]
    assert workspace.register_datastore(fixed) == fixed
    assert list(workspace.store.walk()) == []


def test_an_unknown_datastore_is_an_error_that_names_the_near_and_the_known(workspace):
    with pytest.raises(
        WorkspaceError, match=r"'workspaceblobstor' in workspace 'ws'.* Did you mean 'workspaceblobstore'\?"
    ):
        workspace.datastore("workspaceblobstor")


def test_the_default_datastore_is_set_for_all(workspace, tmp_path):
    workspace.register_datastore(DatastoreSpec("raw", str(tmp_path / "raw")))
    workspace.set_default_datastore("raw")
    assert workspace.default_datastore == "raw"
    assert Workspace.local(tmp_path / "root").datastore().local_path("") == tmp_path / "raw"
    with pytest.raises(WorkspaceError, match="no datastore 'ra'"):
        workspace.set_default_datastore("ra")


def test_a_default_that_the_file_sets_is_not_changed_by_code(tmp_path):
    workspace = Workspace("ws", tmp_path, default_datastore="workspacefilestore")
    workspace.set_default_datastore("workspacefilestore")
    with pytest.raises(WorkspaceError, match="default_datastore: workspacefilestore"):
        workspace.set_default_datastore("workspaceblobstore")
    assert workspace.default_datastore == "workspacefilestore"


def test_unknown_defaults_are_errors(tmp_path):
    with pytest.raises(WorkspaceError, match="default datastore 'x'"):
        Workspace("ws", tmp_path, default_datastore="x")
    with pytest.raises(WorkspaceError, match="default compute target 'x'"):
        Workspace("ws", tmp_path, default_compute_target="x")


def test_a_workspace_in_memory_works():
    workspace = Workspace("ws", f"memory://workspace-{threading.get_ident()}")
    assert workspace.register_dataset("d", data()).version == 1
    assert workspace.register_dataset("d", data("b")).version == 2
    workspace.datastore().put("x", b"1")
    assert workspace.datastore().get("x") == b"1"
    assert workspace.datasets()["d"].version == 2


def test_a_store_is_opened_by_its_url_with_what_its_datastore_says(tmp_path, monkeypatch):
    url = f"memory://by-url-{threading.get_ident()}"
    monkeypatch.setenv("SOME_KEY", "1")
    workspace = Workspace("ws", tmp_path, datastores=[DatastoreSpec("m", url)])
    assert workspace.open_url(url) is workspace.datastore("m")
    assert workspace.open_url(workspace.datastore("m").url) is workspace.datastore("m")
    assert workspace.open_url(workspace.store.url) is workspace.store
    assert workspace.open_url(workspace.datastore().url) is workspace.datastore()
    assert isinstance(workspace.open_url(str(tmp_path / "elsewhere")), LocalStore)


def test_a_datastores_url_is_told_without_opening_it(tmp_path):
    unknown = DatastoreSpec("m", "nosuch://x/y", credentials={"secret": "env:NO_SUCH_SECRET"})
    workspace = Workspace("ws", tmp_path, datastores=[unknown])
    assert workspace.datastore_url("m") == "nosuch://x/y"
    assert workspace.datastore_url() == workspace.datastore().url
    with pytest.raises(WorkspaceError, match="no datastore 'n'"):
        workspace.datastore_url("n")


def test_a_credential_that_is_not_set_is_named_when_the_store_is_opened(tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    workspace = Workspace(
        "ws",
        tmp_path,
        datastores=[DatastoreSpec("m", "memory://x", credentials={"secret": "env:NO_SUCH_SECRET"})],
    )
    with pytest.raises(
        WorkspaceError, match=r"datastore 'm', secret: the environment variable NO_SUCH_SECRET is not set"
    ):
        workspace.datastore("m")


def test_a_url_that_no_file_system_knows_is_a_workspace_error(tmp_path):
    workspace = Workspace("ws", tmp_path, datastores=[DatastoreSpec("m", "nosuch://x")])
    with pytest.raises(WorkspaceError, match=r"datastore 'm' can't be opened: .*nosuch"):
        workspace.datastore("m")


@pytest.mark.parametrize(
    "spec",
    [
        DatastoreSpec("raw", "s3://user:hunter2@bucket/x"),
        DatastoreSpec("raw", "https://hunter2@host/x"),
        DatastoreSpec("raw", "https://account.blob.core.windows.net/c?sv=1&sig=hunter2"),
        DatastoreSpec("raw", "s3://b", {"secret": "hunter2"}),
        DatastoreSpec("raw", "s3://b", {"client_kwargs": {"aws_session_token": "hunter2"}}),
        DatastoreSpec("raw", "abfs://c", {"account_key": "hunter2"}),
        DatastoreSpec("raw", "s3://b", credentials={"secret": "hunter2"}),
    ],
)
def test_a_secret_is_refused_and_never_written_nor_repeated(workspace, spec):
    with pytest.raises(WorkspaceError, match="secrets are never stored") as caught:
        workspace.register_datastore(spec)
    assert "hunter2" not in str(caught.value)
    assert "env:" in str(caught.value)
    assert everything_in(workspace) == b""


# --- compute targets ---------------------------------------------------------------------------------------------


def test_the_local_compute_target_is_always_there_and_is_the_default(workspace):
    assert workspace.compute_target() == ComputeTargetSpec("local", "local")


def test_a_registered_compute_target_is_found_by_all(workspace, tmp_path):
    spec = ComputeTargetSpec("cpu", "local", {"max_nodes": 4})
    workspace.register_compute_target(spec)
    assert Workspace.local(tmp_path / "root").compute_target("cpu") == spec
    assert set(workspace.compute_targets()) == {"local", "cpu"}
    workspace.unregister_compute_target("cpu")
    assert set(workspace.compute_targets()) == {"local"}
    for name, reason in (("cpu", "it was not registered"), ("local", "says that there is one")):
        with pytest.raises(ComputeTargetException, match=f"can't be unregistered: .*{reason}"):
            workspace.unregister_compute_target(name)


def test_an_unknown_compute_target_is_the_error_of_the_reference(workspace):
    with pytest.raises(ComputeTargetException, match=r"no compute target 'locl' .* Did you mean 'local'\?"):
        workspace.compute_target("locl")


def test_a_compute_target_with_a_secret_is_refused(workspace):
    with pytest.raises(WorkspaceError, match="'access_token' looks like a secret") as caught:
        workspace.register_compute_target(ComputeTargetSpec("db", "databricks", {"access_token": "hunter2"}))
    assert "hunter2" not in str(caught.value)
    assert everything_in(workspace) == b""


def test_a_compute_target_of_the_file_is_not_replaced(tmp_path):
    workspace = Workspace("ws", tmp_path, compute_targets=[ComputeTargetSpec("gpu", "docker")])
    assert workspace.compute_target("gpu").type == "docker"
    with pytest.raises(ComputeTargetException, match="take another name"):
        workspace.register_compute_target(ComputeTargetSpec("gpu", "local"))


# --- environments ------------------------------------------------------------------------------------------------


def sklearn(*pip):
    return EnvironmentSpec(name="sklearn", user_managed=False, pip=pip)


def test_environments_get_versions_and_equal_ones_share_one(workspace):
    assert workspace.register_environment(sklearn("a")).version == "1"
    assert workspace.register_environment(sklearn("a")).version == "1"
    assert workspace.register_environment(sklearn("b")).version == "2"
    assert workspace.register_environment(sklearn("a")).version == "3"
    assert workspace.environment("sklearn").pip == ("a",)
    assert workspace.environment("sklearn", 2).pip == ("b",)
    assert workspace.environment("sklearn", "2") == workspace.environment("sklearn:2")
    assert workspace.environment("sklearn:latest").version == "3"
    assert workspace.environments()["sklearn"].version == "3"


def test_unknown_environments_and_versions_are_errors(workspace):
    workspace.register_environment(sklearn("a"))
    with pytest.raises(WorkspaceError, match=r"no environment 'sklern' .* Did you mean 'sklearn'\?"):
        workspace.environment("sklern")
    with pytest.raises(WorkspaceError, match=r"environment 'sklearn' .* has no version 7\. There are: 1"):
        workspace.environment("sklearn", 7)


def test_a_curated_environment_is_the_interpreter_that_runs_the_pipeline(workspace):
    spec = workspace.environment("AzureML-Tutorial")
    assert (spec.name, spec.user_managed, spec.interpreter) == ("AzureML-Tutorial", True, "python")
    workspace.register_environment(EnvironmentSpec(name="AzureML-Tutorial", user_managed=False, pip=("a",)))
    assert workspace.environment("AzureML-Tutorial").pip == ("a",)


def test_an_environment_of_the_file_comes_first(tmp_path):
    workspace = Workspace("ws", tmp_path, environments=[sklearn("a")])
    assert workspace.environment("sklearn").pip == ("a",)
    with pytest.raises(WorkspaceError, match="without versions"):
        workspace.environment("sklearn", "1")
    with pytest.raises(WorkspaceError, match="take another name"):
        workspace.register_environment(sklearn("b"))


@pytest.mark.parametrize(
    "spec",
    [
        EnvironmentSpec(name="e", variables={"API_KEY": "hunter2"}),
        EnvironmentSpec(name="e", variables={"DB_PASSWORD": "hunter2"}),
        EnvironmentSpec(name="e", pip_options=("--index-url https://me:hunter2@host/simple",)),
        EnvironmentSpec(name="e", pip=("--extra-index-url=https://hunter2@host/simple",)),
        EnvironmentSpec(name="e", pip=("x @ git+https://hunter2@github.com/a/b",)),
    ],
)
def test_an_environment_with_a_secret_is_refused(workspace, spec):
    with pytest.raises(WorkspaceError, match="secrets are never stored") as caught:
        workspace.register_environment(spec)
    assert "hunter2" not in str(caught.value)
    assert everything_in(workspace) == b""


@pytest.mark.parametrize(
    "spec",
    [
        EnvironmentSpec(
            name="e", variables={"API_KEY": "env:MY_KEY", "TOKENIZERS_PARALLELISM": "false", "SORT_KEY": "a"}
        ),
        EnvironmentSpec(name="e", pip_options=("--index-url https://${USER}:${PASSWORD}@host/simple",)),
        EnvironmentSpec(name="e", pip=("x @ git+ssh://git@github.com/a/b", "y @ https://host/y.whl")),
    ],
)
def test_an_environment_that_names_its_secrets_is_kept(workspace, spec):
    assert workspace.register_environment(spec).version == "1"


@pytest.mark.parametrize("name", ["", "a:1"])
def test_an_environment_needs_a_name(workspace, name):
    with pytest.raises(WorkspaceError, match="needs a name"):
        workspace.register_environment(EnvironmentSpec(name=name))


# --- datasets ----------------------------------------------------------------------------------------------------


def test_datasets_get_versions_and_equal_ones_share_one(workspace):
    first = workspace.register_dataset("iris", data(), "d1", "what it is", {"a": "b"})
    assert (first.version, first.description, first.tags) == (1, "what it is", {"a": "b"})
    assert workspace.register_dataset("iris", data(), "d1") == first
    assert workspace.register_dataset("iris", data(), "d2").version == 2
    assert workspace.register_dataset("iris", data("b.csv"), "d2").version == 3
    assert workspace.dataset("iris").version == 3
    assert workspace.dataset("iris", 1) == first
    assert workspace.dataset("iris", "latest").version == 3
    assert workspace.dataset_versions("iris") == [1, 2, 3]
    assert workspace.datasets()["iris"].version == 3


def test_names_with_any_letters_stay_apart(workspace):
    names = ["a b", "a/b", "a-b", "ä", "..", "a:b", "A B"]
    for name in names:
        assert workspace.register_dataset(name, data(name)).version == 1
    assert set(workspace.datasets()) == set(names)
    assert all(workspace.dataset(name).data == data(name) for name in names)


def test_unknown_datasets_and_versions_are_errors(workspace):
    with pytest.raises(WorkspaceError, match=r"no dataset 'iris' in workspace 'ws' .* There are none"):
        workspace.dataset("iris")
    workspace.register_dataset("iris", data())
    with pytest.raises(WorkspaceError, match=r"has no version 2\. There are: 1"):
        workspace.dataset("iris", 2)


def test_a_dataset_with_a_signed_url_is_refused(workspace):
    signed = Data(locations=(Location(path="https://host/a.csv?X-Amz-Signature=hunter2"),))
    with pytest.raises(WorkspaceError, match="secrets are never stored") as caught:
        workspace.register_dataset("iris", signed)
    assert "hunter2" not in str(caught.value)


def test_a_version_that_a_newer_package_wrote_is_named_and_not_written_over(workspace):
    workspace.store.put("datasets/iris/1.json", b'{"schema": 99}')
    with pytest.raises(NewerDocumentError, match=r"datasets/iris/1\.json has schema 99"):
        workspace.dataset("iris")
    assert workspace.datasets() == {}
    assert workspace.register_dataset("iris", data()).version == 2
    assert workspace.store.get("datasets/iris/1.json") == b'{"schema": 99}'


def test_a_damaged_version_is_named(workspace):
    workspace.store.put("datasets/iris/1.json", b'{"schema": 1')
    with pytest.raises(DocumentError, match=r"datasets/iris/1\.json is no JSON document"):
        workspace.dataset("iris")


def test_what_else_lies_in_the_folders_does_no_harm(workspace):
    for path in (
        "datasets/iris/notes.txt",
        "datasets/iris/x.json",
        "datasets/.DS_Store",
        "datastores/x.json",
    ):
        workspace.store.put(path, b"x")
    assert workspace.register_dataset("iris", data()).version == 1
    assert set(workspace.datastores()) == {"workspaceblobstore", "workspacefilestore"}


def register(root, start, results, mine):
    workspace = Workspace.local(root)
    start.wait()
    for number in range(15):
        own = workspace.register_dataset("own", data(f"{mine}-{number}")).version
        shared = workspace.register_environment(sklearn(f"{number}")).version
        results.put((own, int(shared)))


def test_processes_that_register_at_once_neither_lose_nor_double_a_version(tmp_path):
    start, results = SPAWN.Barrier(3), SPAWN.Queue()
    processes = [SPAWN.Process(target=register, args=(tmp_path, start, results, mine)) for mine in range(3)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in range(45)]
    for process in processes:
        process.join()
    assert sorted(own for own, _ in found) == list(range(1, 46))
    workspace = Workspace.local(tmp_path)
    paths = {workspace.dataset("own", version).data.locations[0].path for version in range(1, 46)}
    assert paths == {f"{mine}-{number}" for mine in range(3) for number in range(15)}
    versions = registered_versions(tmp_path)
    assert versions == list(range(1, len(versions) + 1))
    assert {shared for _, shared in found} == set(versions)


def registered_versions(root):
    return sorted(int(path.stem) for path in (Path(root) / "environments" / "sklearn").glob("*.json"))


def test_the_cache_directory_is_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    assert default_cache_directory() == tmp_path / "cache"
    assert Workspace.local(tmp_path).cache_directory == tmp_path / "cache"
    monkeypatch.delenv("ML_PIPELINES_CACHE")
    assert default_cache_directory() == Path.home() / ".cache" / "ml-pipelines"


def test_the_stat_cache_is_one(workspace):
    assert workspace.stat_cache is workspace.stat_cache


def test_nothing_shown_of_a_workspace_has_a_secret(tmp_path):
    workspace = Workspace("ws", DatastoreSpec("root", str(tmp_path), credentials={"secret": "env:X"}))
    assert repr(workspace) == f"Workspace('ws', '{tmp_path}')"
