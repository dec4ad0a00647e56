import http.server
import json
import tracemalloc
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers.serving import serving

from airflow_ml_pipelines.core.errors import DataError, StoreError
from airflow_ml_pipelines.core.files import tree
from airflow_ml_pipelines.core.files.digest import digest_bytes
from airflow_ml_pipelines.core.files.manifest import Entry, Manifest
from airflow_ml_pipelines.core.files.statcache import NoStatCache, StatCache
from airflow_ml_pipelines.core.files.walk import list_tree
from airflow_ml_pipelines.core.globs import glob_matcher
from airflow_ml_pipelines.core.keys import fingerprint
from airflow_ml_pipelines.core.keys.diff_files import diff_files
from airflow_ml_pipelines.core.keys.fingerprint import fingerprint_data, list_data
from airflow_ml_pipelines.core.spec import Data, Location
from airflow_ml_pipelines.core.stores.fsspec_store import FsspecStore
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.locations import GlobRules, find, split_url

FILES = {
    "train/a.csv": b"a",
    "train/b.csv": b"bb",
    "train/deep/c.csv": b"ccc",
    "train/notes.txt": b"n",
    "one.csv": b"1",
}


@pytest.fixture
def local(tmp_path):
    store = LocalStore(tmp_path / "local")
    for path, data in FILES.items():
        store.put(path, data)
    return store


@pytest.fixture
def remote(tmp_path):
    store = FsspecStore(f"memory://{tmp_path}")
    for path, data in FILES.items():
        store.put(path, data)
    return store


@pytest.fixture
def weak(tmp_path):
    """A store that has no version of its own."""
    store = FsspecStore(f"file://{tmp_path}/weak")
    for path, data in FILES.items():
        store.put(path, data)
    return store


@pytest.fixture
def opener(local, remote, weak):
    stores = {None: local, "local": local, "remote": remote, "weak": weak}
    return stores.__getitem__


def data(*paths, datastore="local"):
    return Data(locations=tuple(Location(path=path, datastore=datastore) for path in paths))


def manifest(*paths, base="", single=False):
    return Manifest.of(
        [Entry(p.removeprefix(base), len(FILES[p]), digest_bytes(FILES[p])) for p in paths], single=single
    )


@pytest.fixture
def of(opener):
    return partial(take, opener)


def take(opener, asked, method="content", cache=None):
    return fingerprint_data(asked, opener, method, cache or NoStatCache())


TRAIN = ("train/a.csv", "train/b.csv", "train/deep/c.csv", "train/notes.txt")


class TestContent:
    @pytest.mark.parametrize("datastore", ["local", "weak", None])
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("train", manifest(*TRAIN, base="train/")),
            ("train/", manifest(*TRAIN, base="train/")),
            ("/train", manifest(*TRAIN, base="train/")),
            ("", manifest(*FILES)),
            ("one.csv", manifest("one.csv", single=True)),
            ("train/a.csv", manifest("train/a.csv", base="train/", single=True)),
            ("train/*.csv", manifest("train/a.csv", "train/b.csv", base="train/")),
            ("train/**/*.csv", manifest(*TRAIN[:3], base="train/")),
            ("train/**", manifest(*TRAIN, base="train/")),
            ("*/deep/?.csv", manifest("train/deep/c.csv")),
            ("t[a-s]ain/[!b].csv", manifest("train/a.csv")),
        ],
    )
    def test_data_is_known_by_the_manifest_of_its_files(self, of, datastore, path, expected):
        found = of(data(path, datastore=datastore))
        assert found.document == {"kind": "content", "digest": expected.digest}
        assert found.manifest == expected
        assert (found.files, found.size) == (len(expected), expected.size)

    def test_a_folder_is_known_like_the_same_files_elsewhere(self, of, local):
        for path in TRAIN:
            local.put("other/" + path.removeprefix("train/"), FILES[path])
        assert of(data("other")).document == of(data("train")).document

    def test_its_files_can_be_kept_to_be_named_later(self, of, tmp_path):
        asked = data("train")
        for cache in (None, *2 * [StatCache(tmp_path / "cache")]):
            found = of(asked, cache=cache)
            assert found.read_stored() == found.manifest.encode()

    def test_the_files_of_several_locations_are_named_as_one_list(self, of, remote):
        asked = data("train/deep", "one.csv"), data("train/*.csv", datastore="remote")
        before = of(Data(locations=(*asked[0].locations, *asked[1].locations))).read_stored()
        remote.put("train/b.csv", b"other")
        after = of(Data(locations=(*asked[0].locations, *asked[1].locations)))
        assert [item.text for item in diff_files(before, after.read_stored()).files] == [
            "train/b.csv changed"
        ]
        kept = json.loads(after.read_stored())
        assert kept["digest"] == after.document["digest"]
        assert [row[0] for row in kept["files"]] == [
            "one.csv",
            "train/a.csv",
            "train/b.csv",
            "train/deep/c.csv",
        ]

    def test_objects_that_were_not_read_are_told_apart_by_their_versions(self, of, remote):
        asked = data("train", datastore="remote")
        before = of(asked, method="etag").read_stored()
        remote.put("train/a.csv", b"z")
        remote.put("train/new.csv", b"new")
        remote.delete("train/b.csv")
        found = diff_files(before, of(asked, method="etag").read_stored())
        assert [item.text for item in found.files] == ["new.csv is new", "b.csv is gone", "a.csv changed"]

    def test_several_locations_are_known_together_and_in_order(self, of):
        one, two = of(data("train", "one.csv")), of(data("one.csv", "train"))
        assert one.document["kind"] == "content"
        assert one.document != two.document
        assert (one.files, one.size) == (5, 8)
        assert one.manifest is None

    @pytest.mark.parametrize("datastore", ["local", "remote", "weak"])
    @pytest.mark.parametrize("path", ["train", "train/*.csv", "train/a.csv"])
    def test_the_fingerprint_varies_on_the_content(self, of, opener, datastore, path):
        before = of(data(path, datastore=datastore)).document
        assert of(data(path, datastore=datastore)).document == before
        opener(datastore).put("train/a.csv", b"A")
        assert of(data(path, datastore=datastore)).document != before

    def test_a_glob_does_not_vary_on_what_it_does_not_match(self, of, local):
        before = of(data("train/*.csv")).document
        local.put("train/notes.txt", b"other")
        local.put("train/deep/d.csv", b"new")
        assert of(data("train/*.csv")).document == before

    @pytest.mark.parametrize("path", ["train", "train/*.csv", "one.csv"])
    def test_unchanged_files_are_not_read_again(self, of, path, tmp_path, monkeypatch):
        monkeypatch.setattr(tree, "RACY_NS", -1_000_000_000)
        cache = StatCache(tmp_path / "cache")
        first = of(data(path), cache=cache)
        monkeypatch.setattr(tree, "read_digest", None)
        assert of(data(path), cache=cache).document == first.document

    def test_names_with_signs_come_before_globs(self, of, local):
        local.put("odd/[1].csv", b"x")
        local.put("odd/1.csv", b"y")
        assert of(data("odd/[1].csv")).manifest.entries[0].path == "[1].csv"


class TestVersions:
    def test_a_store_with_strong_versions_is_not_read(self, of, remote, monkeypatch):
        monkeypatch.setattr(fingerprint, "_read", None)
        found = of(data("train", datastore="remote"))
        assert found.document["kind"] == "etag"
        assert (found.files, found.size, found.manifest) == (4, 7, None)

    def test_etag_takes_what_version_there_is(self, of, weak, monkeypatch):
        monkeypatch.setattr(fingerprint, "_read", None)
        monkeypatch.setattr(tree, "read_digest", None)
        for datastore in ("local", "weak", "remote"):
            before = of(data("train", datastore=datastore), "etag").document
            assert before["kind"] == "etag"
            assert of(data("train", datastore=datastore), "etag").document == before
        weak.put("train/a.csv", b"longer")
        assert of(data("train", datastore="weak"), "etag").document != before

    def test_locations_on_several_stores_are_each_known_in_their_way(self, of, local):
        both = Data(
            locations=(
                Location(path="train", datastore="remote"),
                Location(path="one.csv", datastore="local"),
            )
        )
        before = of(both).document
        assert before["kind"] == "etag"
        local.put("one.csv", b"2")
        assert of(both).document != before

    def test_path_does_not_look(self, of):
        document = of(data("none", "none/*"), "path").document
        assert document == {"kind": "path", "locations": [["local", "none"], ["local", "none/*"]]}


class TestMissing:
    @pytest.mark.parametrize("method", ["content", "etag"])
    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("none", "there is nothing at 'none' in .*; there are: one.csv, train"),
            (
                "train/none.csv",
                "there is nothing at 'train/none.csv' in .*; in 'train' there are: a.csv, b.csv, deep",
            ),
            ("train/none/x", "in 'train' there are: a.csv"),
            ("train/*.parquet", r"no file matches 'train/\*.parquet' in .*; in 'train' there are: a.csv"),
            ("one.csv/x", "there is nothing at 'one.csv/x'"),
            ("../one.csv", "would leave the store"),
        ],
    )
    @pytest.mark.parametrize("datastore", ["local", "remote"])
    def test_data_that_is_missing_is_named(self, of, datastore, method, path, text):
        with pytest.raises(DataError, match=text) as caught:
            of(data(path, datastore=datastore), method)
        assert datastore in str(caught.value) or "leave" in text

    def test_an_empty_folder_is_nothing(self, of, local):
        (local.root / "empty/inside").mkdir(parents=True)
        with pytest.raises(DataError, match="there is nothing at 'empty'"):
            of(data("empty"))

    def test_a_store_that_can_not_be_opened_is_named(self, of):
        with pytest.raises(DataError, match=r"s3x://b/c.*no file system is called 's3x'"):
            of(data("s3x://b/c", datastore=None))


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("s3://bucket/data/2024-*/part.csv", ("s3://bucket/data", "2024-*/part.csv")),
            ("s3://bucket/data/x.csv", ("s3://bucket/data", "x.csv")),
            ("s3://bucket/data/", ("s3://bucket", "data")),
            ("s3://bucket/*.csv", ("s3://bucket", "*.csv")),
            ("s3://bucket", ("s3://bucket", "")),
            ("file:///data/a%20b.csv", ("file:///data", "a b.csv")),
            ("file:///x", ("file:///", "x")),
            ("https://host/a/b.csv", ("https://host/a", "b.csv")),
            ("https://host/a/b.csv?v=*", ("https://host/a", "b.csv?v=*")),
            ("memory://x", ("memory:///", "x")),
        ],
    )
    def test_a_url_is_split_into_store_and_path(self, url, expected):
        assert split_url(url) == expected

    def test_data_may_be_a_url(self, of, local):
        for path in ("train", "one.csv", "train/*.csv"):
            assert of(data(f"{local.url}/{path}", datastore=None)).document == of(data(path)).document

    def test_a_url_is_opened_by_who_knows_the_credentials(self, opener, remote):
        asked = []

        def open_url(url):
            asked.append(url)
            return remote

        (found,) = list_data(data("abfs://c@account/train/*.csv", datastore=None), opener, open_url=open_url)
        assert asked == ["abfs://c@account/train"]
        assert found.kind == "glob"

    def test_a_web_server_is_never_listed(self, local):
        class Web(LocalStore):
            url = "https://host/data"

            def __init__(self):
                pass

            def info(self, path):
                return None

        with pytest.raises(DataError, match="there is nothing at https://host/data/x"):
            find(Web(), "x")

    @pytest.fixture
    def server(self):
        pytest.importorskip("aiohttp", reason="the http extra is not installed")

        answers = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, body, headers = answers.get(self.path, (404, b"", {}))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_):
                pass

        with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
            yield url, answers

    def test_a_web_page_is_known_by_its_etag_or_its_content(self, of, server):
        url, answers = server
        answers["/a.csv"] = (200, b"one", {"ETag": '"1"'})
        answers["/b.csv"] = (200, b"one", {})
        assert of(data(f"{url}/a.csv", datastore=None)).document["kind"] == "etag"
        first = of(data(f"{url}/b.csv", datastore=None))
        assert first.manifest == Manifest((Entry("b.csv", 3, digest_bytes(b"one")),), single=True)
        answers["/b.csv"] = (200, b"two", {})
        assert of(data(f"{url}/b.csv", datastore=None)).document != first.document
        with pytest.raises(DataError, match=r"there is nothing at http://.*/none"):
            of(data(f"{url}/none", datastore=None))


SEGMENT = st.sampled_from(["a", "b", "a.csv", "x"])
GLOB = st.lists(st.sampled_from(["a", "*", "**", "?", "[ab]", "*.csv", "a*"]), min_size=1, max_size=4).map(
    "/".join
)


@given(GLOB, st.lists(SEGMENT, min_size=1, max_size=4).map("/".join))
def test_a_folder_above_a_match_is_entered(pattern, path):
    rules = GlobRules(pattern)
    assert rules.takes(path) == glob_matcher(pattern)(path)
    if rules.takes(path):
        parts = path.split("/")
        assert all(rules.enters("/".join(parts[:depth])) for depth in range(1, len(parts)))


def test_folders_that_a_glob_can_not_match_in_are_not_walked(local):
    listing = list_tree(str(local.root / "train"), GlobRules("*.csv"))
    assert listing.folders == {"deep": False}


def test_a_location_knows_its_files(local):
    found = find(local, "train/**/*.csv")
    assert found.files == ["train/a.csv", "train/b.csv", "train/deep/c.csv"]
    assert [found.relative(path) for path in found.files] == ["a.csv", "b.csv", "deep/c.csv"]
    assert found.base == "train"
    assert find(local, "train").files == sorted(TRAIN)
    assert find(local, "one.csv").kind == "file"


def test_files_that_vanish_are_an_error(of, weak, monkeypatch):
    class Vanishing(FsspecStore):
        def open(self, path):
            raise StoreError("gone")

    monkeypatch.setattr(weak, "__class__", Vanishing)
    with pytest.raises(DataError, match="'one.csv' in .* can't be read: gone"):
        of(data("one.csv", datastore="weak"))


def test_many_files_take_little_memory(tmp_path):
    files = 1000
    for number in range(files):
        (tmp_path / "many" / str(number % 10)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "many" / str(number % 10) / f"{number}.csv").touch()
    store, cache = LocalStore(tmp_path / "many"), StatCache(tmp_path / "cache")
    tracemalloc.start()
    for _ in range(2):
        fingerprint_data(data("", datastore=None), lambda _: store, "content", cache)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < files * 2000  # 100 MB for 50,000 files
