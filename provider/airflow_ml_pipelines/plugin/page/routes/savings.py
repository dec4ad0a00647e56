"""The pages that say what reuse saved."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from airflow_ml_pipelines.core.run_index import list_savings, metric_series, steps_savings
from airflow_ml_pipelines.plugin.access import MissingError
from airflow_ml_pipelines.plugin.page.plots import Point, draw_line
from airflow_ml_pipelines.plugin.page.render import render, shown
from airflow_ml_pipelines.plugin.page.viewer import ViewerDep

__all__ = ["router"]

_PLOTS = 24

router = APIRouter()


@router.get("/savings")
def show_savings(viewer: ViewerDep) -> HTMLResponse:
    """Show what reuse saved each pipeline, and all of them."""
    progress = viewer.refresh()
    with viewer.index() as connection:
        found = list_savings(connection, viewer.dags(connection))
    return render(viewer.request, "savings", found=found, progress=progress)


@router.get("/savings/{pipeline}")
def show_pipeline_savings(pipeline: str, viewer: ViewerDep) -> HTMLResponse:
    """Show what reuse saved each step of a pipeline, and its metrics over the runs."""
    progress = viewer.refresh()
    with viewer.index() as connection:
        dags = viewer.dags(connection)
        steps = steps_savings(connection, pipeline, dags)
        series = metric_series(connection, pipeline, dags)
    if not steps:
        raise MissingError(f"there is no run of pipeline {pipeline[:200]!r}")
    plots = {
        name: draw_line(
            [
                Point(float(number), value, f"{run}: {value:.6g}")
                for number, (_, value, run) in enumerate(points)
            ],
            f"{name} over the runs",
            shown(points[0][2], 28),
            shown(points[-1][2], 28),
        )
        for name, points in list(series.items())[:_PLOTS]
        if len(points) > 1
    }
    return render(
        viewer.request, "savings_pipeline", pipeline=pipeline, steps=steps, plots=plots, progress=progress
    )
