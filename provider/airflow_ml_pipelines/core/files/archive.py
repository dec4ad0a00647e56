"""Writes the files of a snapshot into one zip, and unpacks such a zip where it can do no harm.

The same files make the same archive: entries in order, every time stamp 1980-01-01, of the permissions only the
executable bit. Nothing but regular files is in it; folders come with their files. Files are packed at the lowest level:
source code takes a third of its bytes then, for some 15 ms a megabyte; higher levels take twice as long for a tenth less.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from airflow_ml_pipelines.core.errors import SnapshotError
from airflow_ml_pipelines.core.files.digest import Digester
from airflow_ml_pipelines.core.files.manifest import Entry, Manifest
from airflow_ml_pipelines.core.progress import advance

__all__ = ["check_name", "unpack_archive", "write_archive"]

_PIECE = 1 << 20
_LONGEST = 255
_LEVEL = 1
_UNIX = 3
_ENCRYPTED = 0x1
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DRIVE = re.compile("[A-Za-z]:")
_PLACES = frozenset({"", ".", ".."})


def check_name(name: str) -> str | None:
    """Return what is wrong with a file's relative path in an archive, None where nothing is."""
    problems = {
        "has a zero byte": "\0" in name,
        "has a backslash, which is a separator on other systems": "\\" in name,
        "is absolute": name.startswith("/"),
        "begins like a drive": _DRIVE.match(name),
        "has an empty segment, '.' or '..'": not _PLACES.isdisjoint(name.split("/")),
        "is not UTF-8": not _is_utf8(name),
        "has a part of more than 255 bytes": any(
            len(part.encode(errors="replace")) > _LONGEST for part in name.split("/")
        ),
    }
    return next((problem for problem, found in problems.items() if found), None)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def write_archive(
    entries: Iterable[tuple[Entry, str | os.PathLike[str]]], target: Path | BinaryIO
) -> Manifest:
    """Write files into a new archive and return the manifest of what was written.

    Files are copied piece by piece. One that changes meanwhile has another digest in the manifest that is returned;
    of one that grows, no more is taken than a byte beyond the size that was expected.

    :param entries: what each file is expected to be, and where it lies.
    :raises SnapshotError: for a name that can't be unpacked everywhere.
    :raises OSError: where a file can't be read or the archive not written.
    """
    written: list[Entry] = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for entry, source in sorted(entries, key=lambda pair: pair[0].path):
            wrong = check_name(entry.path)
            if wrong is not None:
                raise SnapshotError(f"file name {entry.path!r} {wrong}: rename the file or ignore it")
            digester = Digester()
            with (
                open(source, "rb") as file,
                archive.open(entry.path, "w", force_zip64=entry.size > 1 << 30) as out,
            ):
                room = entry.size + 1
                while room and (data := file.read(min(_PIECE, room))):
                    digester.update(data)
                    out.write(data)
                    room -= len(data)
                    advance(len(data))
            info = archive.getinfo(entry.path)  # what follows is written with the directory, at the end
            info.create_system = _UNIX
            info.external_attr = (stat.S_IFREG | (0o755 if entry.executable else 0o644)) << 16
            written.append(Entry(entry.path, digester.size, digester.hexdigest(), entry.executable))
    return Manifest.of(written)


def unpack_archive(archive: Path, target: Path, *, limit: int | None = None) -> None:
    """Unpack an archive into a new or empty folder.

    Every entry is checked before the first is written: a path that leaves the folder, a link or device, a name that
    comes twice, an encrypted entry, or more bytes than there is room for, and nothing is unpacked.

    :param limit: the most bytes that the files may have together; by default what the file system has free.
    :raises SnapshotError: for an archive that is damaged or refused, and for a folder that has something in it.
    :raises OSError: where the archive can't be read or a file not written.
    """
    target.mkdir(parents=True, exist_ok=True)
    if os.listdir(target):
        raise SnapshotError(f"can't unpack {archive.name} into {target}: expected an empty folder")
    try:
        with zipfile.ZipFile(archive) as zipped:
            files = _check(archive, zipped.infolist())
            room = shutil.disk_usage(target).free if limit is None else limit
            total = sum(info.file_size for info in files)
            if total > room:
                raise SnapshotError(
                    f"archive {archive} would unpack to {total} bytes: there is room for {room}"
                )
            folders: set[str] = set()
            for info in files:
                _unpack(zipped, info, target, folders)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise SnapshotError(f"archive {archive} is damaged: {error}") from None


def _check(archive: Path, infos: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    files: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    for info in infos:
        name = info.orig_filename
        folder = name.endswith("/")
        name = name.removesuffix("/")
        wrong = check_name(name)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if wrong is None and kind not in ((0, stat.S_IFDIR) if folder else (0, stat.S_IFREG)):
            wrong = "is not a regular file"
        if wrong is None and (info.flag_bits & _ENCRYPTED or info.compress_type not in _COMPRESSIONS):
            wrong = "is encrypted or packed in a way that is not known"
        if wrong is None and (name in files or (folder and name in folders)):
            wrong = "comes twice"
        if wrong is None and info.header_offset < 0:
            wrong = "lies before the beginning of the archive"
        if wrong is not None:
            raise SnapshotError(f"archive {archive} is refused: its entry {info.orig_filename!r} {wrong}")
        if folder:
            folders.add(name)
        else:
            files[name] = info
        folders.update(_parents(name))
    for name in folders.intersection(files):
        raise SnapshotError(f"archive {archive} is refused: its entry {name!r} is both a file and a folder")
    return list(files.values())


def _parents(name: str) -> Iterable[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _unpack(zipped: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, folders: set[str]) -> None:
    path = os.path.join(target, *info.orig_filename.split("/"))
    folder = os.path.dirname(path)
    if folder not in folders:
        os.makedirs(folder, exist_ok=True)
        folders.add(folder)
    mode = 0o777 if info.external_attr >> 16 & stat.S_IXUSR else 0o666

    def create(name: str, flags: int) -> int:
        return os.open(name, flags, mode)

    with zipped.open(info) as source, open(path, "xb", opener=create) as file:
        shutil.copyfileobj(source, file, _PIECE)
        if file.tell() != info.file_size:
            raise zipfile.BadZipFile(
                f"entry {info.orig_filename!r} has {file.tell()} bytes of {info.file_size}"
            )
