"""What the local store owes besides the contract, and how stores are opened."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import InvalidPathError, NotFoundError, StoreError
from airflow_ml_pipelines.core.stores.fsspec_store import FsspecStore
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.core.stores.store import check_path, join


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


def fail(code):
    def raise_error(*_args, **_options):
        raise OSError(code, os.strerror(code))

    return raise_error


class TestOpening:
    @pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}", "FILE://{}", "local://{}"])
    def test_a_folder_is_a_local_store(self, form, tmp_path):
        store = open_store(form.format(tmp_path))
        assert isinstance(store, LocalStore)
        assert store.root == tmp_path

    def test_a_path_may_be_relative_and_may_begin_with_the_home(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        assert open_store("a/../b").local_path("c") == tmp_path / "b/c"
        assert open_store("~/data").local_path("") == tmp_path / "home/data"
        assert open_store("a~b").local_path("") == tmp_path / "a~b"

    @pytest.mark.parametrize("name", ["a:b", "2024:01/x", "a#b", "a?b", "100%", "a%20b"])
    def test_a_path_is_no_url(self, name, tmp_path):
        assert open_store(f"{tmp_path}/{name}").local_path("") == tmp_path / name

    def test_a_file_url_is_unquoted(self, tmp_path):
        assert open_store(f"file://{tmp_path}/a%20b%23c").local_path("") == tmp_path / "a b#c"

    def test_a_name_that_is_not_utf8_survives_in_a_url(self, tmp_path):
        store = LocalStore(tmp_path / os.fsdecode(b"caf\xe9"))
        assert store.url.endswith("caf%E9")
        assert open_store(store.url).local_path("") == store.local_path("")

    def test_a_file_url_with_a_host_is_refused(self):
        with pytest.raises(StoreError, match="names the host 'server'"):
            open_store("file://server/share")

    def test_any_other_scheme_is_fsspecs(self):
        assert isinstance(open_store("memory://x"), FsspecStore)

    def test_a_scheme_that_is_not_known_is_named(self):
        with pytest.raises(StoreError, match=r"no file system is called 's33'. Did you mean 's3'\?"):
            open_store("s33://bucket")

    def test_a_package_that_is_missing_is_named(self, monkeypatch):
        import fsspec

        def missing(*_args, **_options):
            raise ImportError("No module named paramiko")

        monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
        with pytest.raises(StoreError, match=r"pip install 'airflow-provider-ml-pipelines\[sftp\]'"):
            open_store("sftp://host/a")

    def test_a_password_is_not_shown(self):
        with pytest.raises(StoreError) as caught:
            open_store("nothing://user:geheim@host/x")
        assert "geheim" not in str(caught.value)


class TestPaths:
    @given(st.lists(st.sampled_from(["a", "b.c", "", ".", " "]), max_size=5))
    def test_a_path_has_no_empty_segments(self, segments):
        path = check_path("/".join(["x", *segments]))
        assert path.split("/") == ["x", *(segment for segment in segments if segment not in ("", "."))]
        assert check_path(path) == path

    @pytest.mark.parametrize("path", ["..", "a/..", "../a", "/a", "a\0"])
    def test_a_path_that_leaves_the_store_is_refused(self, path):
        with pytest.raises(InvalidPathError):
            check_path(path)

    def test_parts_are_joined_without_empty_ones(self):
        assert join("a/", "", "/b/c", "d") == "a/b/c/d"


class TestLinks:
    def test_links_are_followed(self, store, tmp_path):
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside/x").write_bytes(b"x")
        store.put("a/file", b"file")
        (store.root / "folder").symlink_to(tmp_path / "outside")
        (store.root / "link").symlink_to("a/file")
        (store.root / "nothing").symlink_to("none")
        os.mkfifo(store.root / "fifo")
        assert {info.path: info.size for info in store.walk()} == {"a/file": 4, "folder/x": 1, "link": 4}
        assert store.info("link").size == 4
        assert store.info("nothing") is None
        assert store.info("fifo") is None

    @pytest.mark.parametrize("target", [".", "..", "../.."])
    def test_a_link_that_leads_back_is_refused(self, target, store):
        store.put("a/b/file", b"x")
        (store.root / "a/b/loop").symlink_to(target)
        with pytest.raises(StoreError, match="loop leads back to"):
            list(store.walk())


class TestFailing:
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
    def test_a_write_that_fails_names_the_file_and_leaves_nothing(self, code, store, monkeypatch, tmp_path):
        store.put("a/object", b"old")
        source = tmp_path / "source"
        source.write_bytes(b"x")
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", fail(code))
            patch.setattr(os, "link", fail(errno.ENOSPC))
            for write in (store.put, store.create, lambda path, _: store.upload(source, path)):
                with pytest.raises(
                    StoreError, match=f"a/(object|new) can't be written: {os.strerror(code)}|No space"
                ):
                    write("a/new", b"x")
        assert [p.name for p in (store.root / "a").iterdir()] == ["object"]
        assert store.get("a/object") == b"old"

    def test_a_read_that_fails_names_the_file(self, store, monkeypatch):
        store.put("a", b"x")
        monkeypatch.setattr("builtins.open", fail(errno.EIO))
        with pytest.raises(StoreError, match=r"store/a can't be read: Input/output error"):
            store.get("a")

    def test_a_name_that_is_too_long_is_named(self, store):
        with pytest.raises(StoreError, match="File name too long"):
            store.put("x" * 5000, b"")

    def test_a_folder_that_can_not_be_read_is_named(self, store, monkeypatch):
        store.put("a/b", b"x")
        monkeypatch.setattr(os, "scandir", fail(errno.EACCES))
        with pytest.raises(StoreError, match=r"folder .*store can't be read: Permission denied"):
            list(store.walk())

    def test_a_store_that_is_a_file_is_named(self, tmp_path):
        (tmp_path / "file").write_text("")
        store = LocalStore(tmp_path / "file")
        with pytest.raises(StoreError, match="a part of its path is a file"):
            store.put("a", b"x")
        with pytest.raises(NotFoundError):
            store.get("a")
        assert list(store.walk()) == []

    def test_an_object_is_not_written_over_a_folder(self, store):
        store.put("a/b", b"x")
        with pytest.raises(StoreError, match="store/a can't be written: it is a folder"):
            store.put("a", b"x")
        assert not store.create("a", b"x")

    def test_create_works_where_there_are_no_hard_links(self, store, monkeypatch):
        monkeypatch.setattr(os, "link", fail(errno.EPERM))
        assert store.create("a", b"one")
        assert not store.create("a", b"two")
        monkeypatch.setattr(os.path, "lexists", lambda _: False)
        assert not store.create("a", b"two")
        assert store.get("a") == b"one"
        assert [p.name for p in store.root.iterdir()] == ["a"]


def test_what_a_killed_writer_left_is_not_shown(store):
    store.put("a/b", b"x")
    (store.root / "a" / ".~123-abcdef").write_bytes(b"half")
    assert [info.path for info in store.walk()] == ["a/b"]


def test_the_version_tells_two_writes_of_one_moment_apart(store, monkeypatch):
    versions = set()
    for data in (b"one", b"two"):
        store.put("a", data)
        os.utime(store.root / "a", ns=(10**18, 10**18))
        versions.add(store.info("a").version)
    assert len(versions) == 2


def test_a_store_may_be_the_whole_file_system():
    assert LocalStore("/").local_path("etc/hosts") == Path("/etc/hosts")
    assert LocalStore("/").url == "file:///"


def test_an_object_in_memory_is_read_whole_by_many_at_once(tmp_path):
    store = FsspecStore(f"memory://{tmp_path}")
    data = bytes(range(256)) * 1000
    source = tmp_path / "source"
    source.write_bytes(data)
    store.upload(source, "a/b")
    wrong = []

    def read(number: int) -> None:
        for _ in range(50):
            store.upload(source, "a/b")
            store.download("a/b", tmp_path / str(number))
            wrong.extend(
                found for found in (store.get("a/b"), (tmp_path / str(number)).read_bytes()) if found != data
            )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, range(4)))
    assert not wrong
