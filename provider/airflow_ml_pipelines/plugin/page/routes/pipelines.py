"""The pages of what is published: pipelines and endpoints, what may be done with them, and the form of a run."""

from __future__ import annotations

from itertools import groupby
from typing import Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from airflow_ml_pipelines.core.errors import MlPipelinesError
from airflow_ml_pipelines.core.parameters import describe
from airflow_ml_pipelines.core.publishing.endpoints import EndpointDocument, find_endpoints, switch_endpoint
from airflow_ml_pipelines.core.publishing.published import (
    PublishedDocument,
    find_published,
    read_status,
    write_status,
)
from airflow_ml_pipelines.core.run_index import RunFilter, list_page
from airflow_ml_pipelines.plugin.models import Submission
from airflow_ml_pipelines.plugin.page.forms import read_form, typed_values
from airflow_ml_pipelines.plugin.page.render import base, render
from airflow_ml_pipelines.plugin.page.run_graph import draw_graph
from airflow_ml_pipelines.plugin.page.viewer import Viewer, ViewerDep
from airflow_ml_pipelines.plugin.routes.endpoints import may_change, read_endpoint_of, require_change
from airflow_ml_pipelines.plugin.routes.pipelines import read_pipeline
from airflow_ml_pipelines.plugin.submit import submit
from dag_factory.graphs.graph import graph_of

__all__ = ["router"]

_RUNS = 10
_STATUSES: tuple[Literal["Active", "Disabled"], ...] = ("Active", "Disabled")

router = APIRouter()


@router.get("/pipelines")
def list_pipelines(viewer: ViewerDep) -> HTMLResponse:
    """Show the published pipelines and the endpoints that the user may see."""
    store = viewer.workspace.store
    published = [
        (document, status)
        for document, status in find_published(store, active_only=False)
        if viewer.access.may("GET", document.id)
    ]
    endpoints = [
        item
        for item in find_endpoints(store, active_only=False)
        if item.status != "Archived" and viewer.access.may("GET", item.pipeline())
    ]
    return render(
        viewer.request,
        "pipelines",
        pipelines=[
            (name, list(versions)[::-1])
            for name, versions in groupby(published, key=lambda item: item[0].name)
        ],
        endpoints=[(item, _versions(viewer, item), may_change(viewer.access, item)) for item in endpoints],
    )


@router.post("/endpoints/{endpoint}/status")
async def change_endpoint(endpoint: str, viewer: ViewerDep) -> Response:
    """Enable or disable a pipeline endpoint."""
    form = await read_form(viewer.request)
    document = await run_in_threadpool(read_endpoint_of, viewer.workspace, viewer.access, endpoint)
    require_change(viewer.access, document)
    await run_in_threadpool(switch_endpoint, viewer.workspace.store, document.id, _status_of(form))
    return RedirectResponse(f"{base(viewer.request)}/pipelines#endpoints", 303)


@router.get("/pipelines/{pipeline}")
def show_pipeline(pipeline: str, viewer: ViewerDep) -> HTMLResponse:
    """Show a published pipeline with the form of a run."""
    return _page(viewer, read_pipeline(viewer.workspace, viewer.access, pipeline))


@router.post("/pipelines/{pipeline}/status")
async def change_status(pipeline: str, viewer: ViewerDep) -> Response:
    """Enable or disable a published pipeline."""
    form = await read_form(viewer.request)
    document = await run_in_threadpool(read_pipeline, viewer.workspace, viewer.access, pipeline)
    viewer.access.require("PUT", document.id)
    await run_in_threadpool(write_status, viewer.workspace.store, document, _status_of(form))
    return RedirectResponse(f"{base(viewer.request)}/pipelines/{document.id}", 303)


def _status_of(form: dict[str, str]) -> Literal["Active", "Disabled"]:
    for status in _STATUSES:
        if form.get("status") == status:
            return status
    raise HTTPException(422, "Expected the status Active or Disabled.")


@router.post("/pipelines/{pipeline}/runs")
async def start_run(pipeline: str, viewer: ViewerDep) -> Response:
    """Start a run with what the form has, or show the form again with what is wrong."""
    form = await read_form(viewer.request)
    document = await run_in_threadpool(read_pipeline, viewer.workspace, viewer.access, pipeline)
    viewer.access.require("POST", document.id, runs=True)
    try:
        body = Submission(
            ExperimentName=form.get("experiment") or None,
            ParameterAssignments=typed_values(document.spec.parameters, form),
            RegenerateOutputs="regenerate" in form,
        )
        run = await submit(viewer.request, viewer.workspace, viewer.access, document, body)
    except (MlPipelinesError, ValueError) as error:
        return await run_in_threadpool(_page, viewer, document, str(error), form, 422)
    except HTTPException as error:
        return await run_in_threadpool(_page, viewer, document, str(error.detail), form, error.status_code)
    from urllib.parse import quote

    at = f"dags/{quote(run.PipelineId, safe='')}/runs/{quote(run.Id, safe='')}"
    return RedirectResponse(f"{base(viewer.request)}/{at}", 303)


def _page(
    viewer: Viewer,
    document: PublishedDocument,
    wrong: str = "",
    form: dict[str, str] | None = None,
    code: int = 200,
) -> HTMLResponse:
    access = viewer.access
    viewer.refresh()
    with viewer.index() as connection:
        dags = [document.id] if viewer.sees(document.id) else []
        runs = list_page(connection, RunFilter(dags=dags, dag_id=document.id), _RUNS)
    return render(
        viewer.request,
        "pipeline",
        code=code,
        document=document,
        status=read_status(viewer.workspace.store, document),
        may_change=access.may("PUT", document.id),
        may_run=access.may("POST", document.id, runs=True),
        graph=draw_graph(graph_of(document.spec), {}, f"The steps of {document.name}"),
        takes={item.name: describe(item) for item in document.spec.parameters},
        wrong=wrong,
        form=form or {},
        runs=runs,
    )


def _versions(viewer: Viewer, endpoint: EndpointDocument) -> list[tuple[str, str]]:
    """Return the versions of an endpoint whose pipelines the user may see."""
    numbered = ((str(number), item) for number, item in enumerate(endpoint.versions))
    return [item for item in numbered if viewer.access.may("GET", item[1])]
