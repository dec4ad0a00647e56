"""What the tasks of a run have in common: the workspace, the run's folder, and how errors and decisions are told."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import msgspec

from airflow_ml_pipelines._airflow import AirflowException, AirflowFailException, Asset, conf
from airflow_ml_pipelines.connections import use_airflow_connections
from airflow_ml_pipelines.core.errors import (
    ComputeTargetException,
    DefinitionError,
    MlPipelinesError,
    NotFoundError,
    WorkspaceError,
)
from airflow_ml_pipelines.core.runs.folder import Origin, RunDocument, RunFolder, StepDocument, StepPlan
from airflow_ml_pipelines.core.runs.place import read_place
from airflow_ml_pipelines.core.spec import StepSpec
from airflow_ml_pipelines.core.steps.decide import Go, Hit, Outcome, StepContext, open_step
from airflow_ml_pipelines.core.stores.store import join
from airflow_ml_pipelines.core.workspaces.registry import dataset_uri
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.links import task_url

__all__ = [
    "JOB_TOLD",
    "TOLD",
    "dataset_asset",
    "describe_step",
    "earliest_resume",
    "forced_reason",
    "log_outcome",
    "open_planned_step",
    "open_workspace",
    "plain_errors",
    "prepare_step",
    "reused_from_url",
    "shorten",
    "stop_after_failure",
    "with_archive",
    "workspace_path",
]

_LONGEST = 300

TOLD = {"recorded": "the other run has made the result", "free": "nobody makes the result any more"}
"""What the events of a :class:`~airflow_ml_pipelines.triggers.reuse.ReuseTrigger` mean."""

JOB_TOLD = {
    "ended": "its job has ended",
    "stop": "its job is to end, since another step of the run has failed",
    "timeout": "its time is over",
    "unseen": "the triggerer can't see its job ({error}), so the worker looks",
}
"""What the events of a :class:`~airflow_ml_pipelines.triggers.step.StepTrigger` mean."""


def open_workspace(given: str | None) -> Workspace:
    """Open the workspace that a task names, else the one that Airflow's configuration or the environment names.

    Its datastores take their credentials from Airflow's connections.

    :raises WorkspaceError: where there is none.
    """
    from airflow_ml_pipelines.workspace_file import load_workspace

    use_airflow_connections()
    return load_workspace(given or conf.get("ml_pipelines", "workspace", fallback=None) or None)


def workspace_path(workspace: Workspace, given: str | None) -> str | None:
    """Return what another process, perhaps on another machine, opens the same workspace by."""
    return given if workspace.file is None else str(workspace.file)


def earliest_resume() -> float:
    """Return when a task that is deferred now may go on, in seconds since the epoch.

    Airflow's executors take a task for failed that goes on while the process that deferred it is still ending, which its
    supervisor may see a heartbeat later.
    """
    heartbeat = float(conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0))
    return time.time() + heartbeat + 1


def open_planned_step(workspace: Workspace, folder: RunFolder, step: str) -> StepContext:
    """Return a step of the run that was planned before.

    :raises DefinitionError: where there was no plan, or not for this step.
    """
    try:
        return open_step(workspace, folder, step)
    except (NotFoundError, KeyError):
        raise DefinitionError(
            f"run {folder.run!r} of pipeline {folder.pipeline!r} has no plan for step {step!r}: "
            "let a PlanOperator of the same pipeline come first, and clear it together with this task"
        ) from None


@contextmanager
def plain_errors(log: logging.Logger) -> Iterator[None]:
    """Turn this package's errors into Airflow's: one line in the log, and no retry where that can't help."""
    try:
        yield
    except (DefinitionError, WorkspaceError, ComputeTargetException) as error:
        log.error("%s", error)  # noqa: TRY400 - a user's mistake needs no traceback
        raise AirflowFailException(str(error)) from None
    except MlPipelinesError as error:
        log.error("%s", error)  # noqa: TRY400 - a user's mistake needs no traceback
        raise AirflowException(str(error)) from None


def stop_after_failure(folder: RunFolder, step: str, *, goes_on: bool) -> None:
    """End a task that starts after another step of its run has failed.

    A step that had ended already and starts again was cleared by somebody, so it runs, and the failure is forgotten.

    :param goes_on: the run's ``continue_on_step_failure``.
    """
    failure = None if goes_on else folder.read_failure()
    if failure is None or failure.step == step:
        return
    document = folder.read_step(step)
    if document is not None and document.status in ("finished", "reused", "failed", "canceled"):
        folder.clear_failure(failure.step)
        return
    text = f"step {failure.step!r} failed, and continue_on_step_failure is false: {failure.error}"
    folder.write_step(StepDocument(step=step, status="canceled", error=text))
    raise AirflowFailException(f"step {step!r} does not run: {text}")


def forced_reason(folder: RunFolder, step: str) -> str | None:
    """Return why a step runs in any case: it had ended well in this run already, so somebody cleared its task."""
    document = folder.read_step(step)
    return "the task was cleared" if document is not None and document.ended_well else None


def log_outcome(log: logging.Logger, context: StepContext, outcome: Outcome) -> None:
    """Say what was decided, and why."""
    name = context.step.name
    if isinstance(outcome, Hit):
        origin = outcome.record.origin
        log.info("Step %r is reused from run %s of %s.", name, origin.run, origin.pipeline)
        log.info("Saved %.1f s; key %s.", outcome.record.seconds, outcome.record.key)
        return
    if isinstance(outcome, Go):
        for reason in outcome.reasons:
            log.info("Step %r runs: %s", name, reason)
        return
    holder = outcome.holder
    log.info(
        "Waiting for %s on %s, which makes the same result (key %s).", holder.owner, holder.host, outcome.key
    )


def describe_step(workspace: Workspace, document: StepDocument) -> dict[str, Any]:
    """Return what a task leaves for those after it: small, and without secrets."""
    described: dict[str, Any] = {
        "decision": "reuse" if document.status == "reused" else "run",
        "reason": shorten("; ".join(document.reasons)),
        "key": document.key,
    }
    if document.ended_well:
        described["outputs"] = {
            name: _join_url(workspace.datastore(output.datastore).url, output.path)
            for name, output in document.outputs.items()
        }
    if document.reused_from is not None:
        described["reused_from"] = f"{document.reused_from.pipeline}/{document.reused_from.run}"
        described["seconds_saved"] = round(document.saved, 3)
    elif document.seconds is not None:
        described["seconds"] = round(document.seconds, 3)
    return described


def shorten(text: str) -> str:
    """Return a text as it fits into a small document."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _join_url(base: str, path: str) -> str:
    """Return the URL of a path in a store."""
    return f"{base.rstrip('/')}/{quote(join(path)) if base.startswith('file://') else join(path)}"


# --- steps outside of a plan -------------------------------------------------------------------------------------


def prepare_step(workspace: Workspace, run: RunDocument, step: StepSpec) -> StepPlan:
    """Return what a step needs to run (its snapshot, published), without deciding whether it does.

    :raises MlPipelinesError: where its source directory, script, environment or data is missing.
    """
    from airflow_ml_pipelines.core.plans.plan import Planner

    return Planner(workspace, msgspec.structs.replace(run, regenerate_outputs=True)).plan(step)


def with_archive(context: StepContext) -> StepContext:
    """Return a step that can run, also where the plan was to reuse it and published no snapshot."""
    if context.plan.archive or not context.step.has_source:
        return context
    return replace(context, plan=prepare_step(context.workspace, context.run, context.step))


def dataset_asset(name: str) -> Any:
    """Return the Airflow asset that a dataset of a workspace is."""
    return Asset(name=name, uri=dataset_uri(name))


def reused_from_url(workspace: Workspace, origin: Origin | None, *, run_only: bool = False) -> str:
    """Return the address of the task that made a result, "" where no scheduler ran it."""
    if origin is None:
        return ""
    place = read_place(RunFolder(workspace.store, origin.pipeline, origin.run))
    if place is None:
        return ""
    # in a DAG without a plan a step has the name of its task
    place["tasks"] = place["tasks"] or {origin.step: origin.step}
    return task_url(place, None if run_only else origin.step)
