import os
import shutil
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.files import statcache, tree, walk
from airflow_ml_pipelines.core.files.digest import digest_bytes
from airflow_ml_pipelines.core.files.manifest import Entry, Manifest
from airflow_ml_pipelines.core.files.statcache import NoStatCache, StatCache
from airflow_ml_pipelines.core.files.tree import recall_file, recall_tree, scan_file, scan_tree

not_as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    for path, data in {"a.txt": b"one", "b/c.txt": b"two", "b/d/e.txt": b"three", "b/d/f.txt": b""}.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder


@pytest.fixture
def cache(tmp_path):
    return StatCache(tmp_path / "cache")


@pytest.fixture
def settled(monkeypatch):
    """Files need not be old to be remembered, except those with a time stamp in the future."""
    monkeypatch.setattr(tree, "RACY_NS", -1_000_000_000)


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that are read."""
    names = []
    read_digest = tree.read_digest

    def spy(path, size=None):
        names.append(os.path.basename(path))
        return read_digest(path, size)

    monkeypatch.setattr(tree, "read_digest", spy)
    return names


def manifest_of(folder):
    return Manifest.of(
        Entry(p.relative_to(folder).as_posix(), p.stat().st_size, digest_bytes(p.read_bytes()))
        for p in folder.rglob("*")
        if p.is_file()
    )


def check(root, cache):
    """What a scan says, which must be what is there."""
    found = scan_tree(root, cache=cache)
    expected = manifest_of(root)
    assert found.digest == expected.digest
    assert found.manifest == expected
    assert (found.files, found.size) == (len(expected), expected.size)
    return found


class TestScanning:
    def test_a_tree_is_the_manifest_of_its_files(self, root, cache):
        check(root, cache)
        check(root, NoStatCache())

    def test_a_folder_without_files_is_an_empty_manifest(self, tmp_path, cache):
        (tmp_path / "empty/inside").mkdir(parents=True)
        assert scan_tree(tmp_path / "empty", cache=cache).manifest == Manifest(())

    def test_one_file_is_a_tree_of_its_own(self, root, cache, settled):
        for _ in range(2):
            found = scan_file(root / "a.txt", cache=cache)
            assert found.manifest == Manifest((Entry("a.txt", 3, digest_bytes(b"one")),), single=True)
            assert found.digest == found.manifest.digest

    def test_what_is_no_folder_is_refused(self, root, cache):
        with pytest.raises(DataError, match=r"none is not there: expected a folder"):
            scan_tree(root / "none", cache=cache)
        with pytest.raises(DataError, match=r"a\.txt is a file: expected a folder"):
            scan_tree(root / "a.txt", cache=cache)

    def test_what_is_no_file_is_refused(self, root, cache):
        with pytest.raises(DataError, match=r"none is not there: expected a file"):
            scan_file(root / "none", cache=cache)
        with pytest.raises(DataError, match=r"b is a folder: expected a file"):
            scan_file(root / "b", cache=cache)

    def test_what_was_scanned_is_recalled_without_being_read(self, root, cache, settled, reads):
        assert recall_tree(root, cache=cache) == {}
        expected = {entry.path: entry.digest for entry in scan_tree(root, cache=cache).manifest}
        reads.clear()
        assert recall_tree(root, cache=cache) == expected
        (root / "a.txt").write_bytes(b"ONE")
        (root / "new").write_bytes(b"new")
        (root / "b/c.txt").unlink()
        assert recall_tree(root, cache=cache).keys() == {"b/d/e.txt", "b/d/f.txt"}
        assert reads == []

    def test_what_may_change_unseen_is_not_recalled(self, root, cache):
        scan_tree(root, cache=cache)
        assert recall_tree(root, cache=cache) == {}

    def test_nothing_is_recalled_of_what_is_gone(self, root, cache, settled):
        scan_tree(root, cache=cache)
        scan_file(root / "a.txt", cache=cache)
        assert recall_file(root / "a.txt", cache=cache) == {"a.txt": digest_bytes(b"one")}
        shutil.rmtree(root)
        assert (recall_tree(root, cache=cache), recall_file(root / "a.txt", cache=cache)) == ({}, {})

    def test_a_file_that_vanishes_meanwhile_does_not_count(self, root, cache, monkeypatch):
        read_digest = tree.read_digest

        def vanish(path, size=None):
            if path.endswith("e.txt") and os.path.exists(path):
                os.unlink(path)
            return read_digest(path, size)

        monkeypatch.setattr(tree, "read_digest", vanish)
        assert "b/d/e.txt" not in {entry.path for entry in check(root, cache).manifest}

    def test_a_folder_that_never_rests_is_refused(self, root, cache, monkeypatch):
        def vanish(path, size=None):
            raise FileNotFoundError(path)

        monkeypatch.setattr(tree, "read_digest", vanish)
        with pytest.raises(DataError, match="keeps changing"):
            scan_tree(root, cache=cache)

    @not_as_root
    def test_what_can_not_be_read_is_named(self, root, cache):
        (root / "b/c.txt").chmod(0)
        with pytest.raises(DataError, match=r"c\.txt can't be read: Permission denied"):
            scan_tree(root, cache=cache)
        (root / "b").chmod(0)
        try:
            with pytest.raises(DataError, match=r"b can't be read: Permission denied"):
                scan_tree(root, cache=cache)
        finally:
            (root / "b").chmod(0o700)

    def test_what_can_not_be_read_is_named_for_root_too(self, root, cache, monkeypatch):
        def refuse(path, size=None):
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr(tree, "read_digest", refuse)
        with pytest.raises(DataError, match=r"root/.*\.txt can't be read: Permission denied"):
            scan_tree(root, cache=cache)

    def test_names_that_are_not_utf8_count(self, root, cache, settled):
        (root / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
        first = check(root, cache)
        assert check(root, cache).digest == first.digest


class TestRemembering:
    def test_unchanged_files_are_not_read_again(self, root, cache, settled, reads):
        check(root, cache)
        assert sorted(reads) == ["a.txt", "c.txt", "e.txt", "f.txt"]
        del reads[:]
        check(root, cache)
        assert reads == []

    def test_only_what_changed_is_read(self, root, cache, settled, reads):
        check(root, cache)
        del reads[:]
        (root / "b/c.txt").write_bytes(b"TWO")
        (root / "new.txt").write_bytes(b"new")
        (root / "a.txt").unlink()
        check(root, cache)
        assert sorted(reads) == ["c.txt", "new.txt"]

    def test_the_order_in_which_folders_are_read_does_not_matter(
        self, root, cache, settled, reads, monkeypatch
    ):
        first = check(root, cache)
        del reads[:]
        scandir = os.scandir

        class Reversed:
            def __init__(self, path):
                with scandir(path) as entries:
                    self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

            def __enter__(self):
                return iter(self.entries)

            def __exit__(self, *_):
                pass

        monkeypatch.setattr(walk.os, "scandir", Reversed)
        assert (
            scan_tree(root, cache=cache).digest == scan_tree(root, cache=NoStatCache()).digest == first.digest
        )
        assert len(reads) == 4  # by the second one, which remembers nothing

    def test_a_change_that_keeps_size_and_mtime_is_noticed(self, root, cache, settled):
        check(root, cache)
        before = (root / "a.txt").stat()
        time.sleep(0.02)
        (root / "a.txt").write_bytes(b"ONE")
        os.utime(root / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
        check(root, cache)

    def test_files_swapped_are_noticed(self, root, cache, settled):
        (root / "a.txt").write_bytes(b"two")
        (root / "b/c.txt").write_bytes(b"one")
        for path in ("a.txt", "b/c.txt"):
            os.utime(root / path, (1, 1))
        check(root, cache)
        (root / "a.txt").rename(root / "x")
        (root / "b/c.txt").rename(root / "a.txt")
        (root / "x").rename(root / "b/c.txt")
        check(root, cache)

    def test_a_change_within_the_tick_of_the_clock_is_noticed(self, root, cache, monkeypatch):
        """A file system whose clock stands still: nothing but the bytes tells that a file changed."""
        real, frozen = walk.STAT, time.time_ns()

        def pack(size, _mtime, _ctime, inode, mode):
            return real.pack(size, frozen, frozen, inode, mode)

        monkeypatch.setattr(
            walk, "STAT", SimpleNamespace(pack=pack, size=real.size, iter_unpack=real.iter_unpack)
        )
        for turn in range(4):
            (root / "a.txt").write_bytes(b"%03d" % turn)
            check(root, cache)

    def test_a_file_that_has_just_been_written_is_read_again(self, root, cache, reads):
        old = time.time() - 100
        for path in ("b/c.txt", "b/d/e.txt"):
            os.utime(root / path, (old, old))
        check(root, cache)
        del reads[:]
        check(root, cache)
        assert set(reads) == {"a.txt", "c.txt", "e.txt", "f.txt"}  # utime() makes the ctime new

    def test_a_time_stamp_in_the_future_is_not_trusted(self, root, cache, settled, reads):
        later = time.time() + 1000
        os.utime(root / "a.txt", (later, later))
        check(root, cache)
        del reads[:]
        check(root, cache)
        assert reads == ["a.txt"]

    def test_a_file_that_grew_while_it_was_read_is_read_again(self, root, cache, settled, monkeypatch):
        read_digest = tree.read_digest

        def grow(path, size=None):
            if path.endswith("a.txt"):
                with open(path, "ab") as file:
                    file.write(b"+")
            return read_digest(path, size)

        with monkeypatch.context() as patch:
            patch.setattr(tree, "read_digest", grow)
            found = scan_tree(root, cache=cache)
        assert found.manifest.entries[0] == Entry("a.txt", 4, digest_bytes(b"one+"))
        check(root, cache)

    def test_two_folders_do_not_disturb_each_other(self, root, cache, settled, tmp_path):
        other = tmp_path / "other"
        other.mkdir()
        (other / "a.txt").write_bytes(b"other")
        for _ in range(2):
            check(root, cache)
            check(other, cache)

    def test_a_folder_that_lies_elsewhere_has_the_same_digest(self, root, cache, settled, tmp_path):
        first = check(root, cache)
        root.rename(tmp_path / "moved")
        assert check(tmp_path / "moved", cache).digest == first.digest

    def test_the_manifest_of_an_unchanged_tree_outlives_the_cache(self, root, cache, settled, reads):
        check(root, cache)
        found = scan_tree(root, cache=cache)
        for file in cache.folder.iterdir():
            file.unlink()
        del reads[:]
        assert found.manifest == manifest_of(root)
        assert reads == []


class TestCacheFiles:
    def table(self, cache):
        (file,) = cache.folder.iterdir()
        return file

    @pytest.mark.parametrize("at", [0, 5, 25, 60, 100, 180, 200, 230, -1, -40, -100])
    def test_a_damaged_byte_does_no_harm(self, root, cache, settled, at):
        check(root, cache)
        file = self.table(cache)
        data = bytearray(file.read_bytes())
        data[at] ^= 0xFF
        file.write_bytes(data)
        check(root, cache)
        check(root, cache)

    @pytest.mark.parametrize("part", [0, 10, 100, 250, -1])
    def test_a_torn_file_does_no_harm(self, root, cache, settled, part):
        check(root, cache)
        file = self.table(cache)
        file.write_bytes(file.read_bytes()[:part])
        check(root, cache)

    @pytest.mark.parametrize("data", [b"", b"foreign", bytes(10_000), b"ml-pipelines/stat/2\n" + bytes(1000)])
    def test_a_foreign_file_does_no_harm(self, root, cache, settled, data):
        check(root, cache)
        self.table(cache).write_bytes(data)
        check(root, cache)

    def test_the_table_of_another_folder_does_no_harm(self, root, cache, settled, tmp_path):
        (tmp_path / "other").mkdir()
        (tmp_path / "other/a.txt").write_bytes(b"one")
        check(root, cache)
        file = self.table(cache)
        check(tmp_path / "other", cache)
        (other,) = set(cache.folder.iterdir()) - {file}
        file.write_bytes(other.read_bytes())
        check(root, cache)

    def test_a_cache_folder_that_is_a_file_does_no_harm(self, root, tmp_path):
        (tmp_path / "cache").write_text("")
        for folder in ("cache", "cache/below"):
            check(root, StatCache(tmp_path / folder))

    def test_a_cache_folder_that_can_not_be_written_to_does_no_harm(self, root):
        check(root, StatCache("/proc/none"))

    def test_nothing_is_left_beside_the_tables(self, root, cache, settled):
        for turn in range(3):
            (root / "a.txt").write_bytes(b"x" * turn)
            check(root, cache)
        assert len(list(cache.folder.iterdir())) == 1

    def test_writers_at_the_same_time_do_not_disturb_each_other(self, root, cache, settled):
        digests, expected = [], manifest_of(root).digest

        def scan():
            digests.extend(scan_tree(root, cache=StatCache(cache.folder)).digest for _ in range(20))

        threads = [threading.Thread(target=scan) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert digests == [expected] * 80

    def test_tables_that_nobody_used_for_long_are_cleared_away(self, root, cache, tmp_path):
        check(root, cache)
        old = self.table(cache)
        os.utime(old, (1, 1))
        scan_tree(tmp_path, cache=cache)
        assert not old.exists()

    def test_a_table_that_is_used_is_kept(self, root, cache, settled, tmp_path):
        check(root, cache)
        used = self.table(cache)
        os.utime(used, (1, 1))
        check(root, cache)
        scan_tree(tmp_path, cache=cache)
        assert used.exists()

    def test_the_default_cache_is_the_users(self, monkeypatch, tmp_path):
        monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path))
        assert StatCache.default().folder == tmp_path / "stat"
        monkeypatch.delenv("ML_PIPELINES_CACHE")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        assert StatCache.default().folder == tmp_path / "home/.cache/ml-pipelines/stat"
        assert statcache.NoStatCache().load("x") is None


class TestLinks:
    def test_links_count_as_what_they_lead_to(self, root, cache, settled, tmp_path):
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside/x").write_bytes(b"x")
        (root / "file").symlink_to("a.txt")
        (root / "folder").symlink_to(tmp_path / "outside")
        (root / "again").symlink_to("b/d")
        paths = {entry.path: entry.size for entry in scan_tree(root, cache=cache).manifest}
        assert paths["file"] == 3
        assert paths["folder/x"] == 1
        assert paths["again/e.txt"] == 5

    def test_a_change_behind_a_link_is_noticed(self, root, cache, settled):
        (root / "link").symlink_to("b/c.txt")
        first = scan_tree(root, cache=cache)
        (root / "link").unlink()
        (root / "link").symlink_to("a.txt")
        assert scan_tree(root, cache=cache).digest != first.digest

    def test_links_to_nothing_and_odd_files_are_left_out(self, root, cache, monkeypatch):
        expected = manifest_of(root).digest
        (root / "nothing").symlink_to("none")
        (root / "itself").symlink_to("itself")
        os.mkfifo(root / "fifo")
        with socket.socket(socket.AF_UNIX) as server:
            monkeypatch.chdir(root)  # the path of a socket must be short
            server.bind("socket")
            assert scan_tree(root, cache=cache).digest == expected

    def test_what_is_still_being_written_is_left_out(self, root, cache):
        expected = manifest_of(root).digest
        (root / "b/.~123-ab").write_bytes(b"half")
        assert scan_tree(root, cache=cache).digest == expected

    @pytest.mark.parametrize("target", ["..", "../..", ".", "../../root", "../../root/b"])
    def test_a_link_that_leads_back_is_refused(self, root, cache, target):
        (root / "b/loop").symlink_to(target)
        with pytest.raises(DataError, match=r"b/loop leads back to"):
            scan_tree(root, cache=cache)

    def test_links_that_lead_to_each_other_are_refused(self, root, cache):
        (root / "one").mkdir()
        (root / "two").mkdir()
        (root / "one/x").symlink_to("../two")
        (root / "two/y").symlink_to("../one")
        with pytest.raises(DataError, match="leads back to"):
            scan_tree(root, cache=cache)

    def test_two_links_to_one_folder_are_fine(self, root, cache):
        (root / "one").symlink_to("b")
        (root / "two").symlink_to("b")
        assert scan_tree(root, cache=cache).files == 10


PATHS = st.lists(st.sampled_from(["a", "b", "c/a", "c/b", "c/d/a", "e"]), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=st.lists(st.tuples(PATHS, st.sampled_from(["write", "remove", "touch"])), max_size=6))
def test_a_scan_always_says_what_is_there(turns, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    cache = StatCache(tmp_path_factory.mktemp("cache"))
    for number, (paths, action) in enumerate(turns):
        for path in paths:
            file = root / path
            if action == "write":
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(b"%d" % number)
            elif action == "remove":
                file.unlink(missing_ok=True)
            elif file.exists():
                os.utime(file, (number, number))
        check(root, cache)
