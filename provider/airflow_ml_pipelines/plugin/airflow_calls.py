"""Calls of Airflow's own REST API within the API server, on behalf of the user of a request.

So a run is started by what starts every other run: the same permissions, checks and audit log.
"""

from __future__ import annotations

from typing import Any

import httpx
from fastapi import Request

__all__ = ["call_airflow"]

_FORWARDED = ("authorization", "cookie")


async def call_airflow(request: Request, method: str, path: str, document: Any = None) -> tuple[int, Any]:
    """Return the status and the document that Airflow answers.

    :param path: such as ``/api/v2/dags``.
    """
    transport = httpx.ASGITransport(app=request.scope["ml_pipelines.airflow"])
    headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow", trust_env=False) as client:
        answer = await client.request(method, path, json=document, headers=headers)
    try:
        return answer.status_code, answer.json()
    except ValueError:
        return answer.status_code, answer.text
