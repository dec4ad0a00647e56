"""An Airflow of its own: all its parts on free ports of this machine, gone when the block ends.

::

    with LocalAirflow(tmp_path / "airflow", dags_folder=Path("example_dags")) as airflow:
        run_id = airflow.trigger("digits", {"max_depth": 4})
        assert airflow.wait_for_run("digits", run_id) == "success"

It keeps its database (SQLite, unless it is given another), its logs and its configuration in one folder, runs tasks with
the LocalExecutor, and answers on the loopback interface only, to everybody without a password.
"""

from __future__ import annotations

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
from typing import Self

from airflow_ml_pipelines.testing.rest_api import AirflowApi, AirflowApiError, LocalAirflowError

__all__ = ["LocalAirflow"]

_PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


class LocalAirflow(AirflowApi):
    """An Airflow of its own, started and ended by ``with``.

    :param home: the folder of its database, logs and configuration; made where it is missing.
    :param dags_folder: where its DAG files are.
    :param database: the address of an empty PostgreSQL database, ``postgresql+psycopg://…``: for more than a few runs at
        once, where SQLite can lock Airflow out.
    :param settings: more of its configuration, ``{"section.option": "value"}``.
    :param environment: more environment variables for all its processes.
    """

    def __init__(
        self,
        home: Path,
        *,
        dags_folder: Path,
        database: str | None = None,
        settings: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port, self._worker_log_port, self._trigger_log_port = _free_ports(3)
        super().__init__(f"http://localhost:{self.port}")
        self.home = home.absolute()
        self.dags_folder = dags_folder.absolute()
        self.log_file = self.home / "airflow.log"
        self._database = _database_settings(database, self.home)
        self._settings = dict(settings or {})
        self._secrets = {
            "api.secret_key": secrets.token_hex(32),
            "api_auth.jwt_secret": secrets.token_hex(64),
        }
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._is_warm = False

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
            **self._database,
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

    @property
    def pid(self) -> int:
        """The process from which all its others descend.

        :raises LocalAirflowError: where it does not run.
        """
        if self._process is None:
            raise LocalAirflowError("Airflow has no process: it does not run")
        return self._process.pid

    def missing(self) -> list[str]:
        """Return the parts that are not up yet.

        :raises LocalAirflowError: where it has ended.
        """
        if self._process is None or self._process.poll() is not None:
            raise LocalAirflowError(f"Airflow ended while it was expected to run{self._tail()}")
        try:
            health = self._send("GET", "/api/v2/monitor/health")
        except (AirflowApiError, OSError):
            return ["api_server", *_PARTS]
        missing = [part for part in _PARTS if (health.get(part) or {}).get("status") != "healthy"]
        if not missing and not self._is_warm:
            # the first request of a task makes this part of the server, which takes seconds that no run should wait
            self._send("GET", "/execution/health")
            self._is_warm = True
        return missing

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


def _database_settings(database: str | None, home: Path) -> dict[str, str]:
    if database is None:
        # on a busy machine SQLite's five seconds are not always enough for runs that begin at once
        return {"database.sql_alchemy_conn": f"sqlite:///{home}/airflow.db?timeout=60"}
    return {
        "database.sql_alchemy_conn": database,
        "database.sql_alchemy_conn_async": database,
        "database.sql_alchemy_pool_size": "50",  # a request that starts a run takes two connections
    }


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("localhost", 0))
        return [item.getsockname()[1] for item in sockets]
