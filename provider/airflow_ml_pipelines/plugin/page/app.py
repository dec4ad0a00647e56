"""Puts the pages into the application: their routes, what they are drawn with, and errors as pages."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.staticfiles import StaticFiles

from airflow_ml_pipelines.links import airflow_path
from airflow_ml_pipelines.plugin.bodies import refuse_fields
from airflow_ml_pipelines.plugin.page.render import render
from airflow_ml_pipelines.plugin.page.routes import compare, datasets, pipelines, runs, savings

__all__ = ["add_pages", "is_page", "show_error"]

_STATIC = Path(__file__).parent / "static"
_HEADINGS = {401: "Log in", 403: "Not for you", 404: "Not found", 422: "That can't be"}


class _Static(StaticFiles):
    """Files that are asked about again each time, so that none of an older version is shown after an upgrade."""

    def file_response(self, *arguments: object, **options: object) -> Response:
        response = super().file_response(*arguments, **options)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def add_pages(app: FastAPI) -> None:
    """Add the pages to the application, below ``/ui``."""
    app.mount("/ui/static", _Static(directory=_STATIC), name="static")
    for routes in (runs, compare, pipelines, datasets, savings):
        app.include_router(routes.router, prefix="/ui", include_in_schema=False)
    app.add_exception_handler(StarletteHTTPException, _answer_refusal)
    app.add_exception_handler(RequestValidationError, _answer_invalid)


def is_page(request: Request) -> bool:
    """Return whether a request is for a page, which answers people, and not for a REST call."""
    root = request.scope.get("root_path", "")
    return request.url.path.removeprefix(root).startswith("/ui/")


def show_error(request: Request, text: str, status: int) -> Response:
    """Return a page that says what went wrong."""
    return render(
        request, "error", code=status, heading=_HEADINGS.get(status, "That did not work"), text=text
    )


async def _answer_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    if not is_page(request):
        return await http_exception_handler(
            request, HTTPException(error.status_code, error.detail, error.headers)
        )
    if error.status_code == 401 and request.method == "GET":
        there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        home = airflow_path("").removesuffix("/dags/")
        return RedirectResponse(f"{home}/api/v2/auth/login?next={quote(there, safe='')}", 302)
    return show_error(request, str(error.detail), error.status_code)


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if not is_page(request):
        return refuse_fields(error)
    text = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in error.errors())
    return show_error(request, text, 422)
