"""Looks at everything once: runs and what they use, records and what they name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from airflow_ml_pipelines.core.gc.ledger import Digests, Entry, Keeps, Ledger, Run
from airflow_ml_pipelines.core.gc.owned import Owned
from airflow_ml_pipelines.core.gc.policy import DAY
from airflow_ml_pipelines.core.gc.report import Item
from airflow_ml_pipelines.core.gc.roots import Kept
from airflow_ml_pipelines.core.gc.run_look import Output, RunLook, read_part
from airflow_ml_pipelines.core.progress import advance, measured
from airflow_ml_pipelines.core.reuse import records
from airflow_ml_pipelines.core.stores.parallel import each
from airflow_ml_pipelines.core.stores.store import ObjectInfo, Store, is_unfinished

__all__ = ["Survey"]

_SET_ASIDE = "reuse/set-aside/"


class _Data(msgspec.Struct):
    digest: str | None = None


class _Input(msgspec.Struct):
    data: _Data


class _KeyDocument(msgspec.Struct):
    source: str
    inputs: dict[str, _Input] = {}


class _Record(msgspec.Struct):
    schema: int
    key: str
    folder: str
    document: _KeyDocument
    outputs: dict[str, Output] = {}


class Survey:
    """Fills the ledger.

    :param began: the store's time when it began.
    :param check: called between one thing and the next; raises what ends it all.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        kept: Kept,
        began: float,
        owned: Owned,
        check: Callable[[], None],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._kept = kept
        self._began = began
        self._owned = owned
        self._check = check
        self.digests = Digests()
        self.unfinished: list[Item] = []
        for digest in kept.digests:
            self.digests.add(digest)

    def look(self) -> None:
        """Look at runs and records.

        :raises NewerDocumentError: where a newer version wrote one of them.
        """
        pipelines = self._store.folders("runs")
        with measured("looking at runs", lambda: self._count(pipelines), "runs"):
            for pipeline in pipelines:
                for run in each(self._store, RunLook.read, self._runs(f"runs/{pipeline}")):
                    self._check()
                    self._add_run(run)
                    advance(1, "runs")
        with measured("looking at records", unit="records"):
            self._records()
        self._ledger.settle()

    def _count(self, pipelines: Iterable[str]) -> int:
        return sum(len(self._store.folders(f"runs/{pipeline}")) for pipeline in pipelines)

    def _runs(self, pipeline: str) -> Iterator[RunLook]:
        """Yield the runs of a pipeline, from one listing: stores list what lies together one after the other."""
        run: RunLook | None = None
        seen: set[str] = set()
        skip = len(pipeline) + 1
        inside = "/"
        for info in self._store.walk(pipeline, unfinished=True):
            if not info.path.startswith(inside):
                if run is not None:
                    yield run
                name = info.path[skip : info.path.find("/", skip)]
                run = RunLook(self._store, f"{pipeline}/{name}", self._began, self._owned)
                inside = f"{run.path}/"
                if name in seen:  # this one does not, and what was said of the run before is not all
                    yield self._listed(run)
                    run, inside = None, "/"
                    continue
                seen.add(name)
            if run is not None:
                run.see(info)
        if run is not None:
            yield run

    def _listed(self, run: RunLook) -> RunLook:
        for info in self._store.walk(run.path, unfinished=True):
            run.see(info)
        return run

    def _add_run(self, run: RunLook) -> None:
        pin = Keeps.PIN.value if run.path in self._kept.runs else 0
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
        results = run.results
        self._ledger.add_results(
            [result._replace(kept=result.kept | pin) for result in results] if pin else results
        )
        for folder, size in run.uses:
            self._ledger.add_use(folder, run.used, kept=run.keeps | pin, size=size)
        for digest in run.snapshots:
            self.digests.add(digest)
        self.add_unfinished(run.unfinished)

    def _records(self) -> None:
        for info, record in each(self._store, self._read_record, self._indexed()):
            self._check()
            if record is not None:
                self._add_record(info, record)
            advance(1, "records")

    def _indexed(self) -> Iterator[ObjectInfo]:
        for info in self._store.walk("reuse", unfinished=True):
            if is_unfinished(info.path):
                self.add_unfinished([info])
            elif not info.path.startswith(_SET_ASIDE):
                yield info

    def _read_record(self, info: ObjectInfo) -> tuple[ObjectInfo, _Record | None]:
        return info, read_part(self._store, info.path, _Record, records.SCHEMA)

    def _add_record(self, info: ObjectInfo, record: _Record) -> None:
        size = self._owned.size(record.folder, record.outputs.values())
        self._ledger.add_use(record.folder, info.modified, size=size)
        self._ledger.add_entry(Entry(record.folder, record.key))
        self.digests.add(record.document.source)
        for output in record.outputs.values():
            self.digests.add(output.digest)
        for item in record.document.inputs.values():
            if item.data.digest is not None:
                self.digests.add(item.data.digest)

    def add_unfinished(self, infos: Iterable[ObjectInfo]) -> None:
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
