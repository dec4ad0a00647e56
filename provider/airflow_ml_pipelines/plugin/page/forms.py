"""Forms of pages: who may send them, and how what was typed becomes values of parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fastapi import HTTPException, Request

from airflow_ml_pipelines.core.errors import ParameterError
from airflow_ml_pipelines.core.parameters import describe
from airflow_ml_pipelines.core.spec import ParameterSpec

__all__ = ["read_form", "typed_values"]

_LARGEST = 1 << 20


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form that one of our own pages sent.

    The cookie that says who the user is comes along from any page of any site, so one that was sent from elsewhere is
    refused: browsers say where a form was.

    :raises HTTPException: where it was elsewhere, or is too large.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        ours = site == "same-origin"
    else:
        ours = origin is not None and urlsplit(origin).netloc == request.headers.get("host")
    if not ours:
        raise HTTPException(403, "This form was not sent from a page of this server.")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST:
            raise HTTPException(413, "This form is too large.")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def typed_values(parameters: Sequence[ParameterSpec], form: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of parameters that a form has; what was left empty keeps its default.

    :param form: texts by ``parameter.<name>``.
    :raises ParameterError: for a text that is no value of the parameter's type.
    """
    found = {}
    for spec in parameters:
        text = form.get(f"parameter.{spec.name}", "")
        if text != "":
            found[spec.name] = _typed(spec, text)
    return found


def _typed(spec: ParameterSpec, text: str) -> Any:
    if spec.type == "string":
        return text
    try:
        if spec.type == "integer":
            return int(text)
        if spec.type == "number":
            return float(text)
        if spec.type == "boolean":
            return {"true": True, "false": False}[text]
        return json.loads(text)
    except (ValueError, KeyError, RecursionError):
        raise ParameterError(f"parameter {spec.name!r} takes {describe(spec)}, not {text[:200]!r}") from None
