from __future__ import annotations

import pytest

from dag_factory import DataReference, Datastore, Workspace, WorkspaceError
from dag_factory._check import checked


def test_a_created_workspace_is_found_from_below(project):
    Workspace.create("shop", exist_ok=True, show_output=False)
    (project.folder / "deep/er").mkdir(parents=True)
    found = Workspace.from_config(project.folder)
    assert found.name == "shop"
    assert found.get_default_datastore().name == "workspaceblobstore"


def test_arguments_that_only_a_cloud_has_are_accepted(project):
    ws = Workspace.create(
        name="shop",
        subscription_id="s",
        resource_group="g",
        location="here",
        exist_ok=True,
        show_output=False,
    )
    assert ws.name == "shop"


def test_creating_twice_needs_exist_ok(ws):
    with pytest.raises(WorkspaceError, match="exist_ok=True"):
        Workspace.create("test")
    assert Workspace.create("test", exist_ok=True).name == "test"


def test_creating_another_one_in_the_same_folder_is_refused(ws):
    with pytest.raises(WorkspaceError, match="its name is 'test', not 'other'"):
        Workspace.create("other", exist_ok=True)


def test_from_config_says_what_to_do_where_there_is_none(project):
    with pytest.raises(WorkspaceError, match=r"workspace\.yaml"):
        Workspace.from_config(project.folder)


def test_datastores_are_found_by_name(ws):
    assert set(ws.datastores) == {"workspaceblobstore", "workspacefilestore"}
    assert Datastore(ws, "workspacefilestore").name == "workspacefilestore"
    assert Datastore.get_default(ws).name == Datastore(ws).name == "workspaceblobstore"


def test_an_unknown_datastore_is_named_with_the_nearest(ws):
    with pytest.raises(WorkspaceError, match="Did you mean 'workspaceblobstore'"):
        Datastore(ws, "workspaceblobstor")


def test_the_default_datastore_can_be_another(ws):
    ws.set_default_datastore("workspacefilestore")
    assert ws.get_default_datastore().name == "workspacefilestore"
    ws.set_default_datastore(Datastore(ws, "workspaceblobstore"))
    assert ws.get_default_datastore().name == "workspaceblobstore"


def test_a_registered_datastore_is_one_of_the_workspace(ws, tmp_path):
    Datastore.register(ws, "lake", str(tmp_path / "lake"))
    assert "lake" in ws.datastores
    assert Datastore.get(ws, "lake").store.local_path("") == tmp_path / "lake"


def test_files_are_uploaded_under_their_names(ws, project):
    project.write("data/a.txt", "a")
    project.write("data/sub/b.txt", "b")
    store = ws.get_default_datastore()
    reference = store.upload_files(["data/a.txt", "data/sub/b.txt"], target_path="x")
    assert isinstance(reference, DataReference)
    assert sorted(info.path for info in store.store.walk("x")) == ["x/a.txt", "x/sub/b.txt"]


def test_relative_root_says_what_is_kept_of_a_path(ws, project):
    project.write("data/sub/b.txt", "b")
    store = ws.get_default_datastore()
    store.upload_files(["data/sub/b.txt"], relative_root="data")
    assert [info.path for info in store.store.walk()] == ["sub/b.txt"]


def test_what_is_there_is_kept_unless_overwrite(ws, project, capsys):
    file = project.write("a.txt", "old")
    store = ws.get_default_datastore()
    store.upload_files(["a.txt"])
    file.write_text("new")
    store.upload_files(["a.txt"])
    assert store.store.get("a.txt") == b"old"
    assert "1 are there already" in capsys.readouterr().out
    store.upload_files(["a.txt"], overwrite=True)
    assert store.store.get("a.txt") == b"new"


def test_a_missing_file_is_named_before_anything_is_uploaded(ws, project):
    project.write("a.txt", "a")
    store = ws.get_default_datastore()
    with pytest.raises(Exception, match=r"no such file: gone\.txt"):
        store.upload_files(["a.txt", "gone.txt"])
    assert list(store.store.walk()) == []


def test_a_text_is_no_list_of_files(ws):
    with pytest.raises(TypeError, match=r"write \['a\.txt'\]"):
        ws.get_default_datastore().upload_files("a.txt")


def test_a_folder_goes_up_and_comes_down_again(ws, project, tmp_path):
    project.write("data/a.txt", "a")
    project.write("data/sub/b.txt", "b")
    store = ws.get_default_datastore()
    store.upload("data", target_path="kept", show_progress=False)
    assert store.download(tmp_path / "down", prefix="kept/sub") == 1
    assert (tmp_path / "down/kept/sub/b.txt").read_text() == "b"
    assert store.download(tmp_path / "down") == 1
    assert (tmp_path / "down/kept/a.txt").read_text() == "a"
    assert store.download(tmp_path / "down") == 0
    assert store.download(tmp_path / "down", overwrite=True) == 2


def test_one_file_can_be_downloaded_by_its_path(ws, project, tmp_path):
    project.write("a.txt", "a")
    store = ws.get_default_datastore()
    store.upload_files(["a.txt"], target_path="x")
    assert store.download(tmp_path, prefix="x/a.txt") == 1
    assert (tmp_path / "x/a.txt").read_text() == "a"


def test_uploads_to_a_store_elsewhere_work_as_well(ws, project, tmp_path):
    for number in range(20):
        project.write(f"data/{number}.txt", str(number))
    Datastore.register(ws, "there", "memory://authoring-upload")
    store = Datastore(ws, "there")
    store.upload("data", "x", show_progress=False)
    assert store.download(tmp_path / "down", show_progress=False) == 20
    assert (tmp_path / "down/x/7.txt").read_text() == "7"


def test_an_unknown_keyword_is_refused_with_the_one_that_was_meant(ws):
    with pytest.raises(
        TypeError, match=r"upload_files\(\) has no argument 'target_pat'.* Did you mean 'target_path'"
    ):
        ws.get_default_datastore().upload_files([], target_pat="x")


def test_checked_functions_keep_their_signature():
    import inspect

    @checked
    def function(a: int, *, b: int = 2) -> int:
        return a + b

    assert str(inspect.signature(function)) == "(a: 'int', *, b: 'int' = 2) -> 'int'"
    assert function(1, b=3) == 4
