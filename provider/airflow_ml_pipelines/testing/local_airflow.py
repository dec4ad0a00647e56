"""An Airflow of its own: all its parts on free ports of this machine, gone when the block ends.

::

    with LocalAirflow(tmp_path / "airflow", dags_folder=Path("example_dags")) as airflow:
        run_id = airflow.trigger("digits", {"max_depth": 4})
        assert airflow.wait_for_run("digits", run_id) == "success"

It keeps its database (SQLite), its logs and its configuration in one folder, runs tasks with the LocalExecutor, and
answers on the loopback interface only, to everybody without a password.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from airflow_ml_pipelines.core.errors import MlPipelinesError

__all__ = ["AirflowApiError", "LocalAirflow", "LocalAirflowError"]

_PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
_FINAL = ("success", "failed")


class LocalAirflowError(MlPipelinesError):
    """An Airflow that did not start, or that did not do in time what was waited for."""


class AirflowApiError(MlPipelinesError):
    """A request that Airflow's REST API refused.

    :param status: the HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class LocalAirflow:
    """An Airflow of its own, started and ended by ``with``.

    :param home: the folder of its database, logs and configuration; made where it is missing.
    :param dags_folder: where its DAG files are.
    :param settings: more of its configuration, ``{"section.option": "value"}``.
    :param environment: more environment variables for all its processes.
    """

    def __init__(
        self,
        home: Path,
        *,
        dags_folder: Path,
        settings: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home.absolute()
        self.dags_folder = dags_folder.absolute()
        self.port, self._worker_log_port, self._trigger_log_port = _free_ports(3)
        self.url = f"http://localhost:{self.port}"
        self.log_file = self.home / "airflow.log"
        self._settings = dict(settings or {})
        self._secrets = {
            "api.secret_key": secrets.token_hex(32),
            "api_auth.jwt_secret": secrets.token_hex(64),
        }
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._token: str | None = None
        self._open = build_opener(ProxyHandler({})).open  # localhost is never behind a proxy

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- its processes ---------------------------------------------------------------------------------------

    def environ(self) -> dict[str, str]:
        """Return the environment of its processes; with it, ``airflow`` commands act on this Airflow."""
        home = str(self.home)
        settings = {
            "core.dags_folder": str(self.dags_folder),
            "core.load_examples": "False",
            "core.dags_are_paused_at_creation": "False",
            "core.parallelism": "4",
            "core.simple_auth_manager_all_admins": "True",
            "core.execution_api_server_url": f"{self.url}/execution/",
            "api.host": "localhost",
            "api.port": str(self.port),
            "api.base_url": self.url,
            "logging.worker_log_server_port": str(self._worker_log_port),
            "logging.trigger_log_server_port": str(self._trigger_log_port),
            "scheduler.scheduler_idle_sleep_time": "0.1",
            "dag_processor.refresh_interval": "5",
            "dag_processor.min_file_process_interval": "5",
            "dag_processor.dag_bundle_storage_path": f"{home}/dag_bundles",
            **self._secrets,
            **self._settings,
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
        made = {"AIRFLOW__" + key.upper().replace(".", "__"): value for key, value in settings.items()}
        local = {"PATH": path, "AIRFLOW_HOME": home, "NO_PROXY": "localhost", "no_proxy": "localhost"}
        return {**kept, **local, "PYTHONUNBUFFERED": "1", **made, **self._environment}

    def start(self) -> None:
        """Start all its parts and return at once."""
        self.home.mkdir(parents=True, exist_ok=True)
        keeper = [sys.executable, "-m", "airflow_ml_pipelines.testing.keeper"]
        airflow = [sys.executable, "-m", "airflow", "standalone"]
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [*keeper, *airflow],
                env=self.environ(),
                cwd=self.home,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End all that it started and wait for it."""
        if self._process is not None:
            process, self._process = self._process, None
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

    def missing(self) -> list[str]:
        """Return the parts that are not up yet.

        :raises LocalAirflowError: where it has ended.
        """
        if self._process is None or self._process.poll() is not None:
            raise LocalAirflowError(f"Airflow ended while it was expected to run{self._tail()}")
        try:
            health = self._send("GET", "/api/v2/monitor/health", None, {})
        except (AirflowApiError, OSError):
            return ["api_server", *_PARTS]
        return [part for part in _PARTS if (health.get(part) or {}).get("status") != "healthy"]

    def wait_until_ready(self, timeout: float = 180) -> None:
        """Wait until every part is up."""
        until = time.monotonic() + timeout
        while missing := self.missing():
            if time.monotonic() > until:
                raise LocalAirflowError(f"not up after {timeout:.0f} s: {', '.join(missing)}{self._tail()}")
            time.sleep(0.2)

    def log_tail(self, lines: int = 30) -> str:
        """Return the end of what its processes printed."""
        try:
            text = self.log_file.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _tail(self) -> str:
        return f"; the end of {self.log_file}:\n{self.log_tail()}"

    # --- its REST API ----------------------------------------------------------------------------------------

    def request(self, method: str, path: str, document: object = None) -> Any:
        """Send a request to the REST API and return the answer's document, its text where it is none.

        :param path: below the server, such as ``/api/v2/dags``.
        :raises AirflowApiError: where it is refused; the text has Airflow's reason.
        """
        if self._token is None:
            self._token = self._send("GET", "/auth/token", None, {})["access_token"]
        return self._send(method, path, document, {"Authorization": f"Bearer {self._token}"})

    def _send(self, method: str, path: str, document: object, headers: dict[str, str]) -> Any:
        body = None if document is None else json.dumps(document).encode()
        headers = {"Accept": "application/json", "Content-Type": "application/json", **headers}
        request = Request(self.url + path, body, headers, method=method)  # noqa: S310 - our own server
        with ExitStack() as stack:
            try:
                answer = stack.enter_context(self._open(request, timeout=30))
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

    def wait_for_dag(self, dag_id: str, timeout: float = 90) -> dict[str, Any]:
        """Wait until Airflow knows a DAG and return what it says of it."""
        until = time.monotonic() + timeout
        while True:
            try:
                dag: dict[str, Any] = self.request("GET", f"/api/v2/dags/{quote(dag_id, safe='')}")
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
            return f" No import errors; DAG files are looked for in {self.dags_folder}{self._tail()}"
        return "".join(f"\n{error['filename']}:\n{error['stack_trace']}" for error in errors)

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, **fields: Any) -> str:
        """Start a run of a DAG and return its id.

        :param conf: values of the DAG's params.
        :param fields: more of the request, such as ``note``.
        """
        body = {"logical_date": None, "conf": dict(conf or {}), **fields}
        run = self.request("POST", f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns", body)
        return str(run["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return what Airflow says of a run."""
        answer: dict[str, Any] = self.request("GET", _run_path(dag_id, run_id))
        return answer

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 120) -> str:
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
        answer = self.request("GET", f"{_run_path(dag_id, run_id)}/taskInstances?limit=1000")
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


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"


def _task_path(dag_id: str, run_id: str, task_id: str) -> str:
    return f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id, safe='')}"


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("localhost", 0))
        return [item.getsockname()[1] for item in sockets]
