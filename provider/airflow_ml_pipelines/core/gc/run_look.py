"""Looks at one run: what it used and made, and whether it goes on.

Of documents only those fields are read that matter here; one that a newer version wrote ends the clean-up, since what
it needs is not known.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from airflow_ml_pipelines.core import layout
from airflow_ml_pipelines.core.documents import decoder_of, read_document
from airflow_ml_pipelines.core.errors import DocumentError, NewerDocumentError, NotFoundError
from airflow_ml_pipelines.core.files.walk import ASIDE
from airflow_ml_pipelines.core.gc.ledger import Keeps, Result
from airflow_ml_pipelines.core.gc.owned import Owned
from airflow_ml_pipelines.core.gc.policy import DAY, QUIET_SECONDS
from airflow_ml_pipelines.core.keeping.tombstones import NAME, Tombstone, read_tombstone
from airflow_ml_pipelines.core.reuse.lease import attempt_key
from airflow_ml_pipelines.core.runs import folder as runs
from airflow_ml_pipelines.core.stores.store import ObjectInfo, Store, is_unfinished

__all__ = ["Output", "RunLook", "read_part"]

_ENDED = frozenset({"finished", "failed", "canceled", "reused"})
_T = TypeVar("_T")


class Output(msgspec.Struct):
    """What is read of an output."""

    datastore: str
    path: str
    digest: str
    size: int


class _PlannedStep(msgspec.Struct):
    step: str
    decision: str
    snapshot: str
    folder: str = ""


class _Plan(msgspec.Struct):
    schema: int
    steps: tuple[_PlannedStep, ...]


class _Step(msgspec.Struct):
    schema: int
    step: str
    status: str
    key: str | None = None
    folder: str = ""
    outputs: dict[str, Output] = {}


class RunLook:
    """What a run's folder has: told object by object, then read.

    :param began: when the clean-up began, by the store's clock.
    """

    def __init__(self, store: Store, path: str, began: float, owned: Owned) -> None:
        self.path = path
        self.used = 0.0
        self.size = 0
        self.keeps = 0
        self.snapshots: set[str] = set()
        self.results: list[Result] = []
        self.uses: list[tuple[str, int]] = []
        self.tombstone: Tombstone | None = None
        self.unfinished: list[ObjectInfo] = []
        self._store = store
        self._began = began
        self._owned = owned
        self._skip = len(path) + 1
        self._files: set[str] = set()
        self._steps: list[str] = []
        self._attempts: dict[str, bool] = {}
        self._attempt = "/"

    def see(self, info: ObjectInfo) -> None:
        """Take what the store says of an object of the run. Of any number of them few are remembered."""
        name = info.path[self._skip :]
        if ASIDE in name and is_unfinished(name):
            if info.modified < self._began - DAY:  # else its writer may still be at it
                self.unfinished.append(info)
            return
        self.size += info.size
        if info.modified > self.used and not name.endswith(NAME):
            self.used = info.modified
        if "/" not in name:
            self._files.add(name)
        elif name.startswith(self._attempt):
            if name == self._attempt + NAME:
                self._attempts[self._attempt] = True
        elif name.startswith("steps/"):
            self._see_step(name)

    def _see_step(self, name: str) -> None:
        parts = name.split("/", 3)
        if len(parts) == 4:
            self._attempt = f"steps/{parts[1]}/{parts[2]}/"
            marked = parts[3] == NAME
            self._attempts[self._attempt] = marked or self._attempts.get(self._attempt, False)
        elif len(parts) == 2:
            self._steps.append(name)

    def read(self) -> RunLook:
        """Read the documents.

        :raises NewerDocumentError: where a newer version wrote one of them.
        """
        plan = self._read("plan.json", _Plan) if "plan.json" in self._files else None
        steps = [step for name in sorted(self._steps) if (step := self._read(name, _Step))]
        if self._is_alive(plan, steps):
            self.keeps = Keeps.LIFE.value
        for name, is_marked in sorted(self._attempts.items()):
            folder = f"{self.path}/{name[:-1]}"
            tombstone = read_tombstone(self._store, folder) if is_marked else None
            self.results.append(self._made(folder, tombstone))
        if plan is not None:
            self.snapshots = {item.snapshot for item in plan.steps}
            self.uses += [(item.folder, 0) for item in plan.steps if item.decision == "reuse"]
        for step in steps:
            if step.status == "finished":
                self.uses.append((step.folder, self._owned.size(step.folder, step.outputs.values())))
            elif step.status == "reused":  # a result of another run, which says itself how large it is
                self.uses.append((step.folder, 0))
        if NAME in self._files:
            self.tombstone = read_tombstone(self._store, self.path)
        return self

    def _read(self, name: str, kind: type[_T]) -> _T | None:
        return read_part(self._store, f"{self.path}/{name}", kind, runs.SCHEMA)

    def _is_alive(self, plan: _Plan | None, steps: list[_Step]) -> bool:
        """Return whether the run may go on: it has not ended, and has given a sign of life."""
        if "result.json" in self._files:
            return False
        if plan is not None:
            ended = {step.step for step in steps if step.status in _ENDED}
            if all(item.step in ended or item.decision == "reuse" for item in plan.steps):
                return False
        if self.used > self._began - QUIET_SECONDS:
            return True
        return any(self._is_leased(step) for step in steps if step.status == "running")

    def _is_leased(self, step: _Step) -> bool:
        folder = layout.lease_folder(step.key or attempt_key(step.folder))
        return any(info.modified > self._began - DAY for info in self._store.walk(folder))

    def _made(self, folder: str, tombstone: Tombstone | None) -> Result:
        if tombstone is None:
            return Result(folder, self.path, kept=self.keeps)
        removed = None if tombstone.removed is None else 2 if tombstone.done else 1
        return Result(
            folder,
            self.path,
            kept=self.keeps,
            placed=tombstone.placed,
            until=tombstone.until,
            removed=removed,
        )


def read_part(store: Store, path: str, kind: type[_T], schema: int) -> _T | None:
    """Return those fields of a document that a type has; ``schema`` is one of them.

    None where the document is gone by now, or can't be read, so that nobody else can read it either.

    :raises NewerDocumentError: where a newer version wrote it.
    """
    try:
        data = store.get(path)
    except NotFoundError:
        return None
    try:
        part: _T = decoder_of(kind).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        part = None  # type: ignore[assignment]
    if part is not None and part.schema <= schema:  # type: ignore[attr-defined]
        return part
    try:
        return read_document(data, kind, what=path, schema=schema)  # which says what is wrong
    except NewerDocumentError as error:
        raise NewerDocumentError(
            f"nothing can be removed, since it is not known what is needed: {error}"
        ) from None
    except DocumentError:
        return None
