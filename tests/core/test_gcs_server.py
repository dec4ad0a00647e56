"""The test server of Google Cloud Storage is one to Google's own client too, and both see the same objects."""

from __future__ import annotations

import random

import pytest

from airflow_ml_pipelines.core.stores.open import open_store


@pytest.fixture
def bucket(gcs):
    storage = pytest.importorskip("google.cloud.storage", reason="pip install google-cloud-storage")
    gcs.bucket("second")
    options = {"api_endpoint": gcs.endpoint}
    client = storage.Client.from_service_account_info(dict(gcs.key), client_options=options)
    with client:
        yield client.bucket("second")


@pytest.fixture
def store(gcs, tmp_path):
    return open_store(f"{gcs.bucket('second')}/{tmp_path.name}", **gcs.options)


@pytest.mark.parametrize("name", ["plain", "a/b c/#?%+", "per%2Fcent", "naïve-数据", "..two"])
def test_what_one_client_writes_the_other_reads(bucket, store, tmp_path, name):
    data = random.Random(name).randbytes(5000) + b"\r\n\0--boundary\r\n"
    bucket.blob(f"{tmp_path.name}/{name}").upload_from_string(data)
    assert store.get(name) == data
    store.put(name, b"by the store")
    assert bucket.blob(f"{tmp_path.name}/{name}").download_as_bytes() == b"by the store"
    assert [blob.name for blob in bucket.list_blobs(prefix=tmp_path.name)] == [f"{tmp_path.name}/{name}"]
    store.delete(name)
    assert not bucket.blob(f"{tmp_path.name}/{name}").exists()


def test_a_large_object_is_whole(bucket, store, tmp_path):
    data = random.Random(1).randbytes(20 << 20)  # which is uploaded in parts
    (tmp_path / "file").write_bytes(data)
    store.upload(tmp_path / "file", "large")
    assert bucket.blob(f"{tmp_path.name}/large").download_as_bytes() == data  # it checks the sum
    store.download("large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data


def test_preconditions_mean_the_same_to_both(bucket, store, tmp_path):
    from google.api_core.exceptions import PreconditionFailed

    blob = bucket.blob(f"{tmp_path.name}/lease")
    blob.upload_from_string(b"one", if_generation_match=0)
    assert not store.create("lease", b"two")
    first = blob.generation
    store.put("lease", b"three")
    for write in (
        lambda: blob.upload_from_string(b"four", if_generation_match=0),
        lambda: blob.upload_from_string(b"four", if_generation_match=first),
        lambda: blob.delete(if_generation_match=first),
    ):
        with pytest.raises(PreconditionFailed):
            write()
    assert store.get("lease") == b"three"


def test_a_copy_is_made_by_the_server(bucket, store, tmp_path):
    store.put("a b/one", b"bytes")
    source = bucket.blob(f"{tmp_path.name}/a b/one")
    bucket.copy_blob(source, bucket, f"{tmp_path.name}/two")
    assert store.get("two") == b"bytes"
    assert store.info("two").version == store.info("a b/one").version  # the digest of the bytes


def test_listings_come_in_pages(bucket, store, tmp_path):
    names = [f"{number % 3}/{number:02}" for number in range(30)]
    for name in names:
        store.put(name, b"")
    told = [blob.name for blob in bucket.list_blobs(prefix=f"{tmp_path.name}/", page_size=7)]
    assert told == [f"{tmp_path.name}/{name}" for name in sorted(names)]
    folders = bucket.list_blobs(prefix=f"{tmp_path.name}/", delimiter="/", page_size=2)
    assert list(folders) == []
    assert folders.prefixes == {f"{tmp_path.name}/{folder}/" for folder in "012"}


def test_who_has_no_key_is_not_let_in(gcs):
    from servers.gcs.process import make_key

    other, _ = make_key(gcs.endpoint)
    gcs.bucket("second")
    for token in (other, "anon"):
        store = open_store("gs://second", token=token, endpoint_url=gcs.endpoint)
        with pytest.raises(OSError, match="access is denied") as caught:
            store.get("x")
        assert "PRIVATE KEY" not in str(caught.value)
