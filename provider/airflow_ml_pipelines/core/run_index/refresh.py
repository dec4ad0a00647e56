"""Brings the index up to date: what is new is read, what has ended is not read again, what has gone is forgotten."""

from __future__ import annotations

import hashlib
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from airflow_ml_pipelines.core.run_index.database import (
    claim,
    due_places,
    forget_index,
    give_up,
    known_places,
    left_of,
    open_index,
    read_known,
    remember_logged,
    remove_run,
    write_entry,
)
from airflow_ml_pipelines.core.run_index.entry import ENDED, Entry, Logged, read_entry, read_logged
from airflow_ml_pipelines.core.runs.folder import StepDocument, list_runs
from airflow_ml_pipelines.core.stores.parallel import each
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["Progress", "RunIndex", "Seen"]

_BATCH = 100
_SOON, _LATE = 3.0, 3600.0
_SHARE = 0.02
_PAUSE, _LONGEST_PAUSE, _REST = 1.0, 15.0, 5.0
_FRESH = 3.0


class Progress(NamedTuple):
    """How far the index is.

    :param known: how many runs it has.
    :param left: how many of those that a listing showed are still to be read.
    """

    known: int
    left: int


class Seen(NamedTuple):
    """A DAG run that the scheduler has changed.

    :param since: pass it to the next look.
    """

    runs: frozenset[tuple[str, str]]
    since: float


class RunIndex:
    """The index of one workspace, brought up to date in a thread of its own while it is asked.

    :param changed: gives the DAG runs that were changed since a moment, as the scheduler knows them, so that a run that
        had ended and goes on is read again; nothing where there is no scheduler.
    """

    def __init__(
        self, workspace: Workspace, changed: Callable[[float], Seen] = lambda since: Seen(frozenset(), since)
    ) -> None:
        self._store = workspace.store
        name = hashlib.sha256(self._store.url.encode()).hexdigest()[:16]
        self.file = workspace.cache_directory / "run-index" / f"{name}.sqlite"
        self._changed = changed
        self._since = time.time()
        self._done = -math.inf
        self._took = 0.0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def refresh(self, patience: float = 0.5) -> Progress:
        """Have it brought up to date, wait for that a moment, and return how far it is.

        Where that was done in the last seconds nobody waits, and it is not done again at once: the longer a look takes, the
        longer is the pause after it.

        :param patience: how many seconds to wait; what is not read by then is there later.
        :raises Exception: what kept the last refresh from its end, such as a store that does not answer.
        """
        with self._lock:
            thread, since = self._thread, time.monotonic() - self._done
            if (thread is None or not thread.is_alive()) and since > self._pause():
                thread = self._thread = threading.Thread(target=self._work, name="run-index", daemon=True)
                thread.start()
        if thread is not None and (since > _FRESH or self._error is not None):
            thread.join(patience)
        if self._error is not None and (thread is None or not thread.is_alive()):
            error, self._error = self._error, None
            raise error
        with open_index(self.file) as connection:
            known = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
            return Progress(known, left_of(connection))

    def _pause(self) -> float:
        return max(_PAUSE, min(_REST * self._took, _LONGEST_PAUSE))

    def update(self) -> None:
        """Bring it up to date and return when it is, or at once where another process is at it."""
        seen = self._changed(self._since)
        with open_index(self.file) as connection:
            if not claim(connection, left=0):
                return
        try:
            self._catch_up(seen.runs)
        finally:
            with open_index(self.file) as connection:
                give_up(connection)
        self._since = seen.since

    def _work(self) -> None:
        start = time.monotonic()
        try:
            self.update()
        except Exception as error:  # noqa: BLE001 - told to whoever asks
            self._error = error
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                forget_index(self.file)  # damaged: it is made again
        finally:
            self._done = time.monotonic()
            self._took = self._done - start

    def _catch_up(self, changed: frozenset[tuple[str, str]]) -> None:
        now = time.time()
        there = {f"{first}/{second}" for first, second in list_runs(self._store)}
        with open_index(self.file) as connection:
            known = known_places(connection)
            for place in known - there:
                remove_run(connection, place)
            wanted = sorted((there - known) | (there & due_places(connection, now, changed)))
        for first in range(0, len(wanted), _BATCH):
            batch = wanted[first : first + _BATCH]
            with open_index(self.file) as connection:
                found = list(each(self._store, self._reader(connection), batch))
                self._write(connection, zip(batch, found, strict=True))
                claim(connection, left=len(wanted) - first - len(batch), again=True)

    def _reader(self, connection: sqlite3.Connection) -> Callable[[str], _Found]:
        """Return what reads a run; it may be called by several threads at once."""
        lock = threading.Lock()

        def read(place: str) -> _Found:
            fresh: dict[str, Logged] = {}

            def logged(folder: str, step: StepDocument) -> Logged:
                with lock:
                    found = fresh.get(folder) or read_known(connection, folder, step)
                if found is None:
                    found = read_logged(self._store, folder)
                    if step.ended_well:
                        fresh[folder] = found
                return found

            pipeline, _, run = place.partition("/")
            return _Found(read_entry(self._store, pipeline, run, logged), fresh)

        return read

    def _write(self, connection: sqlite3.Connection, found: Iterable[tuple[str, _Found]]) -> None:
        now = time.time()
        for place, item in found:
            if item.entry is None:
                remove_run(connection, place)
                continue
            for folder, logged in item.logged.items():
                remember_logged(connection, folder, logged)
            write_entry(connection, item.entry, _next_look(item.entry, now))


class _Found(NamedTuple):
    entry: Entry | None
    logged: dict[str, Logged]


def _next_look(entry: Entry, now: float) -> float | None:
    """Return when a run is to be read again: the longer it has been going, the later."""
    if entry.status in ENDED:
        return None
    return now + min(max(_SOON, _SHARE * (now - entry.document.started)), _LATE)
