"""Calls of Airflow's own REST API within the API server, on behalf of the user of a request.

So a run is started by what starts every other run: the same permissions, checks and audit log.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
from fastapi import Request

__all__ = ["call_airflow", "dag_path", "run_path"]

_FORWARDED = ("authorization", "cookie")


def dag_path(dag_id: str) -> str:
    """Return the path of a DAG in Airflow's REST API."""
    return f"/api/v2/dags/{quote(dag_id, safe='')}"


def run_path(dag_id: str, run_id: str) -> str:
    """Return the path of a DAG run in Airflow's REST API."""
    return f"{dag_path(dag_id)}/dagRuns/{quote(run_id, safe='')}"


async def call_airflow(request: Request, method: str, path: str, document: Any = None) -> tuple[int, Any]:
    """Return the status and the document that Airflow answers.

    :param path: such as ``/api/v2/dags``.
    """
    transport = httpx.ASGITransport(app=request.scope["ml_pipelines.airflow"])
    headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        answer = await client.request(method, path, json=document, headers=headers)
    try:
        return answer.status_code, answer.json()
    except ValueError:
        return answer.status_code, answer.text
