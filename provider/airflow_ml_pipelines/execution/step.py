"""Runs one step: an attempt with its job, then the record of what it made."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from airflow_ml_pipelines.core.canonical import compact_json
from airflow_ml_pipelines.core.errors import (
    DataError,
    MlPipelinesError,
    StepCanceledError,
    StepFailedError,
    StoreError,
)
from airflow_ml_pipelines.core.files.manifest import Manifest
from airflow_ml_pipelines.core.keeping.fresh import freshen
from airflow_ml_pipelines.core.layout import manifest_path, step_run_id
from airflow_ml_pipelines.core.reuse.history import add_key
from airflow_ml_pipelines.core.reuse.lease import Lease, acquire_lease, attempt_key
from airflow_ml_pipelines.core.reuse.records import Record, write_record
from airflow_ml_pipelines.core.reuse.verify import verify_output
from airflow_ml_pipelines.core.runs.folder import Origin, OutputDocument, RunFolder, StepDocument
from airflow_ml_pipelines.core.spec import OutputSpec
from airflow_ml_pipelines.core.steps.decide import Go, StepContext, claim_results
from airflow_ml_pipelines.core.steps.inputs import keep_input_manifests
from airflow_ml_pipelines.core.steps.register import register_outputs
from airflow_ml_pipelines.core.steps.sources import Sources
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.execution.handover import TakenOver, running_attempt
from airflow_ml_pipelines.execution.kinds import Kind, open_kind
from airflow_ml_pipelines.execution.left import (
    LeftJob,
    Told,
    canceled_step,
    leave_job,
    read_left,
    settle,
    wait_until_ended,
)
from airflow_ml_pipelines.execution.mlflow import tell_mlflow
from airflow_ml_pipelines.execution.places import read_place, remove_job, write_place
from airflow_ml_pipelines.execution.targets.port import Log, OnLine, Running
from airflow_ml_pipelines.runtime.result import JobResult

__all__ = ["SIGN_OF_LIFE", "StepLeft", "find_failure", "run_step", "say_alive"]

_LOOK_FOR_FAILURE = 1.0

SIGN_OF_LIFE = 20.0
"""Seconds between two signs that somebody follows a job that would go on without."""


class StepLeft(Exception):  # noqa: N818 - it is no error
    """A step's job goes on by itself.

    :ivar job: the job, with the lease that somebody has to keep meanwhile.
    """

    def __init__(self, job: LeftJob) -> None:
        super().__init__("the job goes on by itself")
        self.job = job


def run_step(
    context: StepContext,
    go: Go,
    *,
    log: Log = lambda _: None,
    on_line: OnLine = lambda _stream, _line: None,
    canceled: Callable[[], str | None] = lambda: None,
    last_try: bool = True,
    leave: Callable[[Running], bool] = lambda _: False,
) -> StepDocument:
    """Run a step that was decided to run, and record what it made.

    Where a process that was lost, or has left it alone, had started it, and it still runs or has ended since, that is
    taken; what was told of its log before is not told again.

    :param log: told what happens, a line at a time.
    :param on_line: told each line that the script writes, with ``stdout`` or ``stderr``.
    :param canceled: asked several times a second; a reason ends the script.
    :param last_try: whether a failure ends the run (unless it goes on without this step).
    :param leave: asked once the job was handed over whether this process leaves it alone, which it does where the job would
        go on alone; who said that it is to be taken up (:func:`~airflow_ml_pipelines.execution.left.settle`) runs the step again in the
        same run, and takes it over. Without that word it was the task that was run anew: the job is ended.
    :raises StepLeft: where it was left alone.
    :raises StepFailedError: where the script failed.
    :raises StepCanceledError: where it was canceled.
    :raises MlPipelinesError: where its environment, inputs or outputs could not be had.
    """
    folder, step = context.folder, context.step
    kind = open_kind(context)
    taken = _take_over(context, kind, go, log)
    document = _new_attempt(context, go) if taken is None else taken.document
    folder.clear_failure(step.id)
    told = Told(on_line) if taken is None else _told(context, document, on_line)
    try:
        with _lease(context, go, document).kept() as lease:
            _claim_inputs(context)
            job = taken.job if taken else kind.hand_over(go, document.attempt, log)
            if leave(job.running) and _can_leave(context, document):
                lease.hand_on()
                raise StepLeft(  # noqa: TRY301 - the lease is to end its keeping first
                    leave_job(context, document, told, lease.key)
                )
            result = _follow(context, document.folder, job.running, told, canceled)
            document = _finish(context, kind, document, result, job.lacks, log)
    except StepLeft:
        raise
    except BaseException as error:
        stopped = isinstance(error, StepCanceledError) or not isinstance(error, Exception)
        text = str(error) or type(error).__name__
        status = "canceled" if stopped else "failed"
        ended = msgspec.structs.replace(document, status=status, finished=time.time(), error=text)
        with suppress(StoreError):  # the first error counts
            folder.write_step(ended)
            if last_try and not stopped and not context.run.continue_on_step_failure:
                folder.write_failure(step.id, text)
        if isinstance(error, StepFailedError):
            tell_mlflow(context, ended, log)
        raise
    tell_mlflow(context, document, log)
    return document


def _take_over(context: StepContext, kind: Kind, go: Go, log: Log) -> TakenOver | None:
    """Return what was started for the step before; what was left alone only where it was said that it is taken up."""
    document = running_attempt(context)
    store = context.workspace.store
    left = None if document is None else read_left(store, document.folder)
    if document is None or left is None:
        return kind.take_over(document, go, log)
    word = settle(store, document.folder, left.id, "run anew")
    if word.how == "taken up":
        return kind.take_over(document, go, log)
    log(f"what ran of step {context.step.name!r} is not followed on: its task was killed, or run anew")
    if word.how == "killed":
        wait_until_ended(store, document.folder, left.id)
        if go.lease is not None:
            go.lease.beat()  # it was released
    remove_job(context.workspace, document.folder)
    context.folder.write_step(canceled_step(document, "the task was run anew"))
    return None


def _told(context: StepContext, document: StepDocument, on_line: OnLine) -> Told:
    left = read_left(context.workspace.store, document.folder)
    return Told(on_line) if left is None else Told(on_line, left.stdout, left.stderr)


def _can_leave(context: StepContext, document: StepDocument) -> bool:
    return read_place(context.workspace.store, document.folder) is not None


def _lease(context: StepContext, go: Go, document: StepDocument) -> Lease:
    """Return the lease that is held while the script runs: that of the key, else one that only tells of its life."""
    if go.lease is not None:
        return go.lease
    workspace = context.workspace
    key = attempt_key(document.folder)
    lease = acquire_lease(workspace.store, key, context.owner, workspace.lease_seconds)
    if not isinstance(lease, Lease):
        raise StoreError(
            f"{document.folder} is somebody else's attempt: {lease.owner} on {lease.host} holds it"
        )
    return lease


def _claim_inputs(context: StepContext) -> None:
    """Make sure that nobody removes the inputs while the script reads them.

    :raises DataError: where one was removed already.
    """
    made = {item.output: name for name, item in context.inputs.items() if item.output is not None}
    lost = claim_results(context.folder, {output.folder for output in made})
    store = context.workspace.store
    for output, name in made.items():
        # what was removed with its run has no tombstone any more
        if output.folder in lost or store.info(output.manifest) is None:
            raise DataError(
                f"input {name!r} of step {context.step.name!r}: its data was removed by `ml-pipelines gc`: "
                "run the step again that makes it (in Airflow, clear its task)"
            )


def _new_attempt(context: StepContext, go: Go) -> StepDocument:
    folder, step = context.folder, context.step
    attempt = folder.new_attempt(step.id)
    document = StepDocument(
        step=step.id,
        status="running",
        reasons=go.reasons,
        explanation=go.explanation,
        key=go.lease.key if go.lease else None,
        attempt=attempt,
        folder=folder.attempt_folder(step.id, attempt),
        started=time.time(),
    )
    folder.write_step(document)
    return document


def _follow(
    context: StepContext,
    folder: str,
    running: Running,
    on_line: OnLine,
    canceled: Callable[[], str | None],
) -> JobResult:
    """Wait for the end of a job. Only the loss of this process leaves anything of it behind."""
    name = context.step.name
    watch = _Watch(context, folder, canceled)
    try:
        result = running.follow(on_line=on_line, canceled=watch.reason)
    finally:
        running.remove()
    if result.status == "canceled" and watch.given is None:
        raise StepFailedError(
            f"step {name!r} failed: something else than its run has ended it ({result.error})"
        )
    if result.status == "canceled":
        raise StepCanceledError(f"step {name!r} was canceled: {result.error or 'no reason given'}")
    if result.status != "finished":
        raise StepFailedError(f"step {name!r} failed: {result.error}")
    return result


class _Watch:
    """Knows why a running script is to end: its caller says so, or another step of the run failed.

    It also says from time to time that somebody follows the job.

    :ivar given: the reason that was given.
    """

    def __init__(self, context: StepContext, folder: str, canceled: Callable[[], str | None]) -> None:
        self._context = context
        self._folder = folder
        self._canceled = canceled
        self.given: str | None = None
        self._next = time.monotonic() + _LOOK_FOR_FAILURE
        self._next_sign = time.monotonic() + SIGN_OF_LIFE

    def reason(self) -> str | None:
        self.given = self.given or self._find_reason()
        return self.given

    def _find_reason(self) -> str | None:
        if (reason := self._canceled()) is not None:
            return reason
        if time.monotonic() >= self._next_sign:
            self._next_sign = time.monotonic() + SIGN_OF_LIFE
            with suppress(StoreError):  # a store that is away for a moment: the next sign may do
                self._say_alive()
        if self._context.run.continue_on_step_failure or time.monotonic() < self._next:
            return None
        self._next = time.monotonic() + _LOOK_FOR_FAILURE
        return find_failure(self._context.folder, self._context.step.id)

    def _say_alive(self) -> None:
        say_alive(self._context.workspace.store, self._folder)


def find_failure(folder: RunFolder, step: str) -> str | None:
    """Return the failure of another step that ends this one, None where there is none."""
    failure = folder.read_failure()
    if failure is None or failure.step == step:
        return None
    return f"step {failure.step!r} failed, and continue_on_step_failure is false"


def say_alive(store: Store, folder: str) -> None:
    """Say that somebody follows an attempt's job."""
    place = read_place(store, folder)
    if place is not None:
        write_place(store, folder, place)


def _finish(
    context: StepContext, kind: Kind, document: StepDocument, result: JobResult, lacks: str, log: Log
) -> StepDocument:
    workspace, run, step = context.workspace, context.run, context.step
    outputs = {
        spec.name: _keep_output(context, kind, document, spec, result.outputs[spec.name])
        for spec in step.outputs
    }
    finished = time.time()
    reasons = document.reasons
    origin = Origin(
        pipeline=run.pipeline,
        run=run.run,
        step=step.id,
        attempt=document.attempt,
        id=step_run_id(run.pipeline, run.run, step.id, document.attempt),
    )
    problem = _why_not_recorded(context, lacks)
    if problem is None:
        key = context.key
        assert key is not None
        assert document.started is not None
        keep_input_manifests(workspace.store, context.inputs)
        record = Record(
            key=key,
            document=context.document,
            origin=origin,
            folder=document.folder,
            outputs=outputs,
            started=document.started,
            finished=finished,
            git=run.git,
        )
        write_record(workspace.store, record)
        with suppress(StoreError):  # it only serves explanations
            add_key(workspace.store, run.spec.family, step.id, key)
        document = msgspec.structs.replace(document, key=key)
    elif step.allow_reuse:
        log(f"nothing is recorded for later runs: {problem}")
        reasons = (*reasons, f"not recorded: {problem}")
    register_outputs(workspace, step, outputs, origin)
    document = msgspec.structs.replace(
        document, status="finished", outputs=outputs, finished=finished, reasons=reasons
    )
    context.folder.write_step(document)
    return document


def _keep_output(
    context: StepContext, kind: Kind, document: StepDocument, spec: OutputSpec, manifest: Manifest
) -> OutputDocument:
    workspace = context.workspace
    datastore, path = kind.destination(spec, document.attempt)
    data = compact_json(manifest.to_dict())
    kept = f"{document.folder}/manifests/{spec.name}.json"
    workspace.store.put(kept, data)
    if not freshen(workspace.store, manifest_path(manifest.digest)):
        workspace.store.put(manifest_path(manifest.digest), data)
    return OutputDocument(
        datastore=datastore,
        path=path,
        digest=manifest.digest,
        manifest=kept,
        files=len(manifest),
        size=manifest.size,
        single=manifest.single,
    )


def _why_not_recorded(context: StepContext, lacks: str) -> str | None:
    if not context.step.allow_reuse:
        return "allow_reuse is false"
    if lacks:
        return lacks
    if context.key is None:
        return "; ".join(context.unknown)
    return _changed_code(context) or _changed_input(context)


def _changed_code(context: StepContext) -> str | None:
    """Return what of the code that lies elsewhere is not any more what the key says, None where all is."""
    try:
        after = Sources(context.workspace, context.run.spec.base_directory).code(context.step)
    except MlPipelinesError as error:
        return f"what it ran can't be read any more ({error})"
    planned = context.plan.code
    changed = sorted(name for name in {*after, *planned} if after.get(name) != planned.get(name))
    return f"{', '.join(changed)} changed while the step ran" if changed else None


def _changed_input(context: StepContext) -> str | None:
    """Return which input is not any more what the key says, None where all are."""
    try:
        after = context.again().inputs
    except MlPipelinesError as error:
        return f"an input can't be read any more ({error})"
    for name, item in context.inputs.items():
        if after[name].fingerprint != item.fingerprint:
            return f"input {name!r} changed while the step ran"
        if item.output is not None and (wrong := verify_output(context.workspace, item.output)) is not None:
            return f"input {name!r} changed while the step ran: {wrong}"
    return None
