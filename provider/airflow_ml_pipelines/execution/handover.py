"""Hands the job of a step to its compute target, or takes over one that a lost process had handed over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from airflow_ml_pipelines.core.canonical import pretty_json
from airflow_ml_pipelines.core.errors import MlPipelinesError
from airflow_ml_pipelines.core.runs.folder import StepDocument
from airflow_ml_pipelines.core.spec import EnvironmentSpec, OutputSpec
from airflow_ml_pipelines.core.steps.decide import Go, StepContext
from airflow_ml_pipelines.execution.job import make_job, output_destination
from airflow_ml_pipelines.execution.places import job_path, read_job, read_place, write_place
from airflow_ml_pipelines.execution.targets.port import (
    ComputeTarget,
    Log,
    OnLine,
    Place,
    Running,
    Work,
)
from airflow_ml_pipelines.execution.targets.registry import open_target
from airflow_ml_pipelines.execution.targets.results import read_result
from airflow_ml_pipelines.runtime.job import Job
from airflow_ml_pipelines.runtime.result import JobResult

__all__ = [
    "HandedOver",
    "ScriptKind",
    "TakenOver",
    "running_attempt",
]


class HandedOver(NamedTuple):
    """A job that was handed over.

    :param lacks: what of its environment is not there; "" for nothing.
    """

    running: Running
    lacks: str = ""


class TakenOver(NamedTuple):
    """A job that another process had handed over."""

    document: StepDocument
    job: HandedOver


class ScriptKind:
    """A step whose script is run by its compute target.

    A kind of steps that a launcher runs too makes another job of them, in another environment.
    """

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._target = open_target(context.workspace.compute_target(context.step.compute_target))

    def take_over(self, began: StepDocument | None, go: Go, log: Log) -> TakenOver | None:
        return (
            None if began is None else _take_over(self._context, began, go, self._target, self._make_job, log)
        )

    def hand_over(self, go: Go, attempt: int, log: Log) -> HandedOver:  # noqa: ARG002
        """Make the environment and the job of an attempt, and start it.

        Where it will run is written down first, so that nothing runs of which nobody knows.

        :raises MlPipelinesError: where it can't be started; nothing of it is left then.
        """
        context, target, environment = self._context, self._target, self._environment()
        workspace = context.workspace
        prepared = target.prepare(environment, workspace, log=log)
        job = self._make_job(attempt, prepared.interpreter)
        folder = context.folder.attempt_folder(context.step.id, attempt)
        workspace.store.put(job_path(folder), pretty_json(_public(job)))
        work = Work(workspace, job, environment, prepared)
        place = target.place(work)
        if place is not None:
            write_place(workspace.store, folder, place)
        return HandedOver(target.start(work, log=log), prepared.lacks)

    def _environment(self) -> EnvironmentSpec:
        return self._context.plan.environment

    def _make_job(self, attempt: int, interpreter: str) -> Job:
        return make_job(self._context, attempt, interpreter)

    def destination(self, spec: OutputSpec, attempt: int) -> tuple[str, str]:
        return output_destination(self._context, spec, attempt)


def running_attempt(context: StepContext) -> StepDocument | None:
    """Return the attempt at a step that somebody began and nobody ended; None where there is none."""
    document = context.folder.read_step(context.step.id)
    return document if document is not None and document.status == "running" and document.attempt else None


def _take_over(
    context: StepContext,
    document: StepDocument,
    go: Go,
    target: ComputeTarget,
    make: Callable[[int, str], Job],
    log: Log,
) -> TakenOver | None:
    """Return the job that a lost process has started for the same step of the same run, None where there is none.

    It is taken only where it was given the same as this process would give it.
    """
    store = context.workspace.store
    place = read_place(store, document.folder)
    if place is None:
        return None
    try:
        kept = read_job(store, document.folder)
        job = make(document.attempt, kept.interpreter)
    except MlPipelinesError as error:
        log(f"what was started for step {context.step.name!r} before can't be taken over: {error}")
        return None
    found = target.find(place, job, context.workspace)
    if document.key != (go.lease.key if go.lease else None) or _public(job) != _public(kept):
        log(f"what was started for step {context.step.name!r} before was given something else: it is removed")
        if found is not None:
            found.remove()
        return None
    running = _running(context, job, place, found, log)
    return None if running is None else TakenOver(document, HandedOver(running))


def _running(context: StepContext, job: Job, place: Place, found: Running | None, log: Log) -> Running | None:
    name = context.step.name
    result = read_result(context.workspace, job)
    if result is not None:
        log(f"step {name!r} has ended while nobody was there")
        return _Ended(result, found)
    if found is None:
        log(f"what was started for step {name!r} before is gone ({place.target}: {place.id})")
        return None
    log(f"step {name!r} is found running again ({place.target}: {place.id})")
    return found


def _public(job: Job) -> dict[str, object]:
    """Return the job as it may be kept: values of variables can be secret."""
    document = job.to_dict()
    document["variables"] = dict.fromkeys(job.variables, "***")
    return document


@dataclass(frozen=True)
class _Ended:
    """A job that has ended already, and what is left of it."""

    result: JobResult
    left: Running | None

    def follow(self, *, on_line: OnLine, canceled: Callable[[], str | None]) -> JobResult:
        if self.left is not None:
            self.left.follow(on_line=on_line, canceled=canceled)
        return self.result

    def is_over(self) -> bool:
        return True

    def remove(self) -> None:
        if self.left is not None:
            self.left.remove()
