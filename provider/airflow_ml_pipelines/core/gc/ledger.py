"""The books of a clean-up: what there is, when it was last used, and what is to become of it.

A database in a temporary file, so that a workspace with a million results needs no more memory than a small one.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from enum import IntFlag
from typing import Any, NamedTuple, Self

__all__ = ["Digests", "Entry", "Keeps", "Ledger", "Result", "Run"]


class Keeps(IntFlag):
    """What a result or a run must stay for."""

    DATASET = 1
    PIN = 2
    LIFE = 4
    """A run that goes on."""
    USE = 8
    """Its tombstone was taken back just now."""


_PAGE = 1000
_DIGEST = re.compile("[0-9a-f]{64}")
_LIVING = "run IS NOT NULL AND removed IS NULL AND until IS NULL AND NOT marked AND (wanted OR kept)"
_TABLES = f"""
CREATE TABLE run (
    path TEXT PRIMARY KEY, used REAL, size INTEGER, kept INTEGER,
    placed REAL, until REAL, removed INTEGER, marked INTEGER DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE result (
    folder TEXT PRIMARY KEY, run TEXT, used REAL, size INTEGER, wanted INTEGER, kept INTEGER,
    placed REAL, until REAL, removed INTEGER, marked INTEGER DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX result_run ON result (run);
CREATE TABLE entry (folder TEXT, key TEXT, PRIMARY KEY (folder, key)) WITHOUT ROWID;
CREATE VIEW staying AS SELECT run FROM result WHERE {_LIVING};
CREATE VIEW going AS SELECT path FROM run WHERE removed IS NOT NULL;
"""  # noqa: S608 - of our own texts

_ADD = """
INSERT INTO result (folder, run, used, size, wanted, kept, placed, until, removed) VALUES (?,?,?,?,?,?,?,?,?)
ON CONFLICT (folder) DO UPDATE SET
    run = COALESCE(run, excluded.run), used = MAX(used, excluded.used), size = MAX(size, excluded.size),
    wanted = wanted OR excluded.wanted, kept = kept | excluded.kept,
    placed = COALESCE(placed, excluded.placed), until = COALESCE(until, excluded.until),
    removed = COALESCE(removed, excluded.removed)
"""


class Result(NamedTuple):
    """What is known of an attempt's result, of which any number of documents may say something.

    :param run: the folder of its run, None where what is said comes from elsewhere.
    :param used: when it was made or taken, by the store's clock.
    :param size: bytes of data that the attempt owns.
    :param wanted: whether a record or a run names it.
    :param kept: what it must stay for.
    :param placed: when its tombstone was written, None where it has none.
    :param until: from when on it is to be removed.
    :param removed: 1 while it is being removed, 2 when it was.
    """

    folder: str
    run: str | None = None
    used: float = 0.0
    size: int = 0
    wanted: bool = False
    kept: Keeps = Keeps(0)
    placed: float | None = None
    until: float | None = None
    removed: int | None = None


class Run(NamedTuple):
    """What is known of a run; see :class:`Result`."""

    path: str
    used: float
    size: int
    kept: Keeps
    placed: float | None = None
    until: float | None = None
    removed: int | None = None


class Entry(NamedTuple):
    """That the record of a key names an attempt."""

    folder: str
    key: str


class Ledger:
    """The books."""

    def __init__(self) -> None:
        handle, self._file = tempfile.mkstemp(prefix="ml-pipelines-", suffix=".ledger")
        os.close(handle)
        self._base = sqlite3.connect(self._file, isolation_level=None)
        self._base.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)

    def __enter__(self) -> Self:
        self._base.execute("BEGIN")
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()
        with contextlib.suppress(OSError):
            os.unlink(self._file)

    def add_results(self, results: Iterable[Result]) -> None:
        """Write down what is known of results, together with what was known before."""
        self._base.executemany(_ADD, results)

    def add_run(self, run: Run) -> None:
        """Write down what is known of a run."""
        self._base.execute(
            "INSERT INTO run (path, used, size, kept, placed, until, removed) VALUES (?,?,?,?,?,?,?)", run
        )

    def add_entry(self, entry: Entry) -> None:
        """Write down a record."""
        self._base.execute("INSERT OR IGNORE INTO entry VALUES (?,?)", entry)

    def keys(self, folder: str) -> list[str]:
        """Return the keys whose records name an attempt."""
        return [key for (key,) in self._base.execute("SELECT key FROM entry WHERE folder = ?", (folder,))]

    def results(self, where: str, *values: object) -> Iterator[Result]:
        """Yield the results of attempts that are there and for which a condition holds, by folder.

        :param where: in SQL, of the columns of :class:`Result` and ``marked``. ``staying`` are the runs of which a result
            stays, ``going`` those that are being removed.
        """
        query = _select(Result, f"run IS NOT NULL AND ({where})", "folder")
        yield from map(Result._make, self._pages(query, values))

    def runs(self, where: str, *values: object) -> Iterator[Run]:
        """Yield the runs for which a condition holds, by path; see :meth:`results`."""
        yield from map(Run._make, self._pages(_select(Run, where, "path"), values))

    def least_recent(self, where: str) -> Iterator[Result]:
        """Yield results as :meth:`results` does, those first that were not used for longest."""
        query = _select(Result, f"run IS NOT NULL AND ({where})", "used")
        yield from map(Result._make, self._base.execute(query, ("",)))

    def _pages(self, query: str, values: tuple[object, ...]) -> Iterator[tuple[Any, ...]]:
        """Yield rows page by page, so that they can be changed meanwhile."""
        last = ""
        while page := self._base.execute(f"{query} LIMIT {_PAGE}", (*values, last)).fetchall():
            yield from page
            last = page[-1][0]

    def mark(self, thing: Result | Run) -> None:
        """Note that a result or a run is to go."""
        self._update(thing, "marked = 1")

    def unmark(self, thing: Result | Run) -> None:
        """Note that a result or a run loses its tombstone, and stays."""
        self._update(thing, f"marked = 0, kept = kept | {Keeps.USE.value}, placed = NULL, until = NULL")

    def remove(self, thing: Result | Run) -> None:
        """Note that a result or a run is gone."""
        self._update(thing, "removed = 2")

    def _update(self, thing: Result | Run, change: str) -> None:
        key, table = thing._fields[0], type(thing).__name__.lower()
        self._base.execute(f"UPDATE {table} SET {change} WHERE {key} = ?", (thing[0],))  # noqa: S608 - of our own texts

    def keep(self, folder: str, why: Keeps) -> None:
        """Note that a result must stay."""
        self._base.execute("UPDATE result SET kept = kept | ? WHERE folder = ?", (why.value, folder))

    def living(self) -> dict[Keeps, tuple[int, int]]:
        """Return how many results are not to go, and their bytes together, by what they stay for."""
        query = f"SELECT kept, COUNT(*), SUM(size) FROM result WHERE {_LIVING} GROUP BY kept"  # noqa: S608 - of our own texts
        return {Keeps(kept): (count, size) for kept, count, size in self._base.execute(query)}


def _select(kind: type[Result | Run], where: str, order: str) -> str:
    key, table = kind._fields[0], kind.__name__.lower()
    after = f"{key} > ?"
    return f"SELECT {', '.join(kind._fields)} FROM {table} WHERE ({where}) AND {after} ORDER BY {order}"  # noqa: S608 - of our own texts


class Digests:
    """A set of very many digests in eight bytes each.

    Of two that begin alike, one is taken for the other; what is in here is kept, so that does no harm.
    """

    def __init__(self) -> None:
        self._added = array("Q")
        self._sorted = True

    def add(self, digest: str) -> None:
        """Add a digest; what is none is left out."""
        if _DIGEST.fullmatch(digest):
            self._added.append(int(digest[:16], 16))
            self._sorted = False

    def __contains__(self, digest: str) -> bool:
        if not _DIGEST.fullmatch(digest):
            return False
        if not self._sorted:
            self._added = array("Q", sorted(set(self._added)))
            self._sorted = True
        wanted = int(digest[:16], 16)
        at = bisect_left(self._added, wanted)
        return at < len(self._added) and self._added[at] == wanted
