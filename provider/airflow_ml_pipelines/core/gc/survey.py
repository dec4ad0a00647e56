"""Looks at everything once: runs and what they use, records and what they name.

Of documents only those fields are read that matter here; one that a newer version wrote ends the clean-up, since what
it needs is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from airflow_ml_pipelines.core import layout, records, runs
from airflow_ml_pipelines.core.documents import read_document
from airflow_ml_pipelines.core.errors import DocumentError, NewerDocumentError, NotFoundError
from airflow_ml_pipelines.core.gc.ledger import Digests, Entry, Keeps, Ledger, Result, Run
from airflow_ml_pipelines.core.gc.report import Item
from airflow_ml_pipelines.core.gc.roots import Kept
from airflow_ml_pipelines.core.lease import attempt_key
from airflow_ml_pipelines.core.parallel import each
from airflow_ml_pipelines.core.progress import advance, measured
from airflow_ml_pipelines.core.store import ObjectInfo, Store, is_unfinished
from airflow_ml_pipelines.core.tombstones import NAME, Tombstone, read_tombstone

__all__ = ["DAY", "QUIET_SECONDS", "Survey"]

DAY = 24 * 3600.0

QUIET_SECONDS = 7 * DAY
"""For how long a run that has not ended may be silent until it counts as lost. What may be needed by one that has not
said so yet (snapshots, leases) is never removed sooner."""

_ENDED = frozenset({"finished", "failed", "canceled", "reused"})
_T = TypeVar("_T")


# --- what is read of documents -----------------------------------------------------------------------------------


class _Output(msgspec.Struct):
    path: str
    digest: str
    size: int


class _PlannedStep(msgspec.Struct):
    step: str
    decision: str
    snapshot: str
    folder: str = ""
    outputs: dict[str, _Output] = {}


class _Plan(msgspec.Struct):
    steps: tuple[_PlannedStep, ...]


class _Step(msgspec.Struct):
    step: str
    status: str
    key: str | None = None
    folder: str = ""
    outputs: dict[str, _Output] = {}


class _Data(msgspec.Struct):
    digest: str | None = None


class _Input(msgspec.Struct):
    data: _Data


class _KeyDocument(msgspec.Struct):
    source: str
    inputs: dict[str, _Input] = {}


class _Record(msgspec.Struct):
    key: str
    folder: str
    document: _KeyDocument
    outputs: dict[str, _Output] = {}


def _owned_size(folder: str, outputs: Mapping[str, _Output]) -> int:
    try:
        below = layout.owned_folder(folder) + "/"
    except ValueError:  # no folder of an attempt
        return 0
    return sum(output.size for output in outputs.values() if output.path.startswith(below))


# --- runs --------------------------------------------------------------------------------------------------------


@dataclass
class _RunFound:
    """What a run's folder has."""

    path: str
    used: float = 0.0
    size: int = 0
    alive: bool = False
    snapshots: set[str] = field(default_factory=set)
    results: list[Result] = field(default_factory=list)
    tombstone: Tombstone | None = None
    unfinished: list[ObjectInfo] = field(default_factory=list)

    @property
    def keeps(self) -> Keeps:
        return Keeps.LIFE if self.alive else Keeps(0)


class _RunReader:
    """Reads the folder of one run."""

    def __init__(self, store: Store, path: str, began: float) -> None:
        self._store = store
        self._began = began
        self._found = _RunFound(path)
        self._names: set[str] = set()

    def read(self) -> _RunFound:
        self._list()
        plan = self._read("plan.json", _Plan)
        steps = [
            step
            for name in sorted(self._names)
            if name.startswith("steps/") and name.count("/") == 1 and (step := self._read(name, _Step))
        ]
        found = self._found
        found.alive = self._is_alive(plan, steps)
        attempts = {"/".join(name.split("/")[:3]) for name in self._names if name.count("/") >= 3}
        found.results += [self._attempt(f"{found.path}/{name}") for name in sorted(attempts)]
        if plan is not None:
            found.snapshots = {item.snapshot for item in plan.steps}
            reused = (item for item in plan.steps if item.decision == "reuse")
            found.results += [self._use(item.folder, item.outputs) for item in reused]
        found.results += [
            self._use(step.folder, step.outputs) for step in steps if step.status in ("finished", "reused")
        ]
        if NAME in self._names:
            found.tombstone = read_tombstone(self._store, found.path)
        return found

    def _list(self) -> None:
        skip = len(self._found.path) + 1
        for info in self._store.walk(self._found.path, unfinished=True):
            name = info.path[skip:]
            if is_unfinished(name):
                self._found.unfinished.append(info)
                continue
            self._names.add(name)
            self._found.size += info.size
            if not name.endswith(NAME) and info.modified > self._found.used:
                self._found.used = info.modified

    def _read(self, name: str, kind: type[_T]) -> _T | None:
        if name not in self._names:
            return None
        return _read(self._store, f"{self._found.path}/{name}", kind, runs.SCHEMA)

    def _is_alive(self, plan: _Plan | None, steps: list[_Step]) -> bool:
        """Return whether the run may go on: it has not ended, and has given a sign of life."""
        if "result.json" in self._names:
            return False
        if plan is not None:
            ended = {step.step for step in steps if step.status in _ENDED}
            if all(item.step in ended or item.decision == "reuse" for item in plan.steps):
                return False
        if self._found.used > self._began - QUIET_SECONDS:
            return True
        return any(self._is_leased(step) for step in steps if step.status == "running")

    def _is_leased(self, step: _Step) -> bool:
        folder = layout.lease_folder(step.key or attempt_key(step.folder))
        return any(info.modified > self._began - DAY for info in self._store.walk(folder))

    def _attempt(self, folder: str) -> Result:
        tombstone = None
        if f"{folder[len(self._found.path) + 1 :]}/{NAME}" in self._names:
            tombstone = read_tombstone(self._store, folder)
        known = Result(folder, self._found.path, kept=self._found.keeps)
        if tombstone is None:
            return known
        removed = None if tombstone.removed is None else 2 if tombstone.done else 1
        return known._replace(placed=tombstone.placed, until=tombstone.until, removed=removed)

    def _use(self, folder: str, outputs: Mapping[str, _Output]) -> Result:
        size = _owned_size(folder, outputs)
        return Result(folder, used=self._found.used, size=size, wanted=True, kept=self._found.keeps)


def _read(store: Store, path: str, kind: type[_T], schema: int) -> _T | None:
    """Return a document; None where it is gone by now, or can't be read, so that nobody else can read it either.

    :raises NewerDocumentError: where a newer version wrote it.
    """
    try:
        return read_document(store.get(path), kind, what=path, schema=schema)
    except NewerDocumentError as error:
        raise NewerDocumentError(
            f"nothing can be removed, since it is not known what is needed: {error}"
        ) from None
    except (NotFoundError, DocumentError):
        return None


# --- all of it ---------------------------------------------------------------------------------------------------


class Survey:
    """Fills the ledger.

    :param began: the store's time when it began.
    :param check: called between one thing and the next; raises what ends it all.
    """

    def __init__(
        self, store: Store, ledger: Ledger, kept: Kept, began: float, check: Callable[[], None]
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._kept = kept
        self._began = began
        self._check = check
        self.digests = Digests()
        self.unfinished: list[Item] = []
        for digest in kept.digests:
            self.digests.add(digest)

    def look(self) -> None:
        """Look at runs and records.

        :raises NewerDocumentError: where a newer version wrote one of them.
        """
        self._runs()
        self._records()

    def _runs(self) -> None:
        paths = [
            f"runs/{pipeline}/{run}"
            for pipeline in self._store.folders("runs")
            for run in self._store.folders(f"runs/{pipeline}")
        ]
        found = each(self._store, lambda path: _RunReader(self._store, path, self._began).read(), paths)
        with measured("looking at runs", len(paths), "runs"):
            for run in found:
                self._check()
                if run.size:  # else it is a folder without files, as only some stores have them
                    self._add_run(run)
                advance(1, "runs")

    def _add_run(self, run: _RunFound) -> None:
        pin = Keeps.PIN if run.path in self._kept.runs else Keeps(0)
        tombstone = run.tombstone
        self._ledger.add_run(
            Run(
                run.path,
                run.used,
                run.size,
                run.keeps | pin,
                tombstone.placed if tombstone else None,
                tombstone.until if tombstone else None,
                None if tombstone is None or tombstone.removed is None else 1,
            )
        )
        self._ledger.add_results(result._replace(kept=result.kept | pin) for result in run.results)
        for digest in run.snapshots:
            self.digests.add(digest)
        self.add_unfinished(run.unfinished)

    def _records(self) -> None:
        shards = [shard for shard in self._store.folders("reuse") if shard != "set-aside"]
        with measured("looking at records", unit="records"):
            for shard in shards:
                infos = list(self._store.walk(f"reuse/{shard}", unfinished=True))
                self.add_unfinished(info for info in infos if is_unfinished(info.path))
                complete = [info for info in infos if not is_unfinished(info.path)]
                for info, record in zip(
                    complete, each(self._store, self._read_record, complete), strict=True
                ):
                    self._check()
                    if record is not None:
                        self._add_record(info, record)
                    advance(1, "records")

    def _read_record(self, info: ObjectInfo) -> _Record | None:
        return _read(self._store, info.path, _Record, records.SCHEMA)

    def _add_record(self, info: ObjectInfo, record: _Record) -> None:
        size = _owned_size(record.folder, record.outputs)
        self._ledger.add_results([Result(record.folder, used=info.modified, size=size, wanted=True)])
        self._ledger.add_entry(Entry(record.folder, record.key))
        self.digests.add(record.document.source)
        for output in record.outputs.values():
            self.digests.add(output.digest)
        for item in record.document.inputs.values():
            if item.data.digest is not None:
                self.digests.add(item.data.digest)

    def add_unfinished(self, infos: Iterator[ObjectInfo] | list[ObjectInfo]) -> None:
        """Note files that killed writers have left, unless their writers may still be at it."""
        self.unfinished += [
            Item(
                action="remove",
                kind="unfinished file",
                path=info.path,
                size=info.size,
                reason="its writer was killed",
            )
            for info in infos
            if info.modified < self._began - DAY
        ]
