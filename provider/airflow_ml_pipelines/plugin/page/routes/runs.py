"""The pages of runs: the list, one run as a graph of steps, and one step with all that is known of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from airflow_ml_pipelines.core.errors import ParameterError
from airflow_ml_pipelines.core.run_index import (
    Kind,
    ListedPage,
    RunFilter,
    choices,
    find_run,
    list_page,
    read_condition,
)
from airflow_ml_pipelines.core.runs.folder import PlanDocument, RunFolder, StepPlan, status_of
from airflow_ml_pipelines.core.runs.place import read_place
from airflow_ml_pipelines.plugin.access import MissingError
from airflow_ml_pipelines.plugin.files import (
    LOGS,
    KeptFile,
    find_kept,
    find_made,
    kept_files,
    made_files,
    read_end,
)
from airflow_ml_pipelines.plugin.page.changed import has_ended
from airflow_ml_pipelines.plugin.page.metrics import view_metrics
from airflow_ml_pipelines.plugin.page.previews import preview_file
from airflow_ml_pipelines.plugin.page.render import base, render, run_path
from airflow_ml_pipelines.plugin.page.run_graph import draw_run
from airflow_ml_pipelines.plugin.page.step_inputs import view_inputs
from airflow_ml_pipelines.plugin.page.steps import StepView, view_steps
from airflow_ml_pipelines.plugin.page.viewer import Viewer, ViewerDep
from airflow_ml_pipelines.plugin.serve import serve_file

__all__ = ["Text", "filter_of", "router"]

_PAGE = 50
_FILES = 100
_LOG = 64 << 10
_LOGS = (f"{LOGS}stderr.txt", f"{LOGS}stdout.txt")
_STATUSES = ("Running", "Finished", "Failed", "Canceled", "NotStarted")

router = APIRouter()

Text = Annotated[str, Query(max_length=500)]


@router.get("/")
def start(viewer: ViewerDep) -> Response:
    """Lead to the list of runs."""
    return RedirectResponse(f"{base(viewer.request)}/runs")


@router.get("/runs")
def list_runs(
    viewer: ViewerDep,
    pipeline: Text = "",
    experiment: Text = "",
    status: Text = "",
    parameter: Text = "",
    tag: Text = "",
    metric: Text = "",
    commit: Text = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> HTMLResponse:
    """Show the runs that the user may see, the latest first."""
    given = {
        "pipeline": pipeline,
        "experiment": experiment,
        "status": status,
        "parameter": parameter,
        "tag": tag,
        "metric": metric,
        "commit": commit,
    }
    progress = viewer.refresh()
    with viewer.index() as connection:
        dags = viewer.dags(connection)
        wrong, found = "", ListedPage(0, [])
        try:
            found = list_page(connection, filter_of(dags, given), _PAGE, (page - 1) * _PAGE)
        except ParameterError as error:
            wrong = str(error)
        known = {name: choices(connection, name, dags) for name in ("pipeline", "experiment")}
    return render(
        viewer.request,
        "runs",
        code=422 if wrong else 200,
        found=found,
        given=given,
        wrong=wrong,
        progress=progress,
        page=page,
        pages=max(1, -(-found.total // _PAGE)),
        choices={**known, "status": _STATUSES},
    )


def filter_of(dags: list[str], given: dict[str, str]) -> RunFilter:
    """Return which runs are wanted. :raises ParameterError: where a condition is none."""
    kinds: tuple[Kind, ...] = ("parameter", "tag", "metric")
    return RunFilter(
        dags=dags,
        pipeline=given.get("pipeline", ""),
        dag_id=given.get("dag_id", ""),
        experiment=given.get("experiment", ""),
        status=given.get("status", ""),
        commit=given.get("commit", "").strip(),
        conditions=tuple(read_condition(kind, given[kind]) for kind in kinds if given.get(kind, "").strip()),
    )


# --- where Airflow's tabs lead ------------------------------------------------------------------------------------


@router.get("/dags/{dag_id}")
def show_dag(dag_id: str, viewer: ViewerDep) -> HTMLResponse:
    """Show the runs of a DAG."""
    progress = viewer.refresh()
    with viewer.index() as connection:
        dags = [dag_id] if viewer.sees(dag_id) else []
        found = list_page(connection, RunFilter(dags=dags, dag_id=dag_id), _PAGE)
    return render(viewer.request, "dag", dag_id=dag_id, found=found, progress=progress)


@router.get("/dags/{dag_id}/runs/{dag_run}")
@router.get("/dags/{dag_id}/runs/{dag_run}/tasks/{task}")
def show_dag_run(dag_id: str, dag_run: str, viewer: ViewerDep, task: str = "") -> Response:
    """Show what a DAG run is here, or one of its tasks."""
    folder = _find_dag_run(viewer, dag_id, dag_run)
    if folder is None:
        if viewer.sees(dag_id) and has_ended(dag_id, dag_run):
            text = "This run ended without a plan of an ML pipeline: the log of its first task says why."
            return render(viewer.request, "nothing", text=text)
        return render(
            viewer.request, "nothing", text="This run has no steps of an ML pipeline so far.", refresh=True
        )
    step = _step_of(folder, task) if task else None
    return (
        show_run(folder.pipeline, folder.run, viewer)
        if step is None
        else show_step(folder.pipeline, folder.run, step, viewer)
    )


def _find_dag_run(viewer: Viewer, dag_id: str, dag_run: str) -> RunFolder | None:
    if not viewer.sees(dag_id):
        return None
    candidate = RunFolder(viewer.workspace.store, dag_id, dag_run)
    place = read_place(candidate)
    if place is not None and (place["dag_id"], place["run_id"]) == (dag_id, dag_run):
        return candidate
    viewer.refresh()
    with viewer.index() as connection:
        found = find_run(connection, dag_id, dag_run)
    return None if found is None else RunFolder(viewer.workspace.store, *found)


def _step_of(folder: RunFolder, task: str) -> str | None:
    place = read_place(folder)
    tasks: dict[str, str] = place["tasks"] if place else {}
    group = task.rpartition(".")[0]
    for step, its_task in tasks.items():
        if task == its_task or (group and group == its_task.rpartition(".")[0]):
            return step
    known = folder.steps()
    return next((name for name in (task, group) if name in known), None)


# --- one run ------------------------------------------------------------------------------------------------------


@router.get("/runs/{pipeline}/{run}")
def show_run(pipeline: str, run: str, viewer: ViewerDep) -> HTMLResponse:
    """Show a run as a graph of its steps."""
    folder = viewer.open_run(pipeline, run)
    document = folder.read_run()
    steps = view_steps(folder, document, viewer.sees_run)
    result = folder.read_result()
    documents = {item.id: item.document for item in steps}
    at = base(viewer.request)
    ends = [item.document.finished for item in steps if item.document.finished is not None]
    status = result.status if result else status_of(documents)
    is_over = status not in ("Running", "NotStarted")
    return render(
        viewer.request,
        "run",
        run=document,
        steps=steps,
        status=status,
        place=read_place(folder),
        finished=max(ends, default=result.finished if result else None) if is_over else None,
        saved=sum(item.document.saved for item in steps),
        worked=sum(item.document.seconds or 0.0 for item in steps),
        graph=draw_run(
            document.spec,
            steps,
            lambda step: at + run_path(document.pipeline, document.run, step),
            is_over=is_over,
        ),
        error=result.error if result else None,
    )


@router.get("/runs/{pipeline}/{run}/steps/{step}")
def show_step(pipeline: str, run: str, step: str, viewer: ViewerDep) -> HTMLResponse:
    """Show a step: the decision and why, what it read and made, what it logged."""
    folder = viewer.open_run(pipeline, run)
    document = folder.read_run()
    steps = view_steps(folder, document, viewer.sees_run)
    found = _pick(steps, step)
    workspace, attempt = viewer.workspace, found.document.folder
    files = [file for file in kept_files(workspace, attempt) if _is_shown(found, file.name)]
    logs = [file for file in files if file.name in _LOGS]
    plan = _plan(folder.read_plan(), step)
    return render(
        viewer.request,
        "step",
        run=document,
        step=found,
        steps=steps,
        plan=plan,
        place=read_place(folder),
        inputs=view_inputs(found, plan, steps, document),
        outputs={name: _files(viewer, found, name) for name in found.document.outputs},
        metrics=view_metrics(workspace.store, attempt),
        files=[file for file in files if file not in logs],
        logs={
            file.name.removeprefix(LOGS): read_end(file, _LOG).decode("utf-8", "replace")
            for file in reversed(logs)
            if file.size
        },
        log_bytes=_LOG,
        arguments=_arguments(found),
    )


@router.get("/runs/{pipeline}/{run}/steps/{step}/file")
def get_file(
    pipeline: str,
    run: str,
    step: str,
    viewer: ViewerDep,
    name: Annotated[str, Query(max_length=4096)],
    output: Text = "",
    range: Annotated[str | None, Header()] = None,  # noqa: A002 - the header's name
) -> Response:
    """Return a file that a step kept, or one of an output."""
    file = _find_file(viewer, _document(viewer, pipeline, run, step), output, name)
    return serve_file(file.store, file.path, range)


@router.get("/runs/{pipeline}/{run}/steps/{step}/preview")
def show_file(
    pipeline: str,
    run: str,
    step: str,
    viewer: ViewerDep,
    name: Annotated[str, Query(max_length=4096)],
    output: Text = "",
) -> HTMLResponse:
    """Show how a file begins."""
    folder = viewer.open_run(pipeline, run)
    found = _document(viewer, pipeline, run, step)
    file = _find_file(viewer, found, output, name)
    return render(
        viewer.request,
        "preview",
        run=folder.read_run(),
        step=found,
        file=file,
        output=output,
        preview=preview_file(file),
    )


def _document(viewer: Viewer, pipeline: str, run: str, step: str) -> StepView:
    folder = viewer.open_run(pipeline, run)
    return _pick(view_steps(folder, folder.read_run(), viewer.sees_run), step)


def _pick(steps: list[StepView], step: str) -> StepView:
    for item in steps:
        if item.id == step:
            return item
    raise MissingError(f"the run has no step {step[:200]!r}")


def _find_file(viewer: Viewer, step: StepView, output: str, name: str) -> KeptFile:
    if output:
        return find_made(viewer.workspace, step.document, output, name)
    if not _is_shown(step, name):
        raise MissingError(f"there is no file {name[:200]!r}")
    return find_kept(viewer.workspace, step.document.folder, name)


def _is_shown(step: StepView, name: str) -> bool:
    """Return whether a kept file is shown: logs of a run that the user may not see are not."""
    return not (step.is_foreign and name.startswith(LOGS))


def _files(viewer: Viewer, step: StepView, output: str) -> list[KeptFile]:
    try:
        return made_files(viewer.workspace, step.document, output, most=_FILES)
    except MissingError:
        return []


def _plan(plan: PlanDocument | None, step: str) -> StepPlan | None:
    try:
        return plan.step(step) if plan else None
    except KeyError:
        return None


def _arguments(step: StepView) -> list[str]:
    """Return the arguments as they were written: what is put in has its name in braces."""
    if step.spec is None:
        return []
    return ["".join(_segment(part) for part in argument) for argument in step.spec.arguments]


def _segment(part: Any) -> str:
    for name in ("text", "parameter", "input", "output"):
        if hasattr(part, name):
            value = str(getattr(part, name))
            return value if name == "text" else f"{{{name} {value}}}"
    return ""
