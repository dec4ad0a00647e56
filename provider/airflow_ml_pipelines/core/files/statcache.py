"""Remembers the digests of files, so that a file that did not change is not read again.

A :class:`Table` is what is remembered of one folder: a fold of everything that the walk saw, the digest that the folder
had, and a row a file. An unchanged folder is known by its fold alone, without a look at the rows.

A file may change twice within one tick of its file system's clock and keep its time stamp. So a row is only kept of a
file whose time stamps are clearly older than the moment at which it was read (:data:`RACY_NS`). What can't be noticed is
a change through a memory map that is not flushed, and one on a file server whose clock ticks in whole seconds and is
wrong by more than that.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airflow_ml_pipelines.core.files.walk import STAT

__all__ = ["RACY_NS", "NoStatCache", "StatCache", "Table"]

RACY_NS: Final = 2_000_000_000
"""Time stamps that are not older than this may come again; the coarsest file systems tick every two seconds."""

_FORMAT = b"ml-pipelines/stat/1\n"
_HEADER = struct.Struct("<32s32sQQQQQ32s")
_ROW = STAT.size + 32
_KEPT_SECONDS = 90 * 86400
_TOUCH_SECONDS = 86400


@dataclass(frozen=True)
class Table:
    """What is remembered of a folder.

    :param fold: see :meth:`airflow_ml_pipelines.core.files.walk.Listing.fold`; zeros where it does not tell enough.
    :param digest: the digest of the folder's manifest.
    :param files: how many files count.
    :param size: their bytes together.
    """

    fold: bytes
    digest: str
    files: int
    size: int
    _folders: bytes
    _paths: bytes | memoryview
    _rows: bytes | memoryview
    _checksum: bytes

    @classmethod
    def of(
        cls,
        *,
        fold: bytes,
        digest: str,
        files: int,
        size: int,
        paths: Sequence[str],
        rows: Sequence[bytes],
        folders: Mapping[str, bool],
    ) -> Table:
        """Make a table.

        :param paths: of the files.
        :param rows: the packed stat of each, with its digest behind; zeros for a file that does not count.
        :param folders: what the rules say of folders.
        """
        decisions = _join([("+" if enters else "-") + path for path, enters in folders.items()])
        names, packed = _join(paths), b"".join(rows)
        return cls(fold, digest, files, size, decisions, names, packed, _checksum(names, packed))

    @classmethod
    def decode(cls, data: bytes) -> Table | None:
        """Read a table, None for anything that is not one. The rows are only checked when they are asked for."""
        start = len(_FORMAT) + _HEADER.size
        if len(data) < start or not data.startswith(_FORMAT):
            return None
        fold, digest, files, size, *lengths, checksum = _HEADER.unpack_from(data, len(_FORMAT))
        head = start + lengths[0]
        paths = head + 32
        rows = paths + lengths[1]
        if len(data) != rows + lengths[2] or _checksum(data[:head]) != data[head:paths]:
            return None
        view = memoryview(data)  # what is not asked for is not copied
        return cls(fold, digest.hex(), files, size, data[start:head], view[paths:rows], view[rows:], checksum)

    def encode(self) -> bytes:
        """Return the table as it is kept."""
        lengths = (len(self._folders), len(self._paths), len(self._rows))
        digest = bytes.fromhex(self.digest)
        header = _HEADER.pack(self.fold, digest, self.files, self.size, *lengths, self._checksum)
        head = _FORMAT + header + self._folders
        return b"".join((head, _checksum(head), self._paths, self._rows))

    @property
    def folders(self) -> dict[str, bool]:
        """What the rules say of the folders."""
        return {item[1:]: item[0] == "+" for item in _split(self._folders)}

    def rows(self) -> dict[str, bytes]:
        """Return the row of each file by its path; nothing where they were damaged."""
        if _checksum(self._paths, self._rows) != self._checksum:
            return {}
        packed = bytes(self._rows)
        rows = [packed[start : start + _ROW] for start in range(0, len(packed), _ROW)]
        return dict(zip(_split(self._paths), rows, strict=True))


def _join(texts: Sequence[str]) -> bytes:
    return "\0".join(texts).encode("utf-8", "surrogateescape")


def _split(data: bytes | memoryview) -> list[str]:
    return bytes(data).decode("utf-8", "surrogateescape").split("\0") if data else []


def _checksum(*parts: bytes | memoryview) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


class StatCache:
    """Tables in a folder of their own, one file each.

    The folder may be shared by any number of processes, may be deleted at any time, and may be one that can't be
    written to: what is not remembered is read again.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    @classmethod
    def default(cls) -> StatCache:
        """Return the cache of this user: under ``$ML_PIPELINES_CACHE``, else under ``~/.cache/ml-pipelines``."""
        given = os.environ.get("ML_PIPELINES_CACHE") or os.path.expanduser("~/.cache/ml-pipelines")
        # a user without a home, and so without a place that is his alone
        return NoStatCache() if given.startswith("~") else cls(Path(given, "stat"))

    def load(self, key: str) -> Table | None:
        """Return the table of a key, None where there is none that can be read."""
        file = self._file(key)
        try:
            with open(file, "rb") as stream:
                data = stream.read()
                if time.time() - os.fstat(stream.fileno()).st_mtime > _TOUCH_SECONDS:
                    with suppress(OSError):
                        os.utime(file)  # so that it is not cleared away while it is of use
        except OSError:
            return None
        return Table.decode(data)

    def save(self, key: str, table: Table) -> None:
        """Keep a table instead of the one that was there."""
        file = self._file(key)
        temporary = f"{file}.{os.getpid()}-{secrets.token_hex(4)}"
        new = not os.path.exists(file)
        with suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                with open(temporary, "xb") as stream:
                    stream.write(table.encode())
                os.replace(temporary, file)
            except OSError:
                with suppress(FileNotFoundError):
                    os.unlink(temporary)
                raise
            if new:
                self._clear()

    def _file(self, key: str) -> str:
        return os.path.join(self.folder, key)

    def _clear(self) -> None:
        oldest = time.time() - _KEPT_SECONDS
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < oldest:
                        os.unlink(entry.path)


class NoStatCache(StatCache):
    """Remembers nothing: every file is read."""

    def __init__(self) -> None:
        super().__init__(os.devnull)

    def load(self, key: str) -> Table | None:  # noqa: ARG002
        return None

    def save(self, key: str, table: Table) -> None:
        pass
