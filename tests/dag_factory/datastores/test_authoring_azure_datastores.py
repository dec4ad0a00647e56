"""Datastores as the reference registers them, on the server that Microsoft publishes for tests."""

from __future__ import annotations

import os

import pytest

from dag_factory import Dataset, Datastore, DefinitionError, WorkspaceError

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("BLOB_KEY", KEY)
    return os.environ["BLOB_KEY"]


def register(ws, azurite, **changes):
    arguments = {
        "datastore_name": "blobs",
        "container_name": "container",
        "account_name": "devstoreaccount1",
        "endpoint": azurite.endpoint,
        **changes,
    }
    return Datastore.register_azure_blob_container(ws, **arguments)


def test_a_container_is_a_datastore(ws, azurite, key, project):
    azurite.bucket("container")
    store = register(ws, azurite, account_key=key)
    project.write("data/a.txt", "a")
    project.write("data/b/c.txt", "c")
    store.upload("data", "up", show_progress=False)
    assert Dataset.File.from_files((Datastore(ws, "blobs"), "up")).to_path() == ["/a.txt", "/b/c.txt"]
    assert store.download(project.folder / "got", "up", show_progress=False) == 2
    assert (project.folder / "got/up/b/c.txt").read_text() == "c"


def test_the_key_is_known_by_its_variable_and_not_stored(ws, azurite, key):
    azurite.bucket("container")
    register(ws, azurite, account_key=key)
    spec = ws.core.datastore_spec("blobs")
    assert dict(spec.credentials) == {"account_key": "env:BLOB_KEY"}
    store = ws.core.store
    assert not any(KEY.encode() in store.get(info.path) for info in store.walk())


def test_a_secret_that_no_variable_has_is_refused_and_not_repeated(ws, azurite):
    with pytest.raises(WorkspaceError, match=r"account_key=…\): secrets are never stored") as caught:
        register(ws, azurite, account_key="aHVudGVyMg==")
    assert "aHVudGVyMg" not in str(caught.value)
    assert "blobs" not in ws.datastores


def test_a_connection_has_the_credentials(ws, azurite, monkeypatch):
    azurite.bucket("container")
    text = f'{{"conn_type": "wasb", "login": "devstoreaccount1", "password": "{KEY}", "host": "{azurite.endpoint}"}}'
    monkeypatch.setenv("AIRFLOW_CONN_BLOBS", text)
    store = register(ws, azurite, connection="blobs", endpoint=None)
    store.store.put("x", b"y")
    assert store.store.get("x") == b"y"


def test_a_container_that_is_missing_is_told(ws, azurite, key):
    with pytest.raises(WorkspaceError, match=r"there is no container 'not-there'.*skip_validation=True"):
        register(ws, azurite, account_key=key, container_name="not-there")
    assert "blobs" not in ws.datastores
    assert (
        register(ws, azurite, account_key=key, container_name="not-there", skip_validation=True).name
        == "blobs"
    )


def test_a_name_that_is_taken_is_replaced_only_if_asked_for(ws, azurite, key):
    azurite.bucket("container")
    register(ws, azurite, account_key=key)
    assert register(ws, azurite, account_key=key).name == "blobs"
    with pytest.raises(WorkspaceError, match="there is another datastore 'blobs'"):
        register(ws, azurite, account_key=key, container_name="other", skip_validation=True)
    register(ws, azurite, account_key=key, container_name="other", skip_validation=True, overwrite=True)
    assert Datastore(ws, "blobs").url == "abfs://other"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"create_if_not_exists": True}, "make the container 'container' first"),
        ({"account_key": "env:A", "connection": "c"}, "not both"),
    ],
)
def test_what_can_not_be_is_told(ws, azurite, arguments, error):
    with pytest.raises(DefinitionError, match=error):
        register(ws, azurite, **arguments)


def test_a_data_lake_is_opened_by_a_service_principal(ws, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    store = Datastore.register_azure_data_lake_gen2(
        ws, "lake", "raw", "account", "tenant", "client", os.environ["SECRET"]
    )
    assert store.url == "abfs://raw@account.dfs.core.windows.net"
    spec = ws.core.datastore_spec("lake")
    assert dict(spec.options) == {"tenant_id": "tenant", "client_id": "client"}
    assert dict(spec.credentials) == {"client_secret": "env:SECRET"}


def test_a_share_is_the_folder_where_it_is_mounted(ws, tmp_path):
    store = Datastore.register_azure_file_share(ws, "share", "data", "account", mount_point=tmp_path)
    assert store.url == str(tmp_path)
    with pytest.raises(DefinitionError, match="give mount_point="):
        Datastore.register_azure_file_share(ws, "share", "data", "account")
    with pytest.raises(WorkspaceError, match="there is no folder"):
        Datastore.register_azure_file_share(ws, "s2", "data", "account", mount_point=tmp_path / "none")


def test_what_azure_has_ended_says_so(ws):
    with pytest.raises(DefinitionError, match="use register_azure_data_lake_gen2"):
        Datastore.register_azure_data_lake(ws, "lake", "store")
