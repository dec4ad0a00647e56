import os
import random
import stat
import zipfile

import pytest

from airflow_ml_pipelines.core.errors import SnapshotError
from airflow_ml_pipelines.core.files.archive import check_name, unpack_archive, write_archive
from airflow_ml_pipelines.core.files.digest import digest_bytes
from airflow_ml_pipelines.core.files.manifest import Entry, Manifest


def entry(path, data, *, executable=False):
    return Entry(path, len(data), digest_bytes(data), executable)


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()

    def write(contents):
        pairs = []
        for path, data in contents.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            pairs.append((entry(path, data, executable=path.endswith(".sh")), file))
        return pairs

    return write


def make_zip(path, entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data, mode in entries:
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            info.external_attr = mode << 16
            archive.writestr(info, data)
    return path


CONTENTS = {
    "train.py": b"print('hello')\n" * 100,
    "bin/run.sh": b"#!/bin/sh\n",
    "data/empty": b"",
    "data/big.bin": random.Random(1).randbytes(3 << 20),
    "Größe 数据.txt": b"x",
}


class TestWriting:
    def test_what_was_written_is_unpacked_again(self, files, tmp_path):
        written = write_archive(files(CONTENTS), tmp_path / "a.zip")
        unpack_archive(tmp_path / "a.zip", tmp_path / "out")
        found = {
            p.relative_to(tmp_path / "out").as_posix(): p.read_bytes()
            for p in (tmp_path / "out").rglob("*.*")
        }
        found |= {"data/empty": (tmp_path / "out/data/empty").read_bytes()}
        assert found == CONTENTS
        assert written == Manifest.of(e for e, _ in files(CONTENTS))

    def test_the_executable_bit_is_kept_and_no_other(self, files, tmp_path):
        pairs = files(CONTENTS)
        os.chmod(pairs[0][1], 0o4666)
        write_archive(pairs, tmp_path / "a.zip")
        unpack_archive(tmp_path / "a.zip", tmp_path / "out")
        mode = (tmp_path / "out/bin/run.sh").stat().st_mode
        assert mode & stat.S_IXUSR
        assert not (tmp_path / "out/train.py").stat().st_mode & (stat.S_IXUSR | stat.S_ISUID)

    def test_the_same_files_make_the_same_bytes(self, files, tmp_path):
        pairs = files(CONTENTS)
        write_archive(pairs, tmp_path / "a.zip")
        for _, file in pairs:
            os.utime(file, (1, 1))
        write_archive(reversed(pairs), tmp_path / "b.zip")
        assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()

    def test_a_file_that_changed_shows_in_the_manifest(self, files, tmp_path):
        pairs = files({"a": b"old"})
        pairs[0][1].write_bytes(b"new")
        written = write_archive(pairs, tmp_path / "a.zip")
        assert written.entries[0].digest == digest_bytes(b"new")

    def test_of_a_file_that_grew_one_byte_more_is_taken(self, files, tmp_path):
        pairs = files({"a": b"old"})
        pairs[0][1].write_bytes(b"x" * 10_000_000)
        written = write_archive(pairs, tmp_path / "a.zip")
        assert written.entries[0].size == 4

    @pytest.mark.parametrize(
        "name",
        [
            "../a",
            "/a",
            "a//b",
            "a\\b",
            "C:a",
            "a/./b",
            "a/",
            "\udcff",
            "a\0b",
            "",
            "n" * 256,
            "a/" + "ü" * 128,
        ],
    )
    def test_a_name_that_can_not_be_unpacked_is_refused(self, name, tmp_path):
        (tmp_path / "file").write_bytes(b"x")
        assert check_name(name)
        with pytest.raises(SnapshotError, match="rename the file or ignore it"):
            write_archive([(entry(name, b"x"), tmp_path / "file")], tmp_path / "a.zip")

    @pytest.mark.parametrize("name", ["a", "a/b", "...", "..a/b..", ".hidden", "a b#%?*[", "ab:c", "-"])
    def test_any_other_name_is_fine(self, name):
        assert check_name(name) is None


class TestRefusing:
    @pytest.mark.parametrize(
        ("name", "mode", "why"),
        [
            ("../evil", 0o100644, "'..'"),
            ("a/../../evil", 0o100644, "'..'"),
            ("/evil", 0o100644, "absolute"),
            ("C:/evil", 0o100644, "drive"),
            ("a\\..\\evil", 0o100644, "backslash"),
            ("a//b", 0o100644, "empty segment"),
            ("link", 0o120777, "regular"),
            ("fifo", 0o010644, "regular"),
            ("device", 0o020644, "regular"),
            ("folder/", 0o100755, "regular"),
        ],
    )
    def test_an_entry_that_could_do_harm_is_refused_before_anything_is_written(
        self, name, mode, why, tmp_path
    ):
        archive = make_zip(tmp_path / "a.zip", [("fine", b"x", 0o100644), (name, b"/etc", mode)])
        with pytest.raises(SnapshotError, match=why):
            unpack_archive(archive, tmp_path / "deep/out")
        assert list((tmp_path / "deep/out").iterdir()) == []
        assert not list(tmp_path.rglob("evil"))

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    @pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("a/", "a"), ("a/", "a/")])
    def test_names_that_get_in_each_others_way_are_refused(self, names, tmp_path):
        modes = [0o040755 if name.endswith("/") else 0o100644 for name in names]
        archive = make_zip(
            tmp_path / "a.zip", [(name, b"", mode) for name, mode in zip(names, modes, strict=True)]
        )
        with pytest.raises(SnapshotError, match="comes twice|both a file and a folder"):
            unpack_archive(archive, tmp_path / "out")

    def test_folders_of_their_own_are_fine(self, tmp_path):
        archive = make_zip(tmp_path / "a.zip", [("a/", b"", 0o040755), ("a/b", b"x", 0)])
        unpack_archive(archive, tmp_path / "out")
        assert (tmp_path / "out/a/b").read_bytes() == b"x"

    def test_more_bytes_than_there_is_room_for_are_refused(self, files, tmp_path):
        write_archive(files({"a": b"0" * 5_000_000}), tmp_path / "a.zip")
        assert (tmp_path / "a.zip").stat().st_size < 50_000
        with pytest.raises(SnapshotError, match="5000000 bytes: there is room for 1000000"):
            unpack_archive(tmp_path / "a.zip", tmp_path / "out", limit=1_000_000)

    def test_an_entry_that_has_more_bytes_than_it_says_is_refused(self, files, tmp_path):
        write_archive(files({"a": b"0" * 5_000}), tmp_path / "a.zip")
        data = (tmp_path / "a.zip").read_bytes()
        (tmp_path / "a.zip").write_bytes(
            data.replace((5_000).to_bytes(4, "little"), (50).to_bytes(4, "little"))
        )
        with pytest.raises(SnapshotError, match="damaged"):
            unpack_archive(tmp_path / "a.zip", tmp_path / "out")

    def test_a_damaged_archive_is_refused(self, files, tmp_path):
        write_archive(files(CONTENTS), tmp_path / "a.zip")
        data = bytearray((tmp_path / "a.zip").read_bytes())
        data[len(data) // 2] ^= 0xFF
        (tmp_path / "a.zip").write_bytes(data)
        with pytest.raises(SnapshotError, match="damaged"):
            unpack_archive(tmp_path / "a.zip", tmp_path / "out")

    def test_an_entry_that_lies_before_the_beginning_is_refused(self, files, tmp_path):
        write_archive(files({"a": b"x"}), tmp_path / "a.zip")
        data = bytearray((tmp_path / "a.zip").read_bytes())
        data[-6] += 5  # of the directory's place, by which the places of all entries are reckoned
        (tmp_path / "a.zip").write_bytes(data)
        with pytest.raises(SnapshotError, match="damaged|lies before the beginning"):
            unpack_archive(tmp_path / "a.zip", tmp_path / "out")

    @pytest.mark.parametrize("data", [b"", b"no zip", b"PK\5\6" + bytes(10)])
    def test_what_is_no_archive_is_refused(self, data, tmp_path):
        (tmp_path / "a.zip").write_bytes(data)
        with pytest.raises(SnapshotError, match="damaged"):
            unpack_archive(tmp_path / "a.zip", tmp_path / "out")

    def test_a_folder_that_has_something_in_it_is_refused(self, files, tmp_path):
        write_archive(files({"a": b"x"}), tmp_path / "a.zip")
        (tmp_path / "out").mkdir()
        (tmp_path / "out/a").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(SnapshotError, match="empty folder"):
            unpack_archive(tmp_path / "a.zip", tmp_path / "out")
        assert not (tmp_path / "elsewhere").exists()
