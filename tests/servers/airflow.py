"""An Airflow with users and PostgreSQL, whose workspace publishes pipelines."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from airflow_ml_pipelines.testing import LocalAirflow
from dag_factory import Pipeline, PipelineParameter, PythonScriptStep, Workspace

API = "/ml-pipelines/api/v1"
SCRIPT = (
    "import sys; from azureml.core import Run; print('says', *sys.argv[1:]); Run.get_context().log('n', 3)\n"
)


class Served:
    """An Airflow with an administrator and a viewer, whose workspace publishes pipelines."""

    def __init__(self, airflow: LocalAirflow, workspace: Workspace, folder: Path) -> None:
        self.airflow = airflow
        self.ws = workspace
        self.folder = folder
        self.tokens = {}
        self._open = build_opener(ProxyHandler({})).open

    def call(self, method, path, document=None, *, user="admin", headers=None):
        """Return the status and the document that is answered."""
        headers = {"Content-Type": "application/json", **(headers or {})}
        if user:
            headers["Authorization"] = f"Bearer {self.token(user)}"
        data = None if document is None else json.dumps(document).encode()
        try:
            with self._open(
                Request(self.airflow.url + path, data, headers, method=method), timeout=90
            ) as answer:
                return answer.status, json.loads(answer.read())
        except HTTPError as error:
            with error:
                text = error.read()
            return error.code, json.loads(text)

    def fetch(self, path, *, user="admin", headers=None):
        """Return the status, the headers and the bytes that are answered; the path is sent as it is."""
        connection = HTTPConnection("localhost", self.airflow.port, timeout=90)
        try:
            connection.request(
                "GET", path, headers={"Authorization": f"Bearer {self.token(user)}", **(headers or {})}
            )
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            connection.close()

    def token(self, user):
        if user not in self.tokens:
            login = {"username": user, "password": f"{user}-password"}
            _, answer = self.call("POST", "/auth/token", login, user=None)
            self.tokens[user] = answer["access_token"]
        return self.tokens[user]

    def wait(self, pipeline, run):
        for _ in range(6000):
            _, found = self.call("GET", f"/api/v2/dags/{pipeline}/dagRuns/{quote(run, safe='')}")
            if found["state"] in ("success", "failed"):
                return found["state"]
            time.sleep(0.1)
        raise AssertionError(found)

    def airflow_dag(self, dag_id, timeout=180):
        """Wait until Airflow knows a DAG, and return what it says of it."""
        until = time.monotonic() + timeout
        while (answer := self.call("GET", f"/api/v2/dags/{quote(dag_id, safe='')}"))[0] != 200:
            assert time.monotonic() < until, (answer, self.airflow.log_tail())
            time.sleep(0.2)
        return answer[1]

    def wait_until_stale(self, dag_id, timeout=120):
        """Wait until Airflow has put a DAG away."""
        until = time.monotonic() + timeout
        while not self.airflow_dag(dag_id)["is_stale"]:
            assert time.monotonic() < until, self.airflow.log_tail()
            time.sleep(0.5)

    def restart(self):
        """Start Airflow again, after it was stopped."""
        self.airflow.start()
        self.airflow.wait_until_ready()

    def publish(self, name, text=SCRIPT):
        source = self.folder / f"src-{name}"
        source.mkdir(exist_ok=True)
        (source / "say.py").write_text(text)
        step = PythonScriptStep(
            "say.py", name="say", source_directory=source, arguments=[PipelineParameter("pipeline_arg", 10)]
        )
        published = Pipeline(self.ws, [step], name=name).publish(version="1.0")
        shutil.rmtree(source)
        return published


@contextmanager
def serve(folder: Path, database: str, **settings: str) -> Iterator[Served]:
    """Start one.

    :param database: an empty database.
    :param settings: more of Airflow's configuration, ``section__option=value``.
    """
    home, dags = folder / "airflow", folder / "dags"
    home.mkdir()
    dags.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_PIPELINES_CACHE", str(folder / "cache"))
        workspace = Workspace.create("test", folder=folder / "ws", show_output=False)
        passwords = home / "passwords.json"
        passwords.write_text(json.dumps({user: f"{user}-password" for user in ("admin", "viewer")}))
        bundles = [
            {
                "name": "dags-folder",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {},
            },
            {
                "name": "published",
                "classpath": "airflow_ml_pipelines.bundles.published.PublishedPipelinesBundle",
                "kwargs": {"refresh_interval": 5},
            },
        ]
        made = {
            "core.simple_auth_manager_all_admins": "False",
            "core.simple_auth_manager_users": "admin:admin,viewer:viewer",
            "core.simple_auth_manager_passwords_file": str(passwords),
            "dag_processor.dag_bundle_config_list": json.dumps(bundles),
            "ml_pipelines.workspace": str(folder / "ws"),
        }
        given = {name.replace("__", "."): value for name, value in settings.items()}
        with LocalAirflow(home, dags_folder=dags, database=database, settings={**made, **given}) as airflow:
            yield Served(airflow, workspace, folder)
