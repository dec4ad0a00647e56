"""The application below ``/ml-pipelines``: its routes and pages, and how errors are answered."""

from __future__ import annotations

from typing import Any

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
from airflow_ml_pipelines.plugin.models import Refusal
from airflow_ml_pipelines.plugin.page.app import add_pages, is_page, show_error
from airflow_ml_pipelines.plugin.routes import endpoints, files, pipelines, runs

__all__ = ["make_app"]

_STATUS: tuple[tuple[type[MlPipelinesError], int], ...] = (
    (MissingError, 404),
    (NotFoundError, 404),
    (ParameterError, 422),
    (DocumentError, 500),
    (StoreError, 503),
    (MlPipelinesError, 409),
)
_REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Refusal, "description": "No token, or one that is not valid."},
    403: {"model": Refusal, "description": "The user may see it and not do this with it."},
    404: {"model": Refusal, "description": "There is no such thing, or the user may not see it."},
    409: {
        "model": Refusal,
        "description": "It can't be done as things stand, such as with what is disabled.",
    },
    413: {"model": Refusal, "description": "A document or a file that is too large."},
    422: {
        "model": Refusal,
        "description": "A field or a parameter that does not exist, or that is of another type.",
    },
    503: {"model": Refusal, "description": "A store does not answer, or Airflow has not read the DAG yet."},
}


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
        responses=_REFUSALS,
    )
    app.add_exception_handler(MlPipelinesError, _answer_error)
    for routes in (pipelines, endpoints, runs, files):
        app.include_router(routes.router, prefix="/api/v1")
    add_pages(app)
    return app


def _answer_error(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    if is_page(request):
        return show_error(request, str(error), status)
    return JSONResponse({"detail": str(error)}, status)
