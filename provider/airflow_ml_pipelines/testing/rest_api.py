"""Airflow's REST API, as far as tests and demonstrations need it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from airflow_ml_pipelines.core.errors import MlPipelinesError
from airflow_ml_pipelines.core.workspaces.server import dag_path, run_path

__all__ = ["AirflowApi", "AirflowApiError", "LocalAirflowError"]

_FINAL = ("success", "failed")
_ATTEMPTS = 5


class LocalAirflowError(MlPipelinesError):
    """An Airflow that did not start, or that did not do in time what was waited for."""


class AirflowApiError(MlPipelinesError):
    """A request that Airflow's REST API refused.

    :param status: the HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class AirflowApi:
    """The REST API of an Airflow that lets everybody in (simple auth manager, ``simple_auth_manager_all_admins``).

    :param url: of the server, such as ``http://localhost:8080``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._token: str | None = None
        self._open = build_opener(ProxyHandler({})).open  # a server of this machine is never behind a proxy

    def log_tail(self, lines: int = 30) -> str:  # noqa: ARG002
        """Return the end of what the server printed, "" where that is not known."""
        return ""

    def _tail(self) -> str:
        text = self.log_tail()
        return f"; its log ends with\n{text}" if text else ""

    def request(self, method: str, path: str, document: object = None) -> Any:
        """Send a request to the REST API and return the answer's document, its text where it is none.

        :param path: below the server, such as ``/api/v2/dags``.
        :raises AirflowApiError: where it is refused; the text has Airflow's reason.
        """
        if self._token is None:
            self._token = self._send("GET", "/auth/token")["access_token"]
        for _ in range(_ATTEMPTS):
            try:
                return self._send(method, path, document, Authorization=f"Bearer {self._token}")
            except AirflowApiError as error:
                # where Airflow on SQLite finds its database locked, whoever only asks can ask again
                if method != "GET" or error.status < 500:
                    raise
                last = error
                time.sleep(1)
        raise AirflowApiError(last.status, f"{last}{self._tail()}")

    def _send(self, method: str, path: str, document: object = None, **headers: str) -> Any:
        body = None if document is None else json.dumps(document).encode()
        headers = {"Accept": "application/json", "Content-Type": "application/json", **headers}
        request = Request(self.url + path, body, headers, method=method)  # noqa: S310 - our own server
        with ExitStack() as stack:
            try:
                answer = stack.enter_context(self._open(request, timeout=60))
            except HTTPError as error:
                with error:
                    text = error.read().decode("utf-8", "replace")
                raise AirflowApiError(error.code, f"{method} {path}: {error.code} {text}") from None
            except URLError as error:
                raise ConnectionError(str(error.reason)) from None
            text = answer.read().decode()
        try:
            return json.loads(text)
        except ValueError:
            return text

    def wait_for_dag(self, dag_id: str, timeout: float = 180) -> dict[str, Any]:
        """Wait until Airflow knows a DAG and return what it says of it."""
        until = time.monotonic() + timeout
        while True:
            try:
                dag: dict[str, Any] = self.request("GET", dag_path(dag_id))
            except AirflowApiError as error:
                if error.status != 404:
                    raise
            else:
                return dag
            if time.monotonic() > until:
                raise LocalAirflowError(f"no DAG {dag_id!r} after {timeout:.0f} s.{self._import_errors()}")
            time.sleep(0.2)

    def _import_errors(self) -> str:
        errors = self.request("GET", "/api/v2/importErrors")["import_errors"]
        if not errors:
            return f" There are no import errors{self._tail()}"
        return "".join(f"\n{error['filename']}:\n{error['stack_trace']}" for error in errors)

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, **fields: Any) -> str:
        """Start a run of a DAG and return its id.

        :param conf: values of the DAG's params.
        :param fields: more of the request, such as ``note``.
        """
        body = {"logical_date": None, "conf": dict(conf or {}), **fields}
        run = self.request("POST", f"{dag_path(dag_id)}/dagRuns", body)
        return str(run["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return what Airflow says of a run."""
        answer: dict[str, Any] = self.request("GET", run_path(dag_id, run_id))
        return answer

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 240) -> str:
        """Wait until a run has ended and return its state, ``success`` or ``failed``."""
        until = time.monotonic() + timeout
        while (state := str(self.run(dag_id, run_id)["state"])) not in _FINAL:
            if time.monotonic() > until:
                states = {task["task_id"]: task["state"] for task in self.tasks(dag_id, run_id)}
                raise LocalAirflowError(
                    f"run {run_id!r} of {dag_id!r} is {state} after {timeout:.0f} s; its tasks: {states}{self._tail()}"
                )
            time.sleep(0.1)
        return state

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return what Airflow says of each task of a run."""
        answer = self.request("GET", f"{run_path(dag_id, run_id)}/taskInstances?limit=1000")
        found: list[dict[str, Any]] = answer["task_instances"]
        return found

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return what a task left under a key."""
        path = f"{_task_path(dag_id, run_id, task_id)}/xcomEntries/{quote(key, safe='')}?deserialize=true"
        return self.request("GET", path)["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> str:
        """Return the log of one attempt at a task, a line an event."""
        content = self.request(
            "GET", f"{_task_path(dag_id, run_id, task_id)}/logs/{attempt}?full_content=true"
        )
        if not isinstance(content, dict):
            return str(content)
        events = content.get("content") or []
        return "\n".join(event["event"] if isinstance(event, dict) else str(event) for event in events)


def _task_path(dag_id: str, run_id: str, task_id: str) -> str:
    return f"{run_path(dag_id, run_id)}/taskInstances/{quote(task_id, safe='')}"
