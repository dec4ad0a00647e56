"""The Airflow server of a workspace: its address, and calls of its REST API."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from airflow_ml_pipelines.core.errors import MlPipelinesError, WorkspaceError
from airflow_ml_pipelines.core.stores.credentials import check_url, variable_name

__all__ = [
    "API",
    "STEP_ROUTE",
    "TOKEN",
    "URL",
    "AirflowServer",
    "ServerError",
    "dag_path",
    "find_server",
    "run_path",
]

STEP_ROUTE = "ml-pipelines-step"
"""What the tab of a task that shows its step is called in the addresses of Airflow's UI."""

URL = "AIRFLOW_API_URL"
"""The environment variable that has the address where the workspace file names none."""

TOKEN = "AIRFLOW_API_TOKEN"  # noqa: S105 - a name
"""The environment variable that has the token, unless the workspace file names another."""

API = "/ml-pipelines/api/v1"
"""Where this package's REST calls are below the server's address."""

_PATIENCE = 60.0
_PAUSES = (0.2, 0.5, 1.0, 2.0)
_LONGEST = 2000


class ServerError(MlPipelinesError):
    """An Airflow server that can't be reached, or that refused a call.

    :param status: the HTTP status; 0 where there was no answer.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class AirflowServer:
    """An Airflow server.

    :param url: its address, such as ``https://airflow.example.com``.
    :param token: ``env:NAME``: the environment variable that has a token of Airflow's REST API.
    """

    url: str
    token: str = f"env:{TOKEN}"

    def address(self, *parts: str) -> str:
        """Return the address of something below this package's REST calls."""
        return f"{self.url.rstrip('/')}{API}/" + "/".join(quote(part, safe="") for part in parts)

    def call(self, method: str, address: str, document: Any = None) -> Any:
        """Send a request and return the answer's document.

        What can be said twice is said again where the server has a trouble of its own: Airflow answers 500 where its
        scheduler changes a run at the moment in which somebody else does.

        :param address: the whole address.
        :raises WorkspaceError: where there is no token.
        :raises ServerError: where there is no answer, or the call is refused; the text has the server's reason.
        """
        for pause in _PAUSES if method != "POST" else ():
            try:
                return self._send(method, address, document)
            except ServerError as error:
                if error.status < 500:
                    raise
                time.sleep(pause)
        return self._send(method, address, document)

    def _send(self, method: str, address: str, document: Any) -> Any:
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._read_token()}",
        }
        data = None if document is None else json.dumps(document).encode()
        request = Request(address, data, headers, method=method)  # noqa: S310 - the scheme was checked
        with ExitStack() as stack:
            try:
                answer = stack.enter_context(urlopen(request, timeout=_PATIENCE))  # noqa: S310
                return json.loads(answer.read())
            except HTTPError as error:
                with error:
                    text = error.read().decode("utf-8", "replace")
                raise ServerError(f"{method} {address}: {error.code} {_detail(text)}", error.code) from None
            except (URLError, TimeoutError) as error:
                reason = getattr(error, "reason", error)
                raise ServerError(f"no answer from the Airflow server {self.url}: {reason}") from None
            except ValueError:
                raise ServerError(f"{method} {address}: the answer is no JSON document") from None

    def _read_token(self) -> str:
        name = variable_name(self.token, "the Airflow server's token")
        token = os.environ.get(name)
        if not token:
            raise WorkspaceError(
                f"the Airflow server {self.url} wants a token: set the environment variable {name} "
                "(POST /auth/token of the server gives one)"
            )
        return token


def dag_path(dag_id: str) -> str:
    """Return the path of a DAG in Airflow's own REST API."""
    return f"/api/v2/dags/{quote(dag_id, safe='')}"


def run_path(dag_id: str, run_id: str) -> str:
    """Return the path of a DAG run in Airflow's own REST API."""
    return f"{dag_path(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def find_server(declared: AirflowServer | None) -> AirflowServer | None:
    """Return the server that a workspace file declares, else the one that the environment names, if any.

    :raises WorkspaceError: where its address is none.
    """
    server = declared
    if server is None and (url := os.environ.get(URL)):
        server = AirflowServer(url)
    if server is not None:
        check_url(
            server.url, "the Airflow server's address", how="a token is named as `token: env:<VARIABLE>`"
        )
        if not server.url.startswith(("http://", "https://")):
            raise WorkspaceError(f"the Airflow server's address: expected http(s)://…, found {server.url!r}")
    return server


def _detail(text: str) -> str:
    """Return the reason in an error's document."""
    try:
        detail = json.loads(text)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = text
    return str(detail)[:_LONGEST]
