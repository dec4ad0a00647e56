"""The application below ``/ml-pipelines``: its routes and pages, and how errors are answered."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from airflow_ml_pipelines.core.errors import (
    DocumentError,
    MlPipelinesError,
    NotFoundError,
    ParameterError,
    StoreError,
)
from airflow_ml_pipelines.plugin.access import MissingError
from airflow_ml_pipelines.plugin.page.app import add_pages, is_page, show_error
from airflow_ml_pipelines.plugin.routes import endpoints, pipelines, runs

__all__ = ["make_app"]

_STATUS: tuple[tuple[type[MlPipelinesError], int], ...] = (
    (MissingError, 404),
    (NotFoundError, 404),
    (ParameterError, 422),
    (DocumentError, 500),
    (StoreError, 503),
    (MlPipelinesError, 409),
)


def make_app() -> FastAPI:
    """Return the application."""
    app = FastAPI(
        title="ML Pipelines",
        summary="Published pipelines, pipeline endpoints and runs.",
        description=(
            "Every call needs what calls of Airflow's own REST API need: a bearer token, or the cookie of Airflow's "
            "UI. What a user may read or run follows from the DAG of the pipeline."
        ),
        version="1",
        docs_url="/docs",
        redoc_url=None,
    )
    app.add_exception_handler(MlPipelinesError, _answer_error)
    for routes in (pipelines, endpoints, runs):
        app.include_router(routes.router, prefix="/api/v1")
    add_pages(app)
    return app


def _answer_error(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    if is_page(request):
        return show_error(request, str(error), status)
    return JSONResponse({"detail": str(error)}, status)
