"""Makes pages of templates: everything that is put in is text, and nothing but our own style and script is let in."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
import msgspec
from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from airflow_ml_pipelines.core.amounts import seconds_text, size_text
from airflow_ml_pipelines.core.keys.differences import show_side, show_value
from airflow_ml_pipelines.core.layout import segment
from airflow_ml_pipelines.links import airflow_path

__all__ = ["HEADERS", "NOTHING", "base", "render", "run_path", "shown"]

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LONGEST = 300
NOTHING = "\u2013"
"""What stands where there is no value."""


def render(request: Request, template: str, *, code: int = 200, **values: Any) -> HTMLResponse:
    """Return a page.

    :param template: its name without ``.html.j2``.
    """
    text = _templates().get_template(f"{template}.html.j2")
    page = text.render(base=base(request), path=request.url.path, embedded=_embedded(request), **values)
    return HTMLResponse(page, code, headers=dict(HEADERS))


def base(request: Request) -> str:
    """Return the path that all pages begin with."""
    return f"{request.scope.get('root_path', '')}/ui"


def run_path(pipeline: str, run: str, step: str | None = None) -> str:
    """Return the path of a run's page, or of that of one of its steps, below :func:`base`."""
    path = f"/runs/{quote(segment(pipeline), safe='')}/{quote(segment(run), safe='')}"
    return path if step is None else f"{path}/steps/{quote(step, safe='')}"


def shown(text: Any, longest: int = _LONGEST) -> str:
    """Return a value as a page shows it: not longer than can be read."""
    if not isinstance(text, str):
        text = _number_text(text) if isinstance(text, float) else show_value(text)
    return text if len(text) <= longest else f"{text[:longest]}…"


def _number_text(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def _embedded(request: Request) -> bool:
    """Return whether a page is shown inside of Airflow's, which has a frame around it already."""
    return request.headers.get("sec-fetch-dest") == "iframe"


def _moment(seconds: float | None) -> Markup:
    if seconds is None:
        return Markup("&ndash;")
    when = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        when.isoformat(timespec="seconds"), when.strftime("%Y-%m-%d %H:%M UTC")
    )


def _duration(seconds: float | None) -> str:
    return NOTHING if seconds is None else seconds_text(seconds)


def _pretty(value: Any) -> str:
    return json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False, default=str)


def _query(**values: Any) -> str:
    """Return the query of an address, without what is empty."""
    return urlencode({name: value for name, value in values.items() if value not in ("", None)}, doseq=True)


@functools.cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("airflow_ml_pipelines.plugin.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "moment": _moment,
        "duration": _duration,
        "size": lambda value: NOTHING if value is None else size_text(value),
        "shown": shown,
        "side": show_side,
        "pretty": _pretty,
    }
    made.globals |= {
        "run_path": run_path,
        "query": _query,
        "airflow_path": airflow_path,
        "quote": lambda text: quote(text, safe=""),
    }
    return made
