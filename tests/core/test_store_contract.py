"""What every store owes, whatever is behind it.

``ML_PIPELINES_TEST_STORE=s3://bucket/folder`` tests a store of yours besides (with fsspec's own settings, such as
``FSSPEC_S3_ENDPOINT_URL``). What the tests write they remove.
"""

import copy
import os
import secrets
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from airflow_ml_pipelines.core.errors import InvalidPathError, NotFoundError, StoreError
from airflow_ml_pipelines.core.stores.fsspec_store import FsspecStore
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.meta import is_strong
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.core.stores.store import Store, is_unfinished

ODD_NAMES = [
    "with space",
    "hash#mark",
    "per%20cent%",
    "plus+sign",
    "question?mark",
    "a&b=c;d",
    "[1]*",
    "naïve-Größe-数据-🎈",
    ".hidden",
    "..two",
    "~tilde",
    "$HOME",
    "quote'\"",
    "deep/er/and deeper/x",
    "trailing.",
    "UPPER",
]

_numbers = count()


def make_store(kind, folder, server):
    if kind == "local":
        return LocalStore(folder / "store")
    if kind == "fsspec-local":
        return FsspecStore(f"file://{folder}/store")
    if kind == "memory":
        return FsspecStore(f"memory://contract-{next(_numbers)}/store")
    if kind == "s3":
        return open_store(f"{server('s3').bucket('contract')}/{next(_numbers)}", **server("s3").options)
    if kind == "azurite":
        url = server("azurite").bucket("contract")
        return open_store(f"{url}/{next(_numbers)}", **server("azurite").options)
    if kind == "gcs":
        return open_store(f"{server('gcs').bucket('contract')}/{next(_numbers)}", **server("gcs").options)
    if kind == "sftp":
        return open_store(f"{server('sftp').url}/{next(_numbers)}", **server("sftp").options)
    return open_store(f"{kind}/{secrets.token_hex(4)}")


LOCAL = ["local", "fsspec-local", "memory"]
SERVERS = ["s3", "azurite", "gcs", "sftp"]
KINDS = [*LOCAL, *SERVERS, *os.environ.get("ML_PIPELINES_TEST_STORE", "").split()]


@pytest.fixture(params=KINDS)
def store(request, tmp_path) -> Store:
    store = make_store(request.param, tmp_path, request.getfixturevalue)
    yield store
    if request.param not in SERVERS:  # which end with the tests
        for info in list(store.walk()):
            store.delete(info.path)


def paths(store, folder=""):
    return sorted(info.path for info in store.walk(folder))


class TestReading:
    def test_an_object_has_the_bytes_that_were_put(self, store):
        store.put("a/b.bin", b"\0\1\xff")
        assert store.get("a/b.bin") == b"\0\1\xff"
        with store.open("a/b.bin") as file:
            assert file.read() == b"\0\1\xff"

    def test_an_object_may_be_empty(self, store):
        store.put("empty", b"")
        assert store.get("empty") == b""
        assert store.info("empty").size == 0
        assert paths(store) == ["empty"]

    @pytest.mark.parametrize("path", ["none", "folder", "folder/object/below", "none/none"])
    def test_what_is_no_object_is_not_found(self, store, path, tmp_path):
        store.put("folder/object", b"x")
        with pytest.raises(NotFoundError, match="there is no"):
            store.get(path)
        with pytest.raises(NotFoundError, match="there is no"):
            store.open(path).read()
        with pytest.raises(NotFoundError, match="there is no"):
            store.download(path, tmp_path / "target")
        assert not (tmp_path / "target").exists()
        assert store.info(path) is None

    def test_info_tells_path_size_and_time(self, store):
        before = store.clock()
        store.put("./a//b", b"four")
        info = store.info("a/b")
        assert (info.path, info.size) == ("a/b", 4)
        assert before - 2 <= info.modified <= store.clock() + 2
        assert info.version

    def test_several_readers_do_not_disturb_each_other(self, store):
        store.put("object", b"0123456789")
        with store.open("object") as one, store.open("object") as two:
            assert one.read(4) == b"0123"
            assert two.read() == b"0123456789"
            assert one.read() == b"456789"


class TestWriting:
    def test_put_replaces(self, store):
        store.put("object", b"old and longer")
        store.put("object", b"new")
        assert store.get("object") == b"new"
        assert paths(store) == ["object"]

    def test_upload_and_download_copy_files(self, store, tmp_path):
        source = tmp_path / "source"
        source.write_bytes(b"x" * 3_000_001)
        store.upload(source, "folder/copy")
        store.download("folder/copy", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == source.read_bytes()
        assert store.info("folder/copy").size == 3_000_001

    def test_upload_and_download_replace(self, store, tmp_path):
        source, target = tmp_path / "source", tmp_path / "target"
        store.put("object", b"a longer one that was there")
        target.write_bytes(b"a longer one that was there")
        source.write_bytes(b"new")
        store.upload(source, "object")
        store.download("object", target)
        assert target.read_bytes() == b"new"

    def test_a_source_that_is_missing_is_not_taken_for_an_object(self, store, tmp_path):
        with pytest.raises(FileNotFoundError) as caught:
            store.upload(tmp_path / "none", "object")
        assert not isinstance(caught.value, StoreError)
        assert paths(store) == []

    def test_a_target_folder_that_is_missing_is_not_taken_for_an_object(self, store, tmp_path):
        store.put("object", b"x")
        with pytest.raises(FileNotFoundError) as caught:
            store.download("object", tmp_path / "none" / "target")
        assert not isinstance(caught.value, NotFoundError)

    def test_a_reader_never_sees_a_part(self, store):
        sizes = (1, 400_000)
        store.put("object", b"0" * sizes[0])
        seen, ended = set(), threading.Event()

        def read():
            while not ended.is_set():
                data = store.get("object")
                seen.add((len(data), len(set(data))))

        reader = threading.Thread(target=read)
        reader.start()
        for turn in range(60):
            store.put("object", bytes([48 + turn % 10]) * sizes[turn % 2])
        ended.set()
        reader.join()
        assert seen
        assert seen <= {(size, 1) for size in sizes}

    def test_nothing_is_left_beside_an_object(self, store, tmp_path):
        store.put("folder/object", b"x")
        store.create("folder/other", b"x")
        store.create("folder/other", b"y")
        store.clock()
        assert [p for p in tmp_path.rglob("*") if p.name.startswith(".~")] == []

    @pytest.mark.parametrize("path", ["", "/", ".", "a/..", "../a", "a/../../b", "/etc/passwd", "a\0b"])
    def test_a_path_that_is_none_is_refused(self, store, path, tmp_path):
        source = tmp_path / "source"
        source.write_bytes(b"x")
        for write in (store.put, store.create, lambda name, _: store.upload(source, name)):
            with pytest.raises(InvalidPathError):
                write(path, b"x")

    def test_an_object_stays_where_another_is_put_below_it(self, store):
        store.put("object", b"x")
        try:
            store.put("object/below", b"y")
        except StoreError as error:
            assert "can't be written" in str(error)
            assert paths(store) == ["object"]
        else:  # where names are all that there is, both can be
            assert paths(store) == ["object", "object/below"]
        assert store.get("object") == b"x"


class TestCreating:
    def test_create_takes_a_path_once(self, store):
        assert store.create("a/object", b"one")
        assert not store.create("a/object", b"two")
        assert store.get("a/object") == b"one"

    def test_create_does_not_replace_what_was_put(self, store):
        store.put("object", b"")
        assert not store.create("object", b"two")
        assert store.get("object") == b""

    def test_a_path_can_be_created_again_after_it_was_deleted(self, store):
        assert store.create("object", b"one")
        store.delete("object")
        assert store.create("object", b"two")

    def test_a_store_says_whether_it_keeps_the_promise(self, store):
        assert store.conditional is not store.url.startswith("sftp:")

    def test_of_many_threads_one_creates(self, store):
        if not store.conditional:
            return  # as it says
        with ThreadPoolExecutor(8) as pool:
            for turn in range(30):
                barrier = threading.Barrier(8)

                def create(number, turn=turn, barrier=barrier):
                    barrier.wait()
                    return store.create(f"turn/{turn}", b"%d" % number)

                won = list(pool.map(create, range(8)))
                assert won.count(True) == 1
                assert store.get(f"turn/{turn}") == b"%d" % won.index(True)


class TestListing:
    def test_walk_yields_every_object_below_a_folder(self, store):
        for path in ("top", "a/one", "a/b/two", "ab/three"):
            store.put(path, path.encode())
        assert paths(store) == ["a/b/two", "a/one", "ab/three", "top"]
        assert paths(store, "a") == paths(store, "a/") == ["a/b/two", "a/one"]
        assert {info.path: info.size for info in store.walk("a")} == {"a/b/two": 7, "a/one": 5}

    @pytest.mark.parametrize("folder", ["none", "object", "object/below"])
    def test_walk_yields_nothing_where_there_is_no_folder(self, store, folder):
        store.put("object", b"x")
        assert paths(store, folder) == []

    def test_walk_of_an_empty_store_yields_nothing(self, store):
        assert paths(store) == []

    def test_walk_says_the_same_as_info(self, store):
        store.put("a/object", b"four")
        assert list(store.walk()) == [store.info("a/object")]

    def test_a_listing_is_never_stale(self, store, tmp_path):
        other = copy.copy(store)
        for number in range(5):
            assert len(paths(store, "a")) == number
            other.put(f"a/{number}", b"x")
        assert store.info("a/4").size == 1
        other.put("a/4", b"longer")
        assert store.info("a/4").size == 6
        other.delete("a/4")
        assert store.info("a/4") is None
        assert len(paths(store, "a")) == 4

    def test_objects_that_are_being_written_are_not_listed(self, store):
        store.put("a/.~1234-ab", b"x")
        store.put("a/object", b"x")
        assert paths(store) == ["a/object"]

    def test_what_a_killed_writer_left_is_listed_on_demand(self, store):
        store.put("a/.~1234-ab", b"half")
        store.put("a/object", b"x")
        found = sorted(info.path for info in store.walk("a", unfinished=True))
        assert found == ["a/.~1234-ab", "a/object"]
        assert [is_unfinished(path) for path in found] == [True, False]

    def test_folders_have_names(self, store):
        for path in ("top", "a/one", "a/b/two", "a/c d/[1]", "ab/three"):
            store.put(path, b"")
        assert store.folders() == ["a", "ab"]
        assert store.folders("a") == store.folders("a/") == ["b", "c d"]

    @pytest.mark.parametrize("folder", ["none", "object", "object/below", "folder"])
    def test_there_may_be_no_folders(self, store, folder):
        store.put("object", b"x")
        store.put("folder/object", b"x")
        assert store.folders(folder) == []

    def test_more_objects_are_listed_than_a_server_tells_at_once(self, store):
        pages = 240 if store.url.startswith("sftp:") else 1100  # of 100 names, elsewhere of 1,000
        wanted = [f"{number % 2}/{number:04}" for number in range(pages)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda path: store.put(path, b""), wanted))
        assert paths(store) == sorted(wanted)


@pytest.mark.system
@pytest.mark.parametrize("kind", ["s3", "azurite", "gcs"])
def test_ten_thousand_objects_are_listed_page_by_page(kind, tmp_path, request):
    store = make_store(kind, tmp_path, request.getfixturevalue)
    wanted = [f"{number % 3}/{number:05}" for number in range(10_000)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda path: store.put(path, path.encode()), wanted))
    assert {info.path: info.size for info in store.walk()} == dict.fromkeys(wanted, 7)
    assert paths(store, "1") == [path for path in sorted(wanted) if path.startswith("1/")]
    assert store.folders() == ["0", "1", "2"]
    store.put("2/few/a", b"")
    store.remove("2/few")  # not more, since Azurite takes seconds for it
    assert paths(store) == sorted(wanted)


def test_ten_thousand_objects_and_one_of_five_gigabytes(tmp_path):
    store = make_store("local", tmp_path, None)
    for number in range(10_000):
        store.put(f"{number % 100}/{number}", b"")
    with (store.root / "large").open("wb") as file:  # sparse: it has the size and takes no room
        file.truncate(5 << 30)
    infos = {info.path: info.size for info in store.walk()}
    assert len(infos) == 10_001
    assert infos["large"] == 5 << 30
    with store.open("large") as file:
        file.seek(-1, os.SEEK_END)
        assert file.read() == b"\0"


class TestVersions:
    def test_the_version_stays_while_nothing_is_written(self, store):
        store.put("object", b"one")
        assert store.info("object").version == store.info("object").version

    def test_other_bytes_of_the_same_size_have_another_version(self, store):
        versions = []
        for data in (b"one", b"two", b"six"):
            store.put("object", data)
            versions.append(store.info("object").version)
        if store.url.startswith("sftp:"):  # it knows whole seconds: its files are known by their content
            assert not is_strong(versions[0])
        else:
            assert versions[0] != versions[1] != versions[2]


class TestDeleting:
    def test_what_was_deleted_is_gone(self, store):
        store.put("a/object", b"x")
        store.delete("a/object")
        assert store.info("a/object") is None
        assert paths(store) == []

    @pytest.mark.parametrize("path", ["none", "none/none", "object/below", "folder"])
    def test_deleting_what_is_no_object_does_nothing(self, store, path):
        store.put("object", b"x")
        store.put("folder/object", b"x")
        store.delete(path)
        assert paths(store) == ["folder/object", "object"]

    def test_a_name_is_no_pattern(self, store):
        store.put("a1", b"x")
        store.put("a*", b"x")
        store.put("[a]1", b"x")
        store.delete("a*")
        store.delete("[a]1")
        assert paths(store) == ["a1"]


class TestRemoving:
    def test_a_folder_is_removed_with_all_that_is_below_it(self, store):
        for path in ("a/one", "a/b/two", "a/.~12-ab", "ab/three", "a.txt"):
            store.put(path, b"x")
        store.remove("a")
        assert paths(store) == ["a.txt", "ab/three"]
        assert store.folders() == ["ab"]

    @pytest.mark.parametrize("folder", ["none", "none/none", "object", "object/below"])
    def test_removing_what_is_no_folder_does_nothing(self, store, folder):
        store.put("object", b"x")
        store.remove(folder)
        assert paths(store) == ["object"]

    @pytest.mark.parametrize("folder", ["", "/", "..", "a/.."])
    def test_the_whole_of_a_store_is_never_removed(self, store, folder):
        store.put("object", b"x")
        with pytest.raises(InvalidPathError):
            store.remove(folder)
        assert paths(store) == ["object"]

    def test_a_name_is_no_pattern(self, store):
        for path in ("a1/x", "a*/x", "[a]1/x"):
            store.put(path, b"x")
        store.remove("a*")
        store.remove("[a]1")
        assert paths(store) == ["a1/x"]


def test_what_links_lead_to_is_not_removed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("x")
    store = LocalStore(tmp_path / "store")
    store.put("a/object", b"x")
    (store.root / "a/link").symlink_to(tmp_path / "mine")
    (store.root / "linked").symlink_to(tmp_path / "mine")
    store.remove("a")
    store.remove("linked")
    assert (tmp_path / "mine/file").read_text() == "x"
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_taken_as_they_are(store, name, tmp_path):
    store.put(f"folder/{name}", name.encode())
    assert paths(store) == paths(store, "folder") == [f"folder/{name}"]
    assert store.get(f"folder/{name}") == name.encode()
    assert store.info(f"folder/{name}").size == len(name.encode())
    store.download(f"folder/{name}", tmp_path / "target")
    store.upload(tmp_path / "target", f"copy/{name}")
    assert not store.create(f"copy/{name}", b"")
    with store.open(f"copy/{name}") as file:
        assert file.read() == name.encode()
    store.delete(f"folder/{name}")
    assert paths(store) == [f"copy/{name}"]


@pytest.mark.parametrize("name", ["with space", "hash#mark", "per%20cent%", "question?mark", "Größe"])
def test_a_store_may_lie_in_a_folder_with_an_odd_name(name, tmp_path):
    store = LocalStore(tmp_path / name)
    store.put("a", b"x")
    again = open_store(store.url)
    assert again.get("a") == b"x"
    assert again.url == store.url


_RACE = """
import sys
from airflow_ml_pipelines.core.stores.local_store import LocalStore
store = LocalStore(sys.argv[1])
sys.stdin.readline()
for turn in range(100):
    if store.create(f"turn/{turn}", b"x" * 1000):
        print(turn)
"""


def test_of_many_processes_one_creates(tmp_path):
    arguments = [sys.executable, "-c", _RACE, str(tmp_path)]
    processes = [
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    won = [int(turn) for process in processes for turn in process.communicate(timeout=30)[0].split()]
    assert sorted(won) == list(range(100))
