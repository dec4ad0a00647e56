"""A task's datastores take their credentials from Airflow, and never show them."""

from __future__ import annotations

import json

import pytest

from airflow_ml_pipelines._tasks import open_workspace
from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.stores.connections import find_connection, set_connection_source
from airflow_ml_pipelines.core.stores.obstore_store import ObstoreStore

# Airflow 3.1 warns of its own code when it reads a connection, and takes an error there for a connection that is none
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def source_of_the_process():
    yield
    set_connection_source(None)


@pytest.fixture
def workspace(tmp_path):
    def write(text):
        (tmp_path / "workspace.yaml").write_text(text)
        return open_workspace(str(tmp_path))

    return write


def test_a_datastore_is_opened_with_a_connection_that_airflow_knows(workspace, monkeypatch, s3):
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(s3.connection))
    found = workspace(f"datastores: {{lake: {{url: '{s3.bucket('lake')}/a', connection: lake}}}}\n")
    store = found.datastore("lake")
    assert isinstance(store, ObstoreStore)
    store.put("x", b"y")
    assert [info.path for info in store.walk()] == ["x"]


def test_a_connection_that_airflow_does_not_know_is_named(workspace):
    found = workspace("datastores: {lake: {url: 's3://b', connection: nobody_has_it}}\n")
    with pytest.raises(WorkspaceError, match="datastore 'lake': there is no connection 'nobody_has_it' here"):
        found.datastore("lake")


def test_an_extra_that_is_no_object_is_told_and_not_repeated(workspace, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_LAKE",
        json.dumps({"conn_type": "aws", "login": "a", "password": "b", "extra": '["hunter2"]'}),
    )
    found = workspace("datastores: {lake: {url: 's3://b', connection: lake}}\n")
    with pytest.raises(WorkspaceError, match="no JSON object|can't be read") as caught:
        found.datastore("lake")
    assert "hunter2" not in str(caught.value)


def test_every_field_of_a_connection_arrives(workspace, monkeypatch):
    workspace("")
    monkeypatch.setenv("AIRFLOW_CONN_DB", "postgres://u:p%40@h:5433/base?sslmode=require")
    found = find_connection("db", "here")
    assert (found.conn_type, found.login, found.password, found.host) == ("postgres", "u", "p@", "h")
    assert (found.port, found.schema, dict(found.extra)) == (5433, "base", {"sslmode": "require"})
