"""The SQLite file of the index: its tables, and how an entry is written."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airflow_ml_pipelines.core.run_index.entry import Entry, Logged
from airflow_ml_pipelines.core.runs.folder import StepDocument

__all__ = [
    "VERSION",
    "claim",
    "due_places",
    "forget_index",
    "give_up",
    "known_places",
    "left_of",
    "open_index",
    "read_known",
    "remember_logged",
    "remove_run",
    "write_entry",
]

VERSION = 2
"""Of the tables: a file of another version is made again."""

_PATIENCE = 30.0
_CLAIM_SECONDS = 60.0
_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, place TEXT NOT NULL UNIQUE, pipeline TEXT NOT NULL, run TEXT NOT NULL,
    dag_id TEXT NOT NULL, dag_run TEXT NOT NULL, experiment TEXT NOT NULL, status TEXT NOT NULL,
    started REAL NOT NULL, finished REAL, worked REAL NOT NULL, saved REAL NOT NULL,
    steps INTEGER NOT NULL, ran INTEGER NOT NULL, reused INTEGER NOT NULL, failed INTEGER NOT NULL,
    going INTEGER NOT NULL, commit_id TEXT NOT NULL, branch TEXT NOT NULL, next_look REAL);
CREATE INDEX IF NOT EXISTS runs_started ON runs (started DESC);
CREATE INDEX IF NOT EXISTS runs_pipeline ON runs (pipeline, started DESC);
CREATE INDEX IF NOT EXISTS runs_dag ON runs (dag_id, dag_run);
CREATE INDEX IF NOT EXISTS runs_names ON runs (dag_id, pipeline, experiment);
CREATE INDEX IF NOT EXISTS runs_look ON runs (next_look) WHERE next_look IS NOT NULL;
CREATE TABLE IF NOT EXISTS facts (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    kind TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, number REAL);
CREATE INDEX IF NOT EXISTS facts_run ON facts (run);
CREATE INDEX IF NOT EXISTS facts_name ON facts (kind, name, number, text, run);
CREATE TABLE IF NOT EXISTS steps (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step TEXT NOT NULL, status TEXT NOT NULL, seconds REAL, saved REAL NOT NULL);
CREATE INDEX IF NOT EXISTS steps_run ON steps (run);
CREATE TABLE IF NOT EXISTS uses (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step TEXT NOT NULL, direction TEXT NOT NULL, dataset TEXT NOT NULL, version INTEGER);
CREATE INDEX IF NOT EXISTS uses_run ON uses (run);
CREATE INDEX IF NOT EXISTS uses_dataset ON uses (dataset);
CREATE TABLE IF NOT EXISTS refresh (only INTEGER PRIMARY KEY CHECK (only = 1), until REAL, remaining INTEGER);
CREATE TABLE IF NOT EXISTS logged (folder TEXT PRIMARY KEY, metrics TEXT NOT NULL, tags TEXT NOT NULL);
"""


@contextmanager
def open_index(file: Path) -> Iterator[sqlite3.Connection]:
    """Open the index for as long as the block lasts; what was written is kept if it ends well."""
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = _connect(file)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def _connect(file: Path) -> sqlite3.Connection:
    try:
        return _prepared(file)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, or no space: not the file's fault
            raise
        forget_index(file)
        return _prepared(file)


def _prepared(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_PATIENCE, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = OFF")  # what a power cut may take is made again
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found == VERSION:
            return connection
        connection.execute("PRAGMA journal_mode = WAL")
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            connection.execute(f'DROP TABLE IF EXISTS "{name}"')
        connection.executescript(_TABLES)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection


def forget_index(file: Path) -> None:
    """Remove the index; it is made again when it is next opened."""
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{file}{ending}").unlink()


def write_entry(connection: sqlite3.Connection, entry: Entry, next_look: float | None) -> None:
    """Write what is known of a run, in place of what was.

    :param next_look: when to read the run again, None for one that has ended.
    """
    document = entry.document
    remove_run(connection, entry.place)
    number = connection.execute(
        "INSERT INTO runs (place, pipeline, run, dag_id, dag_run, experiment, status, started, finished, worked, saved,"
        " steps, ran, reused, failed, going, commit_id, branch, next_look)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            entry.place,
            document.pipeline,
            document.run,
            entry.dag_id,
            entry.dag_run,
            document.experiment,
            entry.status,
            document.started,
            entry.finished,
            entry.worked,
            entry.saved,
            len(entry.steps),
            entry.count("finished"),
            entry.count("reused"),
            entry.count("failed", "canceled"),
            entry.count("running", "waiting"),
            document.git.get("commit", ""),
            document.git.get("branch", ""),
            next_look,
        ),
    ).lastrowid
    connection.executemany(
        "INSERT INTO facts VALUES (?, ?, ?, ?, ?)", [(number, *fact) for fact in entry.facts]
    )
    connection.executemany(
        "INSERT INTO steps VALUES (?, ?, ?, ?, ?)",
        [(number, name, step.status, step.seconds, step.saved) for name, step in entry.steps.items()],
    )
    connection.executemany(
        "INSERT INTO uses VALUES (?, ?, ?, ?, ?)",
        [(number, use.step, use.direction, use.dataset, use.version) for use in entry.uses],
    )


def known_places(connection: sqlite3.Connection) -> set[str]:
    """Return the folders of the runs that are known."""
    return {place for (place,) in connection.execute("SELECT place FROM runs")}


def due_places(connection: sqlite3.Connection, now: float, changed: Collection[tuple[str, str]]) -> set[str]:
    """Return the folders of the runs that are to be read again.

    :param changed: the DAG runs that the scheduler has changed.
    """
    due = {place for (place,) in connection.execute("SELECT place FROM runs WHERE next_look <= ?", (now,))}
    query = "SELECT place FROM runs WHERE dag_id = ? AND dag_run = ?"
    for dag_run in changed:
        due |= {place for (place,) in connection.execute(query, dag_run)}
    return due


def remove_run(connection: sqlite3.Connection, place: str) -> None:
    """Forget a run."""
    connection.execute("DELETE FROM runs WHERE place = ?", (place,))


def read_known(connection: sqlite3.Connection, folder: str, step: StepDocument) -> Logged | None:
    """Return what the script of an attempt logged where that is known and can't change any more."""
    if not step.ended_well:
        return None
    row = connection.execute("SELECT metrics, tags FROM logged WHERE folder = ?", (folder,)).fetchone()
    return None if row is None else Logged(json.loads(row["metrics"]), json.loads(row["tags"]))


def remember_logged(connection: sqlite3.Connection, folder: str, logged: Logged) -> None:
    """Remember what the script of an attempt that has ended well logged."""
    connection.execute(
        "INSERT OR REPLACE INTO logged VALUES (?, ?, ?)",
        (folder, json.dumps(dict(logged.metrics)), json.dumps(dict(logged.tags))),
    )


def claim(connection: sqlite3.Connection, *, left: int, again: bool = False) -> bool:
    """Say that this process brings the index up to date; return whether no other one is at it.

    :param left: how many runs it still has to read.
    :param again: True where it is at it already.
    """
    now = time.time()
    done = connection.execute(
        "INSERT INTO refresh VALUES (1, ?, ?) ON CONFLICT (only) DO UPDATE SET until = excluded.until,"
        " remaining = excluded.remaining WHERE ? OR refresh.until IS NULL OR refresh.until < ?",
        (now + _CLAIM_SECONDS, left, again, now),
    )
    return done.rowcount > 0


def give_up(connection: sqlite3.Connection) -> None:
    """Say that this process has brought the index up to date, or gave up."""
    connection.execute("UPDATE refresh SET until = NULL, remaining = 0")


def left_of(connection: sqlite3.Connection) -> int:
    """Return how many runs are still to be read by whoever brings the index up to date."""
    row = connection.execute("SELECT remaining FROM refresh").fetchone()
    return 0 if row is None else int(row[0])
