import json
import os
import shutil
import socket
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import SnapshotError
from airflow_ml_pipelines.core.files import tree
from airflow_ml_pipelines.core.files.archive import unpack_archive
from airflow_ml_pipelines.core.files.manifest import Manifest
from airflow_ml_pipelines.core.files.statcache import NoStatCache, StatCache
from airflow_ml_pipelines.core.steps import snapshot as snapshots
from airflow_ml_pipelines.core.steps.snapshot import digest_paths, take_snapshot
from airflow_ml_pipelines.core.stores.fsspec_store import FsspecStore
from airflow_ml_pipelines.core.stores.local_store import LocalStore

GOLDEN = json.loads((Path(__file__).parent / "golden_snapshots.json").read_text("utf-8"))

NAMES = st.sampled_from(["a", "b.py", "data", "Größe", "with space", "x%20#?"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(
    PATHS, st.tuples(st.binary(max_size=20), st.booleans()), min_size=1, max_size=6
).filter(lambda files: not any(other.startswith(path + "/") for path in files for other in files))
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(folder, files):
    for path, (data, executable) in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o755 if executable else 0o644)
    return folder


def digest(folder, **options):
    return take_snapshot(folder, cache=NoStatCache(), **options).digest


@pytest.fixture
def source(tmp_path):
    files = {
        "train.py": (b"print()\n", False),
        "lib/util.py": (b"x = 1\n", False),
        "run.sh": (b"#!/bin/sh\n", True),
    }
    return write(tmp_path / "source", files)


class TestDigest:
    @quick
    @given(files=FILES, data=st.data())
    def test_the_digest_varies_on_any_byte(self, files, data, tmp_path_factory):
        folder = write(tmp_path_factory.mktemp("source"), files)
        before = digest(folder)
        path = data.draw(st.sampled_from(sorted(files)))
        content = bytearray(files[path][0])
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        else:
            content += b"\0"
        (folder / path).write_bytes(content)
        assert digest(folder) != before

    @quick
    @given(files=FILES, data=st.data())
    def test_the_digest_varies_on_any_name_bit_and_file(self, files, data, tmp_path_factory):
        folder = write(tmp_path_factory.mktemp("source"), files)
        path = data.draw(st.sampled_from(sorted(files)))
        found = {digest(folder)}
        (folder / path).chmod(0o644 if files[path][1] else 0o755)
        found.add(digest(folder))
        (folder / path).rename(folder / f"{path}.renamed")
        found.add(digest(folder))
        (folder / f"{path}.renamed").unlink()
        found.add(digest(folder))
        (folder / "added").write_bytes(b"")
        found.add(digest(folder))
        assert len(found) == 5

    @quick
    @given(files=FILES, order=st.randoms())
    def test_the_digest_does_not_vary_on_place_order_or_time(self, files, order, tmp_path_factory):
        before = digest(write(tmp_path_factory.mktemp("source"), files))
        shuffled = list(files.items())
        order.shuffle(shuffled)
        folder = write(tmp_path_factory.mktemp("elsewhere") / "deep" / "er", dict(shuffled))
        for number, path in enumerate(files):
            os.utime(folder / path, (number, number))
        assert digest(folder) == before
        assert digest(Path(os.path.relpath(folder))) == before
        assert digest(folder / "..") != before
        assert digest(folder / ".." / folder.name) == before

    @pytest.mark.parametrize(
        "name",
        [
            ".git/HEAD",
            "__pycache__/x.pyc",
            "x.pyc",
            ".venv/x",
            "env/pyvenv.cfg",
            "train.py~",
            ".train.py.swp",
            ".gitignore",
            ".ml-pipelines/runs/x",
            "notes.log",
            "out/model.pkl",
        ],
    )
    def test_the_digest_does_not_vary_on_what_is_ignored(self, name, source):
        (source / ".amlignore").write_text("*.log\nout/\n")
        before = digest(source)
        for data in (b"one", b"other"):
            write(source, {name: (data, False)})
            assert digest(source) == before

    def test_the_digest_does_not_vary_on_other_permissions_and_empty_folders(self, source):
        before = digest(source)
        (source / "train.py").chmod(0o600)
        (source / "run.sh").chmod(0o777)
        (source / "empty/folders").mkdir(parents=True)
        assert digest(source) == before

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
    def test_the_digest_does_not_vary_on_the_owner(self, source):
        before = digest(source)
        os.chown(source / "train.py", 12345, 12345)
        assert digest(source) == before

    def test_the_digest_varies_on_the_steps_own_patterns(self, source):
        assert digest(source, ignore=["lib/"]) != digest(source)
        shutil.rmtree(source / "lib")
        assert digest(source, ignore=["lib/"]) == digest(source)

    @pytest.mark.parametrize("name", sorted(GOLDEN))
    def test_the_digest_of_a_golden_tree_never_changes(self, name, tmp_path):
        golden = GOLDEN[name]
        files = {path: (text.encode(), bit) for path, (text, bit) in golden["files"].items()}
        for path, (data, bit) in files.items():
            if data.startswith(b"repeat "):
                _, text, times = data.split(b" ")
                files[path] = (text * int(times), bit)
        snapshot = take_snapshot(write(tmp_path, files), ignore=golden.get("ignore", []), cache=NoStatCache())
        assert [entry.path for entry in snapshot.manifest] == golden["taken"]
        assert snapshot.digest == golden["digest"]

    def test_an_unchanged_directory_is_known_from_the_cache(self, source, tmp_path, monkeypatch):
        monkeypatch.setattr(tree, "RACY_NS", -1_000_000_000)
        cache = StatCache(tmp_path / "cache")
        first = take_snapshot(source, ignore=["lib/"], cache=cache)
        monkeypatch.setattr(tree, "read_digest", None)
        second = take_snapshot(source, ignore=["lib/"], cache=cache)
        assert (second.digest, second.manifest) == (first.digest, first.manifest)
        with pytest.raises(TypeError):
            take_snapshot(source, ignore=["lib/", "!*.py"], cache=cache)


class TestRefusing:
    @pytest.mark.parametrize("name", ["none", "train.py"])
    def test_a_directory_that_is_missing_is_named(self, name, source):
        found = "a file" if name == "train.py" else "nothing there"
        with pytest.raises(SnapshotError, match=f"expected a folder at .*{name}, found {found}"):
            take_snapshot(source / name, cache=NoStatCache())

    def test_links_inside_count_as_what_they_lead_to(self, source):
        (source / "link.py").symlink_to(source / "lib/util.py")
        (source / "more").symlink_to("lib")
        linked = digest(source)
        for name in ("link.py", "more"):
            (source / name).unlink()
        shutil.copy(source / "lib/util.py", source / "link.py")
        shutil.copytree(source / "lib", source / "more")
        assert digest(source) == linked

    @pytest.mark.parametrize("target", ["../outside", "../outside/x", "/etc/hostname", "lib/../../outside"])
    def test_a_link_that_leaves_the_directory_is_refused(self, target, source, tmp_path):
        write(tmp_path / "outside", {"x": (b"x", False)})
        (source / "lib/link").symlink_to(target if target.startswith("/") else os.path.join("..", target))
        with pytest.raises(SnapshotError, match=r"lib/link leads to .*(outside|hostname).*, out of .*source"):
            digest(source)
        assert digest(source, ignore=["link"])

    def test_a_link_to_nothing_is_refused(self, source):
        (source / "link").symlink_to("none")
        with pytest.raises(SnapshotError, match="link leads to 'none', which can't be read"):
            digest(source)

    def test_a_link_that_leads_back_is_refused(self, source):
        (source / "lib/loop").symlink_to("..")
        with pytest.raises(SnapshotError, match="lib/loop leads back to"):
            digest(source)
        assert digest(source, ignore=["loop"])

    @pytest.mark.parametrize("kind", ["fifo", "socket"])
    def test_what_is_neither_file_nor_folder_is_refused(self, kind, source, monkeypatch):
        monkeypatch.chdir(source)  # the path of a socket must be short
        with socket.socket(socket.AF_UNIX) as server:
            os.mkfifo("odd") if kind == "fifo" else server.bind("odd")
            with pytest.raises(SnapshotError, match="odd is neither a file nor a folder"):
                digest(source)
        assert digest(source, ignore=["odd"])

    def test_a_name_that_is_not_utf8_is_refused_when_it_is_stored(self, source, tmp_path):
        (source / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
        snapshot = take_snapshot(source, cache=NoStatCache())
        with pytest.raises(SnapshotError, match="caf.* is not UTF-8: rename the file or ignore it"):
            snapshot.publish(LocalStore(tmp_path / "store"))


class TestPublishing:
    @pytest.fixture(params=["local", "memory"])
    def store(self, request, tmp_path):
        return (
            LocalStore(tmp_path / "store")
            if request.param == "local"
            else FsspecStore(f"memory://{tmp_path}")
        )

    def test_the_archive_has_the_files_and_the_listing_says_so(self, source, store, tmp_path):
        snapshot = take_snapshot(source, cache=NoStatCache())
        path = snapshot.publish(store)
        assert path == f"snapshots/{snapshot.digest}.zip"
        store.download(path, tmp_path / "copy.zip")
        unpack_archive(tmp_path / "copy.zip", tmp_path / "copy")
        assert digest(tmp_path / "copy") == snapshot.digest
        listing = json.loads(store.get(f"snapshots/{snapshot.digest}.json"))
        assert Manifest.from_dict(listing) == snapshot.manifest

    def test_nothing_is_written_where_it_is_stored(self, source, store):
        first = take_snapshot(source, cache=NoStatCache())
        first.publish(store)
        before = sorted(store.walk(), key=lambda info: info.path)
        take_snapshot(source, cache=NoStatCache()).publish(store)
        assert sorted(store.walk(), key=lambda info: info.path) == before
        assert len(before) == 2

    @pytest.mark.parametrize("suffix", ["zip", "json"])
    def test_what_is_missing_of_the_two_is_written_again(self, suffix, source, store):
        snapshot = take_snapshot(source, cache=NoStatCache())
        snapshot.publish(store)
        store.delete(f"snapshots/{snapshot.digest}.{suffix}")
        snapshot.publish(store)
        assert store.info(f"snapshots/{snapshot.digest}.{suffix}") is not None

    def test_ignored_files_are_not_in_the_archive(self, source, store, tmp_path):
        (source / ".gitignore").write_text("lib/")
        path = take_snapshot(source, ignore=["*.sh"], cache=NoStatCache()).publish(store)
        store.download(path, tmp_path / "copy.zip")
        with zipfile.ZipFile(tmp_path / "copy.zip") as archive:
            assert archive.namelist() == ["train.py"]

    @pytest.mark.parametrize("change", ["edit", "remove"])
    def test_what_changed_since_is_not_stored_under_the_old_digest(self, change, source, store):
        snapshot = take_snapshot(source, cache=NoStatCache())
        (source / "train.py").write_text("changed") if change == "edit" else (source / "train.py").unlink()
        with pytest.raises(SnapshotError, match=r"has changed since its snapshot was taken \(train\.py\)"):
            snapshot.publish(store)
        assert list(store.walk()) == []

    def test_a_file_that_was_changed_for_a_moment_is_looked_at_again(self, source, store, monkeypatch):
        snapshot = take_snapshot(source, cache=NoStatCache())
        write_archive = snapshots.write_archive
        (source / "train.py").write_text("changed")

        def restore(entries, target):
            written = write_archive(entries, target)
            (source / "train.py").write_bytes(b"print()\n")
            return written

        monkeypatch.setattr(snapshots, "write_archive", restore)
        assert store.info(snapshot.publish(store)) is not None


class TestHashPaths:
    def test_files_and_folders_have_a_digest_by_the_path_that_was_given(self, source, tmp_path):
        write(tmp_path / "shared", {"a": (b"x", False), "__pycache__/b": (b"x", False)})
        found = digest_paths(source, ["../shared", "train.py", str(tmp_path / "shared")], NoStatCache())
        assert list(found) == ["../shared", "train.py", str(tmp_path / "shared")]
        assert found["../shared"] == found[str(tmp_path / "shared")] != found["train.py"]
        write(tmp_path / "shared", {"__pycache__/b": (b"y", False)})
        assert digest_paths(source, ["../shared"], NoStatCache())["../shared"] == found["../shared"]
        write(tmp_path / "shared", {"a": (b"y", False)})
        assert digest_paths(source, ["../shared"], NoStatCache())["../shared"] != found["../shared"]

    def test_a_path_that_is_missing_is_named(self, source):
        with pytest.raises(SnapshotError, match=r"hash_paths 'none': .*none is not there"):
            digest_paths(source, ["none"], NoStatCache())


def test_a_checkout_and_an_export_of_it_are_the_same_snapshot(source, tmp_path):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    before = digest(source)
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", source, *command], check=True, env=environment)
    assert digest(source) == before
