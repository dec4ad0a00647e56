"""Digests a folder, reading only the files that changed since the last time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import compress, repeat
from pathlib import Path

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.files.digest import read_digest
from airflow_ml_pipelines.core.files.manifest import Entry, Manifest, digest_files, encode_files
from airflow_ml_pipelines.core.files.statcache import RACY_NS, NoStatCache, StatCache, Table
from airflow_ml_pipelines.core.files.walk import EVERYTHING, STAT, Listing, Rules, list_file, list_tree
from airflow_ml_pipelines.core.progress import measured

__all__ = ["Tree", "recall_file", "recall_tree", "scan_file", "scan_tree"]

_TRIES = 3
_Columns = tuple[list[str], list[int], list[str], list[bool]]
_UNKNOWN = bytes(32)
_IGNORED = bytes(32)
_OWNER_EXECUTES = 0o100
_MODE = STAT.size - 4  # where the lowest byte of the mode is


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
    _read: Callable[[], _Columns] = field(repr=False, compare=False)
    _single: bool = False

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest, put together when it is first asked for.

        :raises DataError: where it has to be made anew and the folder has changed.
        """
        return Manifest(tuple(map(Entry, *self._read())), self._single)

    def encode(self) -> bytes:
        """Return the manifest as it is stored, without making it. :raises DataError: as :attr:`manifest`."""
        files = zip(*self._read(), repeat(""), strict=False)
        return encode_files(files, self.digest, single=self._single)


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
    return _scan_of_tree(top, rules, cache, executable=executable, contained=contained).scan()


def scan_file(path: Path | str, *, executable: bool = False, cache: StatCache) -> Tree:
    """Return one file as a tree of its own.

    :raises DataError: where there is no such file, or it can't be read.
    """
    top = os.path.abspath(path)
    if not os.path.isfile(top):
        found = "a folder" if os.path.isdir(top) else "no file" if os.path.exists(top) else "not there"
        raise DataError(f"{top} is {found}: expected a file")
    return _scan_of_file(top, cache, executable=executable).scan()


def recall_tree(root: Path | str, *, rules: Rules = EVERYTHING, cache: StatCache) -> dict[str, str]:
    """Return the digests that are remembered of a folder's files, by path; nothing is read.

    What was not looked at by :func:`scan_tree`, has changed since, or may have, is left out.
    """
    return _scan_of_tree(os.path.abspath(root), rules, cache).recall()


def recall_file(path: Path | str, *, cache: StatCache) -> dict[str, str]:
    """Return the digest that is remembered of a file, by its name; see :func:`recall_tree`."""
    return _scan_of_file(os.path.abspath(path), cache).recall()


def _scan_of_tree(
    top: str, rules: Rules, cache: StatCache, *, executable: bool = False, contained: bool = False
) -> _Scan:
    key = digest_document("ml-pipelines/stat/1", ["tree", top, rules.key, executable, contained])

    def look(table: Table | None) -> Listing:
        return list_tree(top, rules, contained=contained, known=None if table is None else table.folders)

    return _Scan(top, rules, executable, cache, key, look)


def _scan_of_file(top: str, cache: StatCache, *, executable: bool = False) -> _Scan:
    key = digest_document("ml-pipelines/stat/1", ["file", top, executable])
    return _Scan(
        os.path.dirname(top), EVERYTHING, executable, cache, key, lambda _: list_file(top), single=True
    )


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
                        table.digest, table.files, table.size, partial(self._recall, table), self.single
                    )
                known = {} if table is None else table.rows()
                with measured(f"reading {self.root}", partial(_new_bytes, listing, known)):
                    return self._read(listing, fold, known, started - RACY_NS)
            except FileNotFoundError:
                continue  # something was removed since its folder was read
            except OSError as error:
                raise DataError(f"{error.filename} can't be read: {error.strerror}") from None
        raise DataError(
            f"{self.root} keeps changing while it is read: wait until nothing writes to it, and try again"
        )

    def recall(self) -> dict[str, str]:
        table = self.cache.load(self.key)
        if table is None:
            return {}
        try:
            listing = self.look(table)
        except (OSError, DataError):
            return {}
        rows = table.rows()
        return {
            path: row[STAT.size :].hex()
            for path, stat, _ in listing.files()
            if (row := rows.get(path)) is not None and row.startswith(stat) and not row.endswith(_IGNORED)
        }

    def _read(self, listing: Listing, fold: bytes, known: dict[str, bytes], racy: int) -> Tree:
        """Read the files that changed, and remember those that can't change again without being noticed.

        :param racy: a file with a time stamp after this may be changed once more within the same tick of the clock.
        """
        prefix = os.path.join(self.root, "")
        takes = self.rules.takes
        paths: list[str] = []
        rows: list[
            bytes
        ] = []  # columns, since the garbage collector looks at every tuple of a list of tuples
        unsettled: set[str] = set()
        for path, stat, (size, modified, changed, _, _) in listing.files():
            row = known.get(path)
            if row is None or not row.startswith(stat):
                digest, read = _IGNORED, size
                if takes(path) if row is None else not row.endswith(_IGNORED):
                    digest, read = read_digest(prefix + path, size)
                if modified >= racy or changed >= racy or read != size:
                    unsettled.add(path)
                row = stat + digest if read == size else read.to_bytes(8, "little") + stat[8:] + digest
            paths.append(path)
            rows.append(row)
        tree = self._tree(paths, rows)
        settled = [path not in unsettled for path in paths]
        table = Table.of(
            fold=_UNKNOWN if unsettled else fold,
            digest=tree.digest,
            files=tree.files,
            size=tree.size,
            paths=list(compress(paths, settled)),
            rows=list(compress(rows, settled)),
            folders=listing.folders,
        )
        self.cache.save(self.key, table)
        return tree

    def _tree(self, paths: Sequence[str], rows: Sequence[bytes]) -> Tree:
        """Return the tree of files in any order."""
        columns = self._columns(paths, rows)
        digest = digest_files(zip(*columns, strict=True), single=self.single)
        return Tree(digest, len(columns[0]), sum(columns[1]), lambda: columns, self.single)

    def _columns(self, paths: Sequence[str], rows: Sequence[bytes]) -> _Columns:
        """Return the path, size, digest and executable bit of the files that count, sorted by path."""
        order = [index for index, row in enumerate(rows) if not row.endswith(_IGNORED)]
        order.sort(key=paths.__getitem__)
        counted = [rows[index] for index in order]
        sizes = [int.from_bytes(row[:8], "little") for row in counted]
        digests = [row[STAT.size :].hex() for row in counted]
        executes = (
            [row[_MODE] & _OWNER_EXECUTES != 0 for row in counted]
            if self.executable
            else [False] * len(counted)
        )
        return [paths[index] for index in order], sizes, digests, executes

    def _recall(self, table: Table) -> _Columns:
        rows = table.rows()
        if rows or not table.files:
            return self._columns(list(rows), list(rows.values()))
        tree = replace(self, cache=NoStatCache()).scan()  # the rows were damaged
        if tree.digest != table.digest:
            raise DataError(f"{self.root} has changed since it was looked at: try again")
        return tree._read()  # noqa: SLF001 - of its own kind


def _new_bytes(listing: Listing, known: Mapping[str, bytes]) -> int:
    """Return how many bytes are to be read, with those of files that do not count."""
    return sum(
        size
        for path, stat, (size, *_) in listing.files()
        if (row := known.get(path)) is None or not row.startswith(stat)
    )
