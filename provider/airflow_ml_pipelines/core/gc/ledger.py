"""The books of a clean-up: what there is, when it was last used, and what is to become of it.

A database in a temporary file, so that a workspace with a million results needs no more memory than a small one.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from enum import IntFlag
from typing import Any, NamedTuple, Self

from airflow_ml_pipelines.core.errors import StoreError

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
_MANY = 100_000
_CACHE_KB = 32_768
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
CREATE TABLE said (
    folder TEXT, run TEXT, used REAL, size INTEGER, wanted INTEGER, kept INTEGER,
    placed REAL, until REAL, removed INTEGER
);
CREATE TABLE entry (folder TEXT, key TEXT);
CREATE VIEW staying AS SELECT run FROM result WHERE {_LIVING};
CREATE VIEW going AS SELECT path FROM run WHERE removed IS NOT NULL;
"""  # noqa: S608 - of our own texts

_SETTLE = f"""
INSERT INTO result (folder, run, used, size, wanted, kept, placed, until, removed)
    SELECT folder, MAX(run), MAX(used), MAX(size), MAX(wanted), {" | ".join(f"MAX(kept & {why.value})" for why in Keeps)},
        MAX(placed), MAX(until), MAX(removed)
    FROM said GROUP BY folder ORDER BY folder;
DROP TABLE said
"""  # noqa: S608 - of our own texts


_ADD_RUN = (
    "INSERT OR REPLACE INTO run (path, used, size, kept, placed, until, removed) VALUES (?,?,?,?,?,?,?)"
)


class Result(NamedTuple):
    """What is known of an attempt's result, of which any number of documents may say something.

    :param run: the folder of its run, None where what is said comes from elsewhere.
    :param used: when it was made or taken, by the store's clock.
    :param size: bytes of data that the attempt owns.
    :param wanted: 1 where a record or a run names it.
    :param kept: what it must stay for, of :class:`Keeps`; a plain number, since sqlite3 takes longer for any other.
    :param placed: when its tombstone was written, None where it has none.
    :param until: from when on it is to be removed.
    :param removed: 1 while it is being removed, 2 when it was.
    """

    folder: str
    run: str | None = None
    used: float = 0.0
    size: int = 0
    wanted: int = 0
    kept: int = 0
    placed: float | None = None
    until: float | None = None
    removed: int | None = None


class Run(NamedTuple):
    """What is known of a run; see :class:`Result`."""

    path: str
    used: float
    size: int
    kept: int
    placed: float | None = None
    until: float | None = None
    removed: int | None = None


class Entry(NamedTuple):
    """That the record of a key names an attempt."""

    folder: str
    key: str


class Ledger:
    """The books. What is written is written in batches, before the next question at the latest."""

    def __init__(self) -> None:
        self._base = sqlite3.connect("", isolation_level=None)  # a temporary file that goes with the process
        self._base.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{_CACHE_KB};{_TABLES}BEGIN"
        )
        self._batches: dict[str, list[tuple[object, ...]]] = {}
        self._uses: dict[str, list[Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._base.close()
        if isinstance(error, sqlite3.Error):
            raise StoreError(
                f"what clean-up has found can't be kept in a temporary file ({error}): make room in "
                f"{tempfile.gettempdir()}, or set TMPDIR to another folder, then start again"
            ) from error

    def _write(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        batch = self._batches.setdefault(statement, [])
        batch += rows
        if len(batch) >= _PAGE:
            self._base.executemany(statement, batch)
            batch.clear()

    def _ask(self, query: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        for statement, batch in self._batches.items():
            if batch:
                self._base.executemany(statement, batch)
                batch.clear()
        return self._base.execute(query, values)

    def add_results(self, results: Iterable[Result]) -> None:
        """Write down what is known of results; it counts, together with what else is said, once all is settled."""
        self._write("INSERT INTO said VALUES (?,?,?,?,?,?,?,?,?)", results)

    def add_use(self, folder: str, used: float, *, kept: int = 0, size: int = 0) -> None:
        """Write down that a record or a run names a result; see :class:`Result`."""
        known = self._uses.get(folder)
        if known is None:
            if len(self._uses) >= _MANY:
                self._settle_uses()
            self._uses[folder] = [used, size, kept]
            return
        known[0] = max(known[0], used)
        known[1] = max(known[1], size)
        known[2] |= kept

    def _settle_uses(self) -> None:
        self.add_results(
            Result(folder, None, used, size, 1, kept) for folder, (used, size, kept) in self._uses.items()
        )
        self._uses.clear()

    def add_run(self, run: Run) -> None:
        """Write down what is known of a run, in place of what was known before."""
        self._write(_ADD_RUN, (run,))

    def add_entry(self, entry: Entry) -> None:
        """Write down that a record names an attempt."""
        self._write("INSERT INTO entry VALUES (?, ?)", (entry,))

    def settle(self) -> None:
        """Put together what was said of each result: nothing more is going to be."""
        self._settle_uses()
        for statement in _SETTLE.split(";"):
            self._ask(statement)

    def index(self) -> None:
        """Make :meth:`keys`, and the results of one run, quick to find: where much is to be removed."""
        self._ask("CREATE INDEX result_run ON result (run)")
        self._ask("CREATE INDEX entry_folder ON entry (folder)")

    def keys(self, folder: str) -> list[str]:
        """Return the keys whose records name an attempt."""
        return [key for (key,) in self._ask("SELECT key FROM entry WHERE folder = ?", (folder,))]

    def attempts(self, run: str) -> list[str]:
        """Return the folders of a run's attempts."""
        return [folder for (folder,) in self._ask("SELECT folder FROM result WHERE run = ?", (run,))]

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
        yield from map(Result._make, self._ask(query, ("",)))

    def _pages(self, query: str, values: tuple[object, ...]) -> Iterator[tuple[Any, ...]]:
        """Yield rows page by page, so that they can be changed meanwhile."""
        last = ""
        while page := self._ask(f"{query} LIMIT {_PAGE}", (*values, last)).fetchall():
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
        self._write(f"UPDATE {table} SET {change} WHERE {key} = ?", ((thing[0],),))  # noqa: S608 - of our own texts

    def keep(self, folder: str, why: Keeps) -> None:
        """Note that a result must stay."""
        self._write("UPDATE result SET kept = kept | ? WHERE folder = ?", ((why.value, folder),))

    def living(self) -> dict[Keeps, tuple[int, int]]:
        """Return how many results are not to go, and their bytes together, by what they stay for."""
        query = f"SELECT kept, COUNT(*), SUM(size) FROM result WHERE {_LIVING} GROUP BY kept"  # noqa: S608 - of our own texts
        return {Keeps(kept): (count, size) for kept, count, size in self._ask(query)}


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
        with contextlib.suppress(ValueError):
            self._added.append(_begin(digest))
            self._sorted = False

    def __contains__(self, digest: str) -> bool:
        try:
            wanted = _begin(digest)
        except ValueError:
            return False
        if not self._sorted:
            self._added = array("Q", sorted(set(self._added)))
            self._sorted = True
        at = bisect_left(self._added, wanted)
        return at < len(self._added) and self._added[at] == wanted


def _begin(digest: str) -> int:
    """Return the first eight bytes of a digest. :raises ValueError: where it is none."""
    if len(digest) != 64:
        raise ValueError(digest)
    return int(digest[:16], 16)
