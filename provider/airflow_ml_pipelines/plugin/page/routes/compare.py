"""The page that compares runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from airflow_ml_pipelines.core.layout import segment
from airflow_ml_pipelines.core.run_index import RunFilter, list_page
from airflow_ml_pipelines.plugin.page.compared import compare_steps, metric_plots, rows_of
from airflow_ml_pipelines.plugin.page.render import render
from airflow_ml_pipelines.plugin.page.steps import view_steps
from airflow_ml_pipelines.plugin.page.viewer import ViewerDep

__all__ = ["router"]

_MOST = 8

router = APIRouter()


@router.get("/compare")
def compare(viewer: ViewerDep, run: Annotated[list[str], Query(max_length=1000)] = []) -> HTMLResponse:  # noqa: B006
    """Show runs side by side, the first one being what the others are compared with.

    :param run: each as ``<pipeline>/<run>``.
    """
    names = [item.partition("/")[::2] for item in dict.fromkeys(run)]
    folders = [viewer.open_run(*name) for name in names[:_MOST]]
    if len(folders) < 2:
        return render(viewer.request, "nothing", text="Tick two runs or more in the list to compare them.")
    progress = viewer.refresh()
    with viewer.index() as connection:
        places = [f"{segment(folder.pipeline)}/{segment(folder.run)}" for folder in folders]
        found = list_page(connection, RunFilter(dags=viewer.dags(connection), places=places), _MOST)
    by_name = {(item.pipeline, item.run): item for item in found.items}
    listed = [by_name[name] for folder in folders if (name := (folder.pipeline, folder.run)) in by_name]
    documents = [folder.read_run() for folder in folders]
    steps = [
        view_steps(folder, document, viewer.sees_run)
        for folder, document in zip(folders, documents, strict=True)
    ]
    metrics = [
        by_name[folder.pipeline, folder.run].facts.get("metric", {})
        if (folder.pipeline, folder.run) in by_name
        else {}
        for folder in folders
    ]
    return render(
        viewer.request,
        "compare",
        runs=documents,
        progress=progress,
        parameters=rows_of([document.parameters for document in documents]),
        tags=rows_of([document.tags for document in documents]),
        metrics=rows_of(metrics),
        git=rows_of([document.git for document in documents]),
        states=rows_of([{item.name: item.summary for item in run_steps} for run_steps in steps]),
        plots=metric_plots(listed),
        differences=[
            compare_steps(viewer.workspace, folders[0], folder, views)
            for folder, views in zip(folders[1:], steps[1:], strict=True)
        ],
        left_out=max(0, len(names) - _MOST),
    )
