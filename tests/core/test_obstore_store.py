"""What only object stores do: buckets, credentials, large objects, folders of a data lake."""

import json
import random
import urllib.request

import obstore
import pytest
from servers.faulty import faulty_server

from airflow_ml_pipelines.core.errors import NotFoundError, StoreError
from airflow_ml_pipelines.core.stores.open import open_store


@pytest.fixture(params=["s3", "azurite", "gcs"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def store(server, tmp_path):
    return open_store(f"{server.bucket('objects')}/{tmp_path.name}", **server.options)


def test_a_bucket_that_is_missing_is_named(server, tmp_path):
    store = open_store(f"{server.bucket('objects').replace('objects', 'no-such')}/a", **server.options)
    (tmp_path / "file").write_bytes(b"x")
    for act in (
        lambda: list(store.walk()),
        lambda: store.get("a"),
        lambda: store.put("a", b""),
        lambda: store.create("a", b""),
        lambda: store.upload(tmp_path / "file", "a"),
        lambda: store.download("a", tmp_path / "b"),
    ):
        with pytest.raises(
            StoreError, match="there is no (bucket|container) 'no-such'; make it, or"
        ) as caught:
            act()
        assert not isinstance(caught.value, NotFoundError)
    assert not (tmp_path / "b").exists()


def test_the_mark_of_a_folder_is_no_object(s3, tmp_path):
    bucket = s3.bucket("objects").removeprefix("s3://")
    store = open_store(f"s3://{bucket}/{tmp_path.name}", **s3.options)
    store.put("a/empty", b"")
    store.put("a/b/x", b"x")
    for mark in ("a/", "a/b/", "alone/"):  # as the console of S3 makes them
        address = f"{s3.endpoint}/{bucket}/{tmp_path.name}/{mark}"
        urllib.request.urlopen(urllib.request.Request(address, method="PUT")).close()
    assert {info.path for info in store.walk()} == {"a/empty", "a/b/x"}
    assert {info.path for info in store.walk("a")} == {"a/empty", "a/b/x"}
    assert list(store.walk("alone")) == []


def test_wrong_credentials_are_told_and_not_repeated(azurite):
    options = {
        "account_name": "devstoreaccount1",
        "account_key": "aHVudGVyMg==",
        "account_host": azurite.endpoint,
    }
    store = open_store(azurite.bucket("objects"), **options)
    for act in (lambda: list(store.walk()), lambda: store.get("a"), lambda: store.put("a", b"")):
        with pytest.raises(
            StoreError, match=r"access is denied .*check the datastore's connection"
        ) as caught:
            act()
        assert "aHVudGVyMg" not in str(caught.value)


WRITES = {
    "put": (lambda store, file: store.put("made", b"mine"), None),
    "create": (lambda store, file: store.create("made", b"mine"), True),
    "create what is there": (lambda store, file: store.create("there", b"mine"), False),
    "upload": (lambda store, file: store.upload(file, "made"), None),
    "delete": (lambda store, file: store.delete("there"), None),
    "remove": (lambda store, file: store.remove("folder"), None),
}


@pytest.fixture
def cut(server, tmp_path):
    """A store behind a server that can be told to cut connections, and that server."""
    url = f"{server.bucket('objects')}/{tmp_path.name}"
    with faulty_server(server.port) as before:
        text = json.dumps(server.options).replace(f":{server.port}", f":{before.port}")
        yield open_store(url, **json.loads(text)), before


@pytest.mark.parametrize("mode", ["reset", "answer lost"])
@pytest.mark.parametrize("write", WRITES)
def test_a_connection_that_is_cut_is_as_if_it_had_not_been(write, mode, cut, tmp_path):
    store, before = cut
    for path in ("there", "folder/a", "folder/b/c"):
        store.put(path, b"old")
    (tmp_path / "file").write_bytes(b"mine")
    act, result = WRITES[write]
    before.fail(mode, 1)
    assert act(store, tmp_path / "file") == result
    found = {info.path: store.get(info.path) for info in store.walk()}
    expected = dict.fromkeys(("there", "folder/a", "folder/b/c"), b"old")
    if write in ("put", "create", "upload"):
        expected["made"] = b"mine"
    expected = {path: data for path, data in expected.items() if not (write == "delete" and path == "there")}
    if write == "remove":
        expected = {"there": b"old"}
    assert found == expected


def test_a_server_that_cuts_every_connection_is_named(cut):
    store, before = cut
    before.fail("away", 1)
    with pytest.raises(
        StoreError, match="http://127.0.0.1:[0-9]+ does not answer, or cuts connections: start"
    ):
        store.create("made", b"")


def test_what_another_removes_meanwhile_is_no_error(store, monkeypatch):
    for number in range(3):
        store.put(f"folder/{number}", b"x")
    listed = list(store.walk("folder"))
    store.delete("folder/0")
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "walk", lambda *_, **__: iter(listed))
        store.remove("folder")
    assert list(store.walk("folder")) == []


def test_large_objects_come_back_as_they_were(store, tmp_path):
    data = random.Random(7).randbytes(21_000_001)
    (tmp_path / "source").write_bytes(data)
    store.upload(tmp_path / "source", "large")
    store.download("large", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == data
    with store.open("large") as file:
        assert file.seek(-7, 2) == len(data) - 7
        assert file.read() == data[-7:]
        file.seek(8_388_600)
        assert file.read(20) == data[8_388_600:8_388_620]
        assert file.tell() == 8_388_620


def test_an_object_that_is_replaced_while_it_is_read_is_no_mixture(store):
    store.put("object", b"a" * 20_000_000)
    with store.open("object") as file:
        assert file.read(1) == b"a"
        store.put("object", b"b" * 20_000_000)
        with pytest.raises(StoreError, match="'object' in .* can't be read"):
            file.read()


def test_equal_bytes_have_the_same_version_on_s3(s3):
    store = open_store(s3.bucket("objects"), **s3.options)
    store.put("object", b"one")
    first = store.info("object").version
    store.put("object", b"two")
    assert store.info("object").version != first
    store.put("object", b"one")
    assert store.info("object").version == first


def test_what_a_data_lake_has_for_a_folder_is_no_object(azurite):
    store = open_store(f"{azurite.bucket('objects')}/lake", **azurite.options)
    obstore.put(store.client, "folder", b"", attributes={"hdi_isfolder": "true"})
    store.put("folder/file", b"x")
    store.put("empty", b"")
    assert store.info("folder") is None
    assert [info.path for info in store.walk("folder")] == ["folder/file"]
    assert store.info("empty").size == 0
