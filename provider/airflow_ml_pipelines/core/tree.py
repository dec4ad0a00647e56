"""Digests a folder, reading only the files that changed since the last time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from pathlib import Path

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.digest import digest_file
from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.manifest import Entry, Manifest, digest_files
from airflow_ml_pipelines.core.statcache import RACY_NS, Row, StatCache, Table
from airflow_ml_pipelines.core.walk import EVERYTHING, STAT, Listing, Rules, list_file, list_tree

__all__ = ["Tree", "scan_file", "scan_tree"]

_TRIES = 3
_UNKNOWN = bytes(32)
_OWNER_EXECUTES = 0o100
_MODE = STAT.size - 4  # where the lowest byte of the mode is

_File = tuple[str, int, str, bool]
"""Path, size, digest and executable bit of a file."""


@dataclass(frozen=True)
class Tree:
    """The files of a folder.

    :param digest: the digest of its manifest.
    :param files: how many there are.
    :param size: their bytes together.
    """

    digest: str
    files: int
    size: int
    _read: Callable[[], Manifest] = field(repr=False, compare=False)

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest, put together when it is first asked for.

        :raises DataError: where it has to be made anew and the folder has changed.
        """
        return self._read()


def scan_tree(
    root: Path | str,
    *,
    rules: Rules = EVERYTHING,
    executable: bool = False,
    contained: bool = False,
    cache: StatCache,
) -> Tree:
    """Return what files a folder has.

    :param rules: which files count.
    :param executable: take the executable bit into the digest.
    :param contained: refuse links that lead out of the folder or nowhere, sockets and the like; otherwise such links
        are followed or left out, and what is no file is left out.
    :raises DataError: where there is no such folder, for what can't be read, and for a folder that keeps changing.
    """
    top = os.path.abspath(root)
    if not os.path.isdir(top):
        raise DataError(f"{top} is {'a file' if os.path.exists(top) else 'not there'}: expected a folder")
    key = digest_document("ml-pipelines/stat/1", ["tree", top, rules.key, executable, contained])

    def look(table: Table | None) -> Listing:
        return list_tree(top, rules, contained=contained, known=None if table is None else table.folders)

    return _Scan(top, rules, executable, cache, key, look).scan()


def scan_file(path: Path | str, *, executable: bool = False, cache: StatCache) -> Tree:
    """Return one file as a tree of its own.

    :raises DataError: where there is no such file, or it can't be read.
    """
    top = os.path.abspath(path)
    if not os.path.isfile(top):
        found = "a folder" if os.path.isdir(top) else "no file" if os.path.exists(top) else "not there"
        raise DataError(f"{top} is {found}: expected a file")
    key = digest_document("ml-pipelines/stat/1", ["file", top, executable])
    return _Scan(
        os.path.dirname(top), EVERYTHING, executable, cache, key, lambda _: list_file(top), single=True
    ).scan()


class _ChangedError(Exception):
    """A file that was listed is gone."""


@dataclass
class _Scan:
    root: str
    rules: Rules
    executable: bool
    cache: StatCache
    key: str
    look: Callable[[Table | None], Listing]
    single: bool = False

    def scan(self) -> Tree:
        table = self.cache.load(self.key)
        for _ in range(_TRIES):
            started = time.time_ns()
            try:
                listing = self.look(table)
                fold = listing.fold()
                if table is not None and table.fold == fold:
                    return Tree(
                        table.digest, table.files, table.size, lambda known=table: self._recall(known)
                    )
                rows = self._rows(listing, {} if table is None else dict(table.rows()))
            except (FileNotFoundError, _ChangedError):
                continue  # something was removed since its folder was read
            except OSError as error:
                raise DataError(f"{error.filename} can't be read: {error.strerror}") from None
            return self._finish(listing, fold, rows, started - RACY_NS)
        raise DataError(
            f"{self.root} keeps changing while it is read: wait until nothing writes to it, and try again"
        )

    def _rows(self, listing: Listing, known: dict[str, Row]) -> list[tuple[str, Row]]:
        prefix = os.path.join(self.root, "")
        takes = self.rules.takes
        rows: list[tuple[str, Row]] = []
        for path, stat in zip(listing.paths(), listing.stats, strict=True):
            row = known.get(path)
            if row is None:
                taken = takes(path)
            elif row[0] == stat:
                rows.append((path, row))
                continue
            else:
                taken = row[3]
            if taken:
                digest, size = digest_file(prefix + path, int.from_bytes(stat[:8], "little"))
                rows.append((path, (stat, size, bytes.fromhex(digest), True)))
            else:
                rows.append((path, (stat, 0, _UNKNOWN, False)))
        return rows

    def _finish(self, listing: Listing, fold: bytes, rows: list[tuple[str, Row]], racy: int) -> Tree:
        files = self._files(rows)
        digest = digest_files(files, single=self.single)
        size = sum(file[1] for file in files)
        kept = [item for item in rows if _is_settled(item[1], racy)]
        table = Table.of(
            fold=fold if len(kept) == len(rows) else _UNKNOWN,
            digest=digest,
            files=len(files),
            size=size,
            rows=kept,
            folders=listing.folders.items(),
        )
        self.cache.save(self.key, table)
        return Tree(digest, len(files), size, lambda: _manifest(files, single=self.single))

    def _recall(self, table: Table) -> Manifest:
        files = self._files(table.rows())
        if len(files) == table.files:
            manifest = _manifest(files, single=self.single)
            if manifest.digest == table.digest:
                return manifest
        self.cache.save(
            self.key, Table.of(fold=_UNKNOWN, digest=table.digest, files=0, size=0, rows=(), folders=())
        )
        tree = self.scan()  # the rows were damaged
        if tree.digest != table.digest:
            raise DataError(f"{self.root} has changed since it was looked at: try again")
        return tree.manifest

    def _files(self, rows: Iterable[tuple[str, Row]]) -> list[_File]:
        executable = self.executable
        files = [
            (path, row[1], row[2].hex(), executable and bool(row[0][_MODE] & _OWNER_EXECUTES))
            for path, row in rows
            if row[3]
        ]
        files.sort(key=itemgetter(0))
        return files


def _is_settled(row: Row, racy: int) -> bool:
    """Whether a file can't have changed since it was read without another time stamp or size."""
    size, modified, changed, _, _ = STAT.unpack(row[0])
    return modified < racy and changed < racy and (row[1] == size or not row[3])


def _manifest(files: Iterable[_File], *, single: bool) -> Manifest:
    return Manifest(tuple(Entry(*file) for file in files), single)
