"""What is kept of a run: the documents in its folder, and how they are read and written.

The folder is also how the tasks of a run speak to each other: a step finds the outputs of the steps before it here,
whichever process, machine or scheduler ran them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal, TypeVar

import msgspec

from airflow_ml_pipelines.core import layout
from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import DocumentError, NotFoundError, WorkspaceError, did_you_mean
from airflow_ml_pipelines.core.keys.differences import Explanation
from airflow_ml_pipelines.core.spec import Data, EnvironmentSpec, PipelineSpec
from airflow_ml_pipelines.core.stores.store import Store

__all__ = [
    "SCHEMA",
    "Acceptance",
    "Decision",
    "FailureDocument",
    "Origin",
    "OutputDocument",
    "PlanDocument",
    "ResultDocument",
    "RunDocument",
    "RunFolder",
    "RunStatus",
    "StepDocument",
    "StepPlan",
    "StepStatus",
    "find_latest_run",
    "find_runs",
    "list_runs",
    "open_run",
    "status_of",
]

SCHEMA = 1

Decision = Literal["reuse", "run", "depends"]
StepStatus = Literal["waiting", "running", "finished", "failed", "canceled", "reused"]
RunStatus = Literal["NotStarted", "Running", "Finished", "Failed", "Canceled"]

_T = TypeVar("_T")


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which attempt at which step made something.

    :param id: the step run's id, unique in the workspace.
    """

    pipeline: str
    run: str
    step: str
    attempt: int
    id: str


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody's word that an earlier result is the one that a step with another key would make.

    :param by: whose word it is.
    :param host: the machine on which it was given.
    :param when: seconds since the epoch.
    :param key: of the earlier result.
    """

    by: str
    reason: str
    when: float
    key: str
    host: str = ""

    @property
    def text(self) -> str:
        """Who accepted it, and why."""
        return f"accepted by {self.by}: {self.reason}"


class OutputDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an output lies and what is in it.

    :param path: on the datastore.
    :param digest: of its manifest.
    :param manifest: where the manifest lies, under the workspace's root; it has the store's versions of the files.
    :param size: all bytes together.
    """

    datastore: str
    path: str
    digest: str
    manifest: str
    files: int
    size: int
    single: bool = False

    @property
    def folder(self) -> str:
        """The folder of the attempt that made it, under the workspace's root."""
        return self.manifest.rpartition("/manifests/")[0]


class RunDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run was started with."""

    schema: int = SCHEMA
    pipeline: str
    run: str
    experiment: str
    parameters: dict[str, Any] = {}
    regenerate_outputs: bool = False
    continue_on_step_failure: bool = False
    tags: dict[str, str] = {}
    git: dict[str, str] = {}
    spec: PipelineSpec
    digest: str
    started: float


class StepPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the plan found out about a step, and decided.

    :param decision: ``reuse`` an earlier result, ``run``, or ``depends`` on what steps before it will make.
    :param reasons: why, in words.
    :param explanation: the difference to an earlier result, where that is why.
    :param snapshot: the digest of its source directory.
    :param archive: where the snapshot lies, under the workspace's root; "" where it is not needed.
    :param hash_paths: the digest of each of its ``hash_paths``.
    :param code: the digest of what it runs that lies elsewhere, by place; "" for what can't be told from another.
    :param environment: with names resolved; its image by digest where that can be told.
    :param image_unknown: why the digest of its image can't be told; "" where it can, or there is none.
    :param data: each input from outside with names and parameters resolved.
    :param key: None where the decision depends on steps before it, and where it can't be computed.
    :param outputs: for ``reuse``.
    :param reused_from: for ``reuse``.
    :param accepted: for ``reuse``: on whose word, where the key of the result is another.
    :param saved: for ``reuse``: how many seconds the original took.
    """

    step: str
    decision: Decision
    reasons: tuple[str, ...] = ()
    explanation: Explanation | None = None
    snapshot: str
    archive: str = ""
    hash_paths: dict[str, str] = {}
    code: dict[str, str] = {}
    environment: EnvironmentSpec
    image_unknown: str = ""
    data: dict[str, Data] = {}
    key: str | None = None
    outputs: dict[str, OutputDocument] = {}
    reused_from: Origin | None = None
    accepted: Acceptance | None = None
    folder: str = ""
    saved: float = 0.0


class PlanDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run is going to do."""

    schema: int = SCHEMA
    steps: tuple[StepPlan, ...]
    made: float

    def step(self, step: str) -> StepPlan:
        """Return the plan of a step. :raises KeyError: where it has none."""
        for plan in self.steps:
            if plan.step == step:
                return plan
        raise KeyError(step)


class StepDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a step of a run went.

    :param reasons: why it ran, or what it was reused from.
    :param explanation: the difference to an earlier result, where that is why it ran.
    :param folder: the folder of the attempt that made the outputs, under the workspace's root.
    :param accepted: for a reused step: on whose word, where the key of the result is another.
    :param saved: for a reused step: how many seconds the original took.
    """

    schema: int = SCHEMA
    step: str
    status: StepStatus
    reasons: tuple[str, ...] = ()
    explanation: Explanation | None = None
    key: str | None = None
    attempt: int = 0
    folder: str = ""
    outputs: dict[str, OutputDocument] = {}
    reused_from: Origin | None = None
    accepted: Acceptance | None = None
    started: float | None = None
    finished: float | None = None
    saved: float = 0.0
    error: str | None = None

    @property
    def ended_well(self) -> bool:
        """Whether its outputs are there."""
        return self.status in ("finished", "reused")

    @property
    def seconds(self) -> float | None:
        """How long it took, None while it has not ended."""
        return None if self.started is None or self.finished is None else self.finished - self.started


class FailureDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first step of a run that failed, where that is to end the run."""

    schema: int = SCHEMA
    step: str
    error: str


class ResultDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a run in one process ended; a run on a scheduler has one only where it could not be planned."""

    schema: int = SCHEMA
    status: RunStatus
    finished: float
    error: str | None = None


class RunFolder:
    """The folder of a run."""

    def __init__(self, store: Store, pipeline: str, run: str) -> None:
        self.store = store
        self.pipeline = pipeline
        self.run = run
        self.path = layout.run_folder(pipeline, run)

    def __repr__(self) -> str:
        return f"RunFolder({self.store.url}/{self.path})"

    def read_run(self) -> RunDocument:
        """Return what the run was started with. :raises NotFoundError: where there is no such run."""
        return read_document(self.store.get(f"{self.path}/run.json"), RunDocument, what="run", schema=SCHEMA)

    def write_run(self, document: RunDocument) -> None:
        """Write what the run was started with."""
        self.store.put(f"{self.path}/run.json", write_document(document))

    def read_plan(self) -> PlanDocument | None:
        """Return the run's plan, None before there is one."""
        return self._read(f"{self.path}/plan.json", PlanDocument)

    def write_plan(self, document: PlanDocument) -> None:
        """Write the run's plan and forget what an earlier plan of the same run led to."""
        result = f"{self.path}/result.json"
        # also where there is no plan: an earlier attempt at one may have failed
        if self.store.info(result) is not None:
            self.store.delete(result)
        if self.store.info(f"{self.path}/plan.json") is not None:
            self.store.delete(f"{self.path}/failed.json")
            for plan in document.steps:
                self.store.delete(layout.step_path(self.pipeline, self.run, plan.step))
        self.store.put(f"{self.path}/plan.json", write_document(document))

    def read_step(self, step: str) -> StepDocument | None:
        """Return how a step went, None where nothing is known yet."""
        document = self._read(layout.step_path(self.pipeline, self.run, step), StepDocument)
        if document is None and (plan := self.read_plan()) is not None:
            return _reused(plan, step)
        return document

    def write_step(self, document: StepDocument) -> None:
        """Write how a step went."""
        self.store.put(layout.step_path(self.pipeline, self.run, document.step), write_document(document))

    def steps(self) -> dict[str, StepDocument]:
        """Return how each step went, in the order of the plan; a step of which nothing is known is ``waiting``.

        In the run of a hand-written DAG, which has no plan, it is the order in which they began.
        """
        plan = self.read_plan()
        if plan is None:
            return self._begun_steps()
        found: dict[str, StepDocument] = {}
        for item in plan.steps:
            document = self._read(layout.step_path(self.pipeline, self.run, item.step), StepDocument)
            waiting = StepDocument(
                step=item.step, status="waiting", reasons=item.reasons, explanation=item.explanation
            )
            found[item.step] = document or _reused(plan, item.step) or waiting
        return found

    def _begun_steps(self) -> dict[str, StepDocument]:
        top = f"{self.path}/steps"
        documents = [
            self._read(info.path, StepDocument)
            for info in self.store.walk(top)
            if info.path.endswith(".json") and "/" not in info.path[len(top) + 1 :]
        ]
        begun = sorted((item for item in documents if item), key=lambda item: (item.started or 0, item.step))
        return {item.step: item for item in begun}

    def new_attempt(self, step: str) -> int:
        """Return the number of a new attempt at a step, which nobody else gets."""
        attempt = 1
        mine = b'{"id": "%s"}\n' % secrets.token_hex(8).encode()
        while not self.store.create(f"{self.attempt_folder(step, attempt)}/started.json", mine):
            attempt += 1
        return attempt

    def attempt_folder(self, step: str, attempt: int) -> str:
        """Return the folder of an attempt at a step."""
        return layout.attempt_folder(self.pipeline, self.run, step, attempt)

    def write_failure(self, step: str, error: str) -> None:
        """Write that a step failed and that the run is to end; the first one counts."""
        document = FailureDocument(step=step, error=error)
        self.store.create(f"{self.path}/failed.json", write_document(document))

    def read_failure(self) -> FailureDocument | None:
        """Return the failure that ends the run, None where there is none."""
        return self._read(f"{self.path}/failed.json", FailureDocument)

    def clear_failure(self, step: str) -> None:
        """Forget the failure of a step that is tried again."""
        failure = self.read_failure()
        if failure is not None and failure.step == step:
            self.store.delete(f"{self.path}/failed.json")

    def write_result(self, status: RunStatus, error: str | None = None) -> None:
        """Write how a run in one process ended, or that one on a scheduler could not begin."""
        document = ResultDocument(status=status, finished=time.time(), error=error)
        self.store.put(f"{self.path}/result.json", write_document(document))

    def read_result(self) -> ResultDocument | None:
        """Return how a run in one process ended, None where it has not, or began on a scheduler."""
        return self._read(f"{self.path}/result.json", ResultDocument)

    def status(self) -> RunStatus:
        """Return how the run stands, by its steps where nothing else is known."""
        result = self.read_result()
        if result is not None:
            return result.status
        return status_of(self.steps())

    def _read(self, path: str, kind: type[_T]) -> _T | None:
        try:
            data = self.store.get(path)
        except NotFoundError:
            return None
        return read_document(data, kind, what=path, schema=SCHEMA)


def find_runs(store: Store, pipeline: str | None = None) -> Iterator[RunFolder]:
    """Yield the workspace's runs (of one pipeline), in no order; those that can't be read are left out."""
    for first, second in list_runs(store, pipeline):
        path = f"runs/{first}/{second}/run.json"
        with suppress(NotFoundError, DocumentError):
            document = read_document(store.get(path), RunDocument, what=path, schema=SCHEMA)
            yield RunFolder(store, document.pipeline, document.run)


def list_runs(store: Store, pipeline: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield the names of the folders of each run's pipeline and of the run, without a look into them."""
    for first in store.folders("runs") if pipeline is None else [layout.segment(pipeline)]:
        for second in store.folders(f"runs/{first}"):
            yield first, second


def find_latest_run(store: Store, pipeline: str) -> RunFolder | None:
    """Return the run of a pipeline that was started last, by the store's clock; None where there is none."""
    top = f"runs/{layout.segment(pipeline)}"
    started = [store.info(f"{top}/{name}/run.json") for name in store.folders(top)]
    latest = max(filter(None, started), key=lambda info: (info.modified, info.path), default=None)
    if latest is None:
        return None
    document = read_document(store.get(latest.path), RunDocument, what=latest.path, schema=SCHEMA)
    return RunFolder(store, document.pipeline, document.run)


def open_run(store: Store, run: str, pipeline: str | None = None) -> RunFolder:
    """Return the folder of a run by its id, or by ``<pipeline>/<id>``.

    :raises WorkspaceError: where there is none, or several pipelines have one.
    :raises DocumentError: where it is there, and can't be read.
    """
    if pipeline is None and "/" in run:
        pipeline, _, run = run.partition("/")
    if pipeline is not None:
        folder = RunFolder(store, pipeline, run)
        if store.info(f"{folder.path}/run.json") is not None:
            return folder
    known = list(find_runs(store, pipeline))
    found = [folder for folder in known if run in (folder.run, layout.segment(folder.run))]
    if not found:
        for first, second in list_runs(store, pipeline):
            path = f"runs/{first}/{second}/run.json"
            if second == layout.segment(run) and store.info(path) is not None:
                read_document(
                    store.get(path), RunDocument, what=path, schema=SCHEMA
                )  # says why it can't be read
        raise WorkspaceError(
            f"there is no run {run!r} in {store.url}.{did_you_mean(run, (f.run for f in known))}"
        )
    if len(found) > 1:
        names = ", ".join(sorted(f"{folder.pipeline}/{folder.run}" for folder in found))
        raise WorkspaceError(f"run {run!r} is not one run: give one of {names}")
    return found[0]


def _reused(plan: PlanDocument, step: str) -> StepDocument | None:
    try:
        item = plan.step(step)
    except KeyError:
        return None
    if item.decision != "reuse":
        return None
    return StepDocument(
        step=step,
        status="reused",
        reasons=item.reasons,
        key=item.key,
        folder=item.folder,
        outputs=item.outputs,
        reused_from=item.reused_from,
        accepted=item.accepted,
        saved=item.saved,
    )


def status_of(steps: Mapping[str, StepDocument]) -> RunStatus:
    """Return how a run stands by how its steps do."""
    states = {document.status for document in steps.values()}
    if not states:
        return "NotStarted"
    if "running" in states:
        return "Running"
    if "failed" in states:
        return "Failed"
    if "canceled" in states:
        return "Canceled"
    return "Running" if "waiting" in states else "Finished"
