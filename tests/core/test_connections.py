from __future__ import annotations

import json

import pytest

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.stores.connections import Connection, connection_options, set_connection_source


@pytest.fixture
def connection(monkeypatch):
    def set_connection(text):
        monkeypatch.setenv("AIRFLOW_CONN_C", text if isinstance(text, str) else json.dumps(text))
        return connection_options("c", "datastore 'd'")

    return set_connection


def test_a_connection_that_is_not_there_says_how_to_give_it(monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_C", raising=False)
    with pytest.raises(
        WorkspaceError, match=r"datastore 'd': there is no connection 'c' here: set AIRFLOW_CONN_C"
    ):
        connection_options("c", "datastore 'd'")


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "{hunter2",
        "[1]",
        '{"extra": "hunter2"}',
        "aws://u:hunter2@h:port",
        '{"conn_type": "aws", "extra": "[\\"hunter2\\"]"}',
    ],
)
def test_a_connection_that_can_not_be_read_is_not_repeated(connection, text):
    with pytest.raises(WorkspaceError, match="AIRFLOW_CONN_C can't be read") as caught:
        connection(text)
    assert "hunter2" not in str(caught.value)


def test_an_s3_connection_as_uri_and_as_json(connection):
    options = {
        "key": "AK",
        "secret": "S/K",
        "endpoint_url": "http://h:9000",
        "client_kwargs": {"region_name": "eu"},
    }
    assert connection("aws://AK:S%2FK@/?endpoint_url=http%3A%2F%2Fh%3A9000&region_name=eu") == options
    extra = {"endpoint_url": "http://h:9000", "region_name": "eu"}
    assert connection({"conn_type": "aws", "login": "AK", "password": "S/K", "extra": extra}) == options
    assert (
        connection({"conn_type": "aws", "login": "AK", "password": "S/K", "extra": json.dumps(extra)})
        == options
    )


def test_azure_connections_with_a_key_and_with_a_service_principal(connection):
    assert connection({"conn_type": "wasb", "login": "acc", "password": "K"}) == {
        "account_name": "acc",
        "account_key": "K",
    }
    assert connection(
        {
            "conn_type": "wasb",
            "host": "https://acc.blob.core.windows.net",
            "login": "id",
            "password": "P",
            "extra": {"extra__wasb__tenant_id": "T"},
        }
    ) == {"account_name": "acc", "tenant_id": "T", "client_id": "id", "client_secret": "P"}


def test_google_connections(connection):
    key = {"type": "service_account"}
    assert connection(
        {
            "conn_type": "google_cloud_platform",
            "extra": {"keyfile_dict": json.dumps(key), "project": "p", "endpoint_url": "http://localhost:1"},
        }
    ) == {
        "token": key,
        "project": "p",
        "endpoint_url": "http://localhost:1",
    }


def test_sftp_and_unknown_connections(connection):
    assert connection("sftp://u:p@h:2222") == {"host": "h", "port": 2222, "username": "u", "password": "p"}
    assert connection({"conn_type": "generic", "extra": {"anything": 1}}) == {"anything": 1}


def test_a_connections_repr_has_no_secret():
    assert "hunter2" not in repr(Connection("aws", login="a", password="hunter2", extra={"token": "hunter2"}))


def test_airflow_can_be_the_source():
    set_connection_source(lambda name: Connection("aws", login=name, password="p"))
    try:
        assert connection_options("mine", "datastore 'd'") == {"key": "mine", "secret": "p"}
    finally:
        set_connection_source(None)


MISSING = [
    ({"conn_type": "aws", "login": "AK"}, r"the secret access key \(password\)"),
    ({"conn_type": "aws", "password": "hunter2"}, r"the access key id \(login\)"),
    ({"conn_type": "aws", "extra": {"role_arn": "arn:x"}}, "'role_arn' is not supported"),
    ({"conn_type": "wasb"}, r"the storage account \(login\)"),
    ({"conn_type": "wasb", "login": "acc"}, r"the account's key \(password\), a shared access signature"),
    (
        {"conn_type": "wasb", "login": "id", "extra": {"tenant_id": "t"}},
        "the secret of the service principal",
    ),
    (
        {"conn_type": "adls", "password": "hunter2", "extra": {"tenant_id": "t"}},
        "the client id of the service",
    ),
    ({"conn_type": "sftp", "login": "u", "password": "hunter2"}, "the host"),
    ({"conn_type": "gcs", "extra": {"keyfile_dict": "hunter2"}}, "'keyfile_dict' is no JSON"),
]


@pytest.mark.parametrize(("document", "lacks"), MISSING)
def test_a_connection_that_lacks_a_field_says_which(connection, document, lacks):
    kind = document["conn_type"]
    with pytest.raises(
        WorkspaceError, match=f"datastore 'd': connection 'c' of type '{kind}' lacks .*{lacks}"
    ) as e:
        connection(document)
    assert "hunter2" not in str(e.value)


@pytest.mark.parametrize(
    ("document", "options"),
    [
        (
            {"conn_type": "wasb", "extra": {"connection_string": "AccountName=a"}},
            {"connection_string": "AccountName=a"},
        ),
        (
            {"conn_type": "wasb", "login": "a", "extra": {"sas_token": "?sv=1"}},
            {"account_name": "a", "sas_token": "?sv=1"},
        ),
        (
            {"conn_type": "wasb", "login": "a", "password": "k", "host": "http://127.0.0.1:10000/a"},
            {"account_name": "a", "account_key": "k", "account_host": "http://127.0.0.1:10000/a"},
        ),
        (
            {"conn_type": "aws", "extra": {"service_config": {"s3": {"endpoint_url": "http://h"}}}},
            {"endpoint_url": "http://h"},
        ),
        ({"conn_type": "aws", "extra": {"profile_name": "p"}}, {"profile": "p"}),
        (
            {"conn_type": "http", "password": "t"},
            {"client_kwargs": {"headers": {"Authorization": "Bearer t"}}},
        ),
        (
            {"conn_type": "http", "login": "u", "password": "p", "extra": {"X-A": "1"}},
            {"client_kwargs": {"headers": {"X-A": "1", "Authorization": "Basic dTpw"}}},
        ),
    ],
)
def test_connections_are_options(connection, document, options):
    assert connection(document) == options


def test_a_connection_for_another_kind_of_store_is_refused(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_C", '{"conn_type": "wasb", "login": "a", "password": "k"}')
    with pytest.raises(
        WorkspaceError, match="'c' is of type 'wasb', which does not open s3://: expected one of type 'aws'"
    ):
        connection_options("c", "datastore 'd'", "s3://bucket")
    assert connection_options("c", "datastore 'd'", "abfs://container")["account_name"] == "a"
