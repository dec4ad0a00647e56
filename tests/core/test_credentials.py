from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.stores.credentials import (
    check_options,
    check_url,
    mask_url,
    resolve_credentials,
    resolve_variables,
)


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
