from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.credentials import (
    Connection,
    check_options,
    check_url,
    connection_options,
    mask_url,
    resolve_credentials,
    resolve_variables,
    set_connection_source,
)
from airflow_ml_pipelines.core.errors import WorkspaceError


@pytest.fixture
def connection(monkeypatch):
    def set_connection(text):
        monkeypatch.setenv("AIRFLOW_CONN_C", text if isinstance(text, str) else json.dumps(text))
        return connection_options("c", "datastore 'd'")

    return set_connection


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/a",
        "abfs://container@account.dfs.core.windows.net/a",
        "sftp://user@host/a",
        "/a/b:c@d",
        "C:\\a",
        "relative/path",
        "https://host/a?version=3",
        "gs://b",
        "memory://",
    ],
)
def test_urls_without_a_secret_are_fine(url):
    check_url(url, "datastore 'd'")


@pytest.mark.parametrize(
    "url",
    [
        "s3://u:hunter2@b",
        "https://hunter2@b",
        "https://b?token=hunter2",
        "ftp://:hunter2@b",
        "https://b?sas=hunter2",
    ],
)
def test_urls_with_a_secret_are_refused_without_repeating_it(url):
    with pytest.raises(WorkspaceError, match=r"^datastore 'd': .*connection: .*credentials: ") as caught:
        check_url(url, "datastore 'd'")
    assert "hunter2" not in str(caught.value)


def test_what_is_no_url_is_a_workspace_error():
    with pytest.raises(WorkspaceError, match="expected a URL or a path"):
        check_url("s3://[x", "datastore 'd'")


@pytest.mark.parametrize(
    "options", [{"anon": True}, {"token": "anon"}, {"token": None}, {"a": {"region": "x"}}, {"key": ""}]
)
def test_options_without_a_secret_are_fine(options):
    check_options(options, "datastore 'd'")


@given(st.text(st.characters(exclude_characters="/?#@", exclude_categories=["Z", "C"]), min_size=8))
def test_masking_leaves_nothing_of_a_password(password):
    masked = mask_url(f"see https://user:{password}@host/simple and go on")
    assert masked == "see https://***@host/simple and go on"


def test_masking_leaves_other_text_as_it_is():
    text = "a@b, https://host/a@1?x=1 and file:///a/b"
    assert mask_url(text) == text


def test_masking_hides_signatures():
    assert mask_url("https://host/a?sv=1&sig=abc%3D&x=2") == "https://host/a?sv=1&sig=***&x=2"


def test_credentials_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("MY_KEY", "k")
    assert resolve_credentials({"key": "env:MY_KEY"}, "datastore 'd'") == {"key": "k"}


@pytest.mark.parametrize("reference", ["hunter2", "env:", "env:a b", "env:1", "$MY_KEY"])
def test_a_credential_is_a_variables_name(reference):
    with pytest.raises(WorkspaceError, match=r"datastore 'd', key: expected 'env:' and the name") as caught:
        resolve_credentials({"key": reference}, "datastore 'd'")
    assert "hunter2" not in str(caught.value)


def test_variables_are_literal_unless_they_name_another(monkeypatch):
    monkeypatch.setenv("MY_KEY", "k")
    assert resolve_variables({"A": "1", "API_KEY": "env:MY_KEY"}, "environment 'e'") == {
        "A": "1",
        "API_KEY": "k",
    }
    with pytest.raises(WorkspaceError, match="variable NOT_SET_AT_ALL is not set"):
        resolve_variables({"API_KEY": "env:NOT_SET_AT_ALL"}, "environment 'e'")


def test_a_connection_that_is_not_there_says_how_to_give_it(monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_C", raising=False)
    with pytest.raises(
        WorkspaceError, match=r"datastore 'd': there is no connection 'c' here: set AIRFLOW_CONN_C"
    ):
        connection_options("c", "datastore 'd'")


@pytest.mark.parametrize(
    "text", ["hunter2", "{hunter2", "[1]", '{"extra": "hunter2"}', "aws://u:hunter2@h:port"]
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
        {"conn_type": "google_cloud_platform", "extra": {"keyfile_dict": json.dumps(key), "project": "p"}}
    ) == {
        "token": key,
        "project": "p",
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
