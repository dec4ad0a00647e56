"""REST calls for runs: how each step went, what it made, and why it ran."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from airflow_ml_pipelines.core.errors import NotFoundError
from airflow_ml_pipelines.core.plans.explain_steps import ExplainedStep
from airflow_ml_pipelines.core.runs.folder import RunDocument, RunFolder, StepDocument, StepPlan
from airflow_ml_pipelines.core.runs.place import read_place
from airflow_ml_pipelines.core.workspaces.server import dag_path
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.plugin.access import Access, AccessDep, MissingError, WorkspaceDep, may_see_run
from airflow_ml_pipelines.plugin.airflow_calls import call_airflow
from airflow_ml_pipelines.plugin.models import Explained, Run, RunPage, Step
from airflow_ml_pipelines.plugin.page.steps import FOREIGN
from airflow_ml_pipelines.plugin.routes.pipelines import Limit, Offset

__all__ = ["open_run", "read_step", "router"]

_T = TypeVar("_T", StepDocument, StepPlan)
_Told = TypeVar("_Told", StepDocument, StepPlan, ExplainedStep)

router = APIRouter(prefix="/runs", tags=["runs"])


@router.get("/{pipeline}")
async def list_runs(
    pipeline: str,
    request: Request,
    workspace: WorkspaceDep,
    access: AccessDep,
    limit: Limit = 100,
    offset: Offset = 0,
) -> RunPage:
    """Return the runs that a pipeline has on this Airflow, the latest first; those that have a plan."""
    access.require("GET", pipeline, runs=True)
    code, answer = await call_airflow(
        request, "GET", f"{dag_path(pipeline)}/dagRuns?order_by=-run_after&limit={limit}&offset={offset}"
    )
    if code != 200:
        raise MissingError(f"there is no pipeline {pipeline!r} on this Airflow")
    found = [
        await run_in_threadpool(_find, RunFolder(workspace.store, pipeline, item["dag_run_id"]))
        for item in answer["dag_runs"]
    ]
    return RunPage(total=answer["total_entries"], items=[run for run in found if run is not None])


@router.get("/{pipeline}/{run}")
def get_run(pipeline: str, run: str, workspace: WorkspaceDep, access: AccessDep) -> Run:
    """Return a run."""
    folder = open_run(workspace, access, pipeline, run)
    return _describe(folder, folder.read_run())


@router.get("/{pipeline}/{run}/plan")
def get_plan(pipeline: str, run: str, workspace: WorkspaceDep, access: AccessDep) -> dict[str, Any]:
    """Return what the run's plan found out and decided, step by step."""
    plan = open_run(workspace, access, pipeline, run).read_plan()
    if plan is None:
        raise MissingError(f"run {run!r} has no plan yet")
    seen = _seen_by(workspace, access)
    steps = tuple(_without_foreign(item, seen) for item in plan.steps)
    document: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(plan, steps=steps))
    return document


@router.get("/{pipeline}/{run}/explain")
def explain_run(
    pipeline: str,
    run: str,
    workspace: WorkspaceDep,
    access: AccessDep,
    *,
    step: str | None = None,
    against: str | None = None,
) -> list[Explained]:
    """Return what became of each step, or of one, and in what it differs from an earlier result.

    `against` names another run of the pipeline to compare with, in place of the nearest earlier result.
    """
    from airflow_ml_pipelines.core.plans import explain_steps

    folder = open_run(workspace, access, pipeline, run)
    other = None if against is None else open_run(workspace, access, pipeline, against)
    if step is not None and step not in folder.steps():
        raise MissingError(f"run {run!r} has no step {step!r}")
    found = explain_steps.explain_run(workspace, folder, step, against=other)
    seen, documents = _seen_by(workspace, access), folder.steps()
    foreign = {
        name
        for name, document in documents.items()
        if document.reused_from and not seen(document.reused_from.pipeline, document.reused_from.run)
    }
    found = tuple(_unnamed(item, seen, foreign=item.step in foreign) for item in found)
    return [
        Explained(
            step=item.step,
            name=item.name,
            state=item.state,
            reasons=list(item.reasons),
            explanation=None if item.explanation is None else msgspec.to_builtins(item.explanation),
        )
        for item in found
    ]


@router.get("/{pipeline}/{run}/steps")
def list_steps(pipeline: str, run: str, workspace: WorkspaceDep, access: AccessDep) -> list[Step]:
    """Return how each step went, in the pipeline's order; ``reasons`` explain why it ran or what it was reused from."""
    folder = open_run(workspace, access, pipeline, run)
    names, seen = _names(folder), _seen_by(workspace, access)
    return [_step(_without_foreign(document, seen), names) for document in folder.steps().values()]


@router.get("/{pipeline}/{run}/steps/{step}")
def get_step(pipeline: str, run: str, step: str, workspace: WorkspaceDep, access: AccessDep) -> Step:
    """Return how a step went."""
    folder = open_run(workspace, access, pipeline, run)
    document = _without_foreign(read_step(folder, step), _seen_by(workspace, access))
    return _step(document, _names(folder))


@router.get("/{pipeline}/{run}/steps/{step}/metrics")
def get_metrics(
    pipeline: str, run: str, step: str, workspace: WorkspaceDep, access: AccessDep
) -> dict[str, Any]:
    """Return what the step's script logged; of a reused step what the original logged."""
    from airflow_ml_pipelines.core.metrics import read_events, read_metrics

    folder = open_run(workspace, access, pipeline, run)
    document = read_step(folder, step)
    if not document.folder:
        return {}
    try:
        data = workspace.store.get(f"{document.folder}/metrics.jsonl")
    except NotFoundError:
        return {}
    metrics: dict[str, Any] = read_metrics(read_events(data))
    return metrics


def open_run(workspace: Workspace, access: Access, pipeline: str, run: str) -> RunFolder:
    """Return the folder of a run that the user may see."""
    folder = RunFolder(workspace.store, pipeline, run)
    place = read_place(folder)
    access.require("GET", place["dag_id"] if place else pipeline, runs=True)
    if workspace.store.info(f"{folder.path}/run.json") is None:
        raise MissingError(f"there is no run {run!r} of pipeline {pipeline!r}")
    return folder


def _seen_by(workspace: Workspace, access: Access) -> Callable[[str, str], bool]:
    """Return what says whether the user may see a pipeline's run."""
    return functools.cache(functools.partial(may_see_run, access, workspace.store))


def _unnamed(item: _Told, seen: Callable[[str, str], bool], *, foreign: bool) -> _Told:
    """Return why a step ran or was reused, without the name of a run that the user may not see."""
    if foreign:
        item = msgspec.structs.replace(item, reasons=(FOREIGN,))
    against = item.explanation.against if item.explanation else None
    if item.explanation and against and not seen(against.pipeline, against.run):
        explanation = msgspec.structs.replace(item.explanation, against=None)
        reasons = explanation.reasons or ("an earlier result is no longer there",)
        item = msgspec.structs.replace(item, explanation=explanation, reasons=reasons)
    return item


def _without_foreign(item: _T, seen: Callable[[str, str], bool]) -> _T:
    """Return how a step went, or its plan, without the names of runs that the user may not see."""
    item = _unnamed(item, seen, foreign=False)
    origin = item.reused_from
    if origin is None or seen(origin.pipeline, origin.run):
        return item
    outputs = {
        name: msgspec.structs.replace(made, path="", manifest="") for name, made in item.outputs.items()
    }
    return msgspec.structs.replace(item, reused_from=None, reasons=(FOREIGN,), folder="", outputs=outputs)


def _find(folder: RunFolder) -> Run | None:
    try:
        return _describe(folder, folder.read_run())
    except NotFoundError:
        return None


def _describe(folder: RunFolder, document: RunDocument) -> Run:
    return Run(
        id=document.run,
        pipeline=document.pipeline,
        experiment=document.experiment,
        status=folder.status(),
        started=document.started,
        parameters=document.parameters,
        tags=document.tags,
        git=document.git,
        seconds_saved=sum(step.saved for step in folder.steps().values()),
    )


def _names(folder: RunFolder) -> dict[str, str]:
    return {step.id: step.name for step in folder.read_run().spec.steps}


def read_step(folder: RunFolder, step: str) -> StepDocument:
    document = folder.steps().get(step)
    if document is None:
        raise MissingError(f"run {folder.run!r} has no step {step!r}")
    return document


def _step(document: StepDocument, names: dict[str, str]) -> Step:
    return Step(
        id=document.step,
        name=names.get(document.step, document.step),
        status=document.status,
        reasons=list(document.reasons),
        attempt=document.attempt,
        seconds=document.seconds,
        seconds_saved=document.saved,
        reused_from=None if document.reused_from is None else msgspec.to_builtins(document.reused_from),
        outputs={name: msgspec.to_builtins(output) for name, output in document.outputs.items()},
        error=document.error,
    )
