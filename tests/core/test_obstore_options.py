"""fsspec's words for a store are obstore's too, so that a workspace says the same whoever opens it."""

import pytest

from airflow_ml_pipelines.core.errors import StoreError
from airflow_ml_pipelines.core.stores.fsspec_store import FsspecStore
from airflow_ml_pipelines.core.stores.obstore_options import read_options
from airflow_ml_pipelines.core.stores.obstore_store import ObstoreStore
from airflow_ml_pipelines.core.stores.open import open_store


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch, tmp_path):
    from fsspec.config import conf

    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for scheme in ("s3", "abfs", "az", "gs"):
        monkeypatch.delitem(conf, scheme, raising=False)


@pytest.mark.parametrize(
    ("url", "options", "bucket", "prefix", "settings"),
    [
        ("s3://b/a/c/", {}, "b", "a/c", {}),
        ("s3a://b", {"anon": True}, "b", "", {"skip_signature": True}),
        (
            "s3://b",
            {"key": "k", "secret": "s", "token": "t", "client_kwargs": {"region_name": "eu-west-1"}},
            "b",
            "",
            {"access_key_id": "k", "secret_access_key": "s", "session_token": "t", "region": "eu-west-1"},
        ),
        ("s3://b", {"endpoint_url": "https://minio:9000"}, "b", "", {"endpoint": "https://minio:9000"}),
        ("s3://b", {"client_kwargs": {"endpoint_url": "https://m"}}, "b", "", {"endpoint": "https://m"}),
        ("az://c/a", {"account_name": "x"}, "c", "a", {"account_name": "x"}),
        ("abfs://c@x.dfs.core.windows.net/a", {}, "c", "a", {"account_name": "x"}),
        (
            "abfss://c@x.dfs.core.windows.net",
            {"client_id": "i", "client_secret": "s", "tenant_id": "t"},
            "c",
            "",
            {"account_name": "x", "client_id": "i", "client_secret": "s", "tenant_id": "t"},
        ),
        (
            "abfs://c@x.blob.core.chinacloudapi.cn",
            {"account_key": "a2V5"},
            "c",
            "",
            {
                "account_name": "x",
                "account_key": "a2V5",
                "endpoint": "https://x.blob.core.chinacloudapi.cn",
            },
        ),
        (
            "abfs://c/a",
            {"connection_string": "AccountName=x;AccountKey=a2V5==;BlobEndpoint=http://h:1/x;"},
            "c",
            "a",
            {"account_name": "x", "account_key": "a2V5==", "endpoint": "http://h:1/x"},
        ),
        (
            "az://c",
            {"account_name": "x", "sas_token": "?sig=1"},
            "c",
            "",
            {"account_name": "x", "sas_key": "?sig=1"},
        ),
        ("gs://b/a", {"token": "/key.json", "project": "p"}, "b", "a", {"service_account": "/key.json"}),
        ("gcs://b", {"token": {"type": "x"}}, "b", "", {"service_account_key": '{"type": "x"}'}),
        ("gs://b", {"token": "anon"}, "b", "", {"skip_signature": True}),
        ("gs://b", {"token": "google_default"}, "b", "", {}),
    ],
)
def test_options_of_fsspec_are_understood(url, options, bucket, prefix, settings):
    config = read_options(url, options)
    assert (config.bucket, config.prefix, dict(config.settings)) == (bucket, prefix, settings)


@pytest.mark.parametrize("url", ["memory://a", "sftp://host/a", "https://host/a", "simplecache::s3://b"])
def test_other_stores_are_left_to_fsspec(url):
    assert read_options(url, {}) is None


def test_an_option_that_has_no_equal_leaves_the_store_to_fsspec():
    assert read_options("s3://b", {"config_kwargs": {"s3": {"addressing_style": "virtual"}}}) is None


def test_settings_of_fsspec_for_the_whole_process_count(monkeypatch):
    from fsspec.config import conf

    monkeypatch.setitem(conf, "s3", {"endpoint_url": "http://here:1"})
    config = read_options("s3://b", {"key": "k"})
    assert dict(config.settings) == {"access_key_id": "k", "endpoint": "http://here:1"}
    assert config.plain_http


def test_secrets_are_not_shown():
    assert "hunter2" not in repr(read_options("s3://b", {"key": "k", "secret": "hunter2"}))


def test_a_url_without_a_bucket_is_an_error():
    with pytest.raises(StoreError, match="names no bucket: expected s3://<bucket>"):
        open_store("s3:///a")


def test_the_engine_follows_from_the_url():
    assert isinstance(open_store("s3://b/a", key="k", secret="s"), ObstoreStore)
    assert isinstance(open_store("memory://a"), FsspecStore)


@pytest.mark.parametrize(
    ("url", "options", "text"),
    [
        ("abfs://c/a", {}, "Account must be specified"),
        ("s3://b", {"key": "k"}, "Missing SecretAccessKey"),
        ("gs://b", {"token": "/none.json"}, "Unable to open service account file from /none.json"),
        ("abfs://c", {"connection_string": "UseDevelopmentStorage=true"}, "names no server"),
    ],
)
def test_what_can_not_be_opened_says_why(url, options, text):
    with pytest.raises(StoreError, match=text):
        open_store(url, **options)
