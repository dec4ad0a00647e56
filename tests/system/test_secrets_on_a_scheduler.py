"""Secrets that a real Airflow and its pipelines use are in none of their documents, logs, tables and answers."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from airflow_ml_pipelines.testing import LocalAirflow

WORKSPACE = """\
name: planted
datastores:
  lake: {{url: "{bucket}/lake", connection: lake}}
  unreachable:
    url: s3://nowhere/data
    options: {{endpoint_url: "http://127.0.0.1:9"}}
    credentials: {{key: "env:UNREACHABLE_KEY", secret: "env:UNREACHABLE_SECRET"}}
"""
USES = """\
name: uses
parameters: {count: 1}
data:
  rows: {datastore: lake, path: rows}
steps:
  use:
    script: use.py
    source_directory: src
    inputs: {rows: rows}
    outputs: {made: {register: made}}
    arguments: ["${{ inputs.rows }}", "${{ outputs.made }}", "${{ parameters.count }}"]
    environment: {variables: {SERVICE: "env:SERVICE_SECRET"}}
"""
READS = """\
name: reads
data: {rows: {datastore: unreachable, path: rows}}
steps:
  use: {script: use.py, source_directory: src, inputs: {rows: rows}, arguments: ["${{ inputs.rows }}"]}
"""
USE = """\
import os, pathlib, sys
print("the service is", os.environ["SERVICE"])
if sys.argv[3] == "2":
    raise RuntimeError(os.environ["SERVICE"] + " was refused")
text = "".join(path.read_text() for path in sorted(pathlib.Path(sys.argv[1]).iterdir()))
pathlib.Path(sys.argv[2], "made.txt").write_text(text + sys.argv[3])
"""
DAGS = """\
from airflow.sdk import DAG
from airflow_ml_pipelines.core.spec import OutputPath
from airflow_ml_pipelines.operators.python_script import PythonScriptOperator
from dag_factory import load_pipelines

load_pipelines()

with DAG("written", schedule=None):
    PythonScriptOperator(
        task_id="good",
        script_name="show.py",
        source_directory="src",
        arguments=[OutputPath(output="out")],
        outputs=["out"],
        environment_variables={"WORD": "{{ conn.vault.password }}", "SERVICE": "env:SERVICE_SECRET"},
    )
    PythonScriptOperator(
        task_id="bad",
        script_name="show.py",
        source_directory="src",
        arguments=["--password", "{{ conn.vault.password }}"],
    )
"""
SHOW = "import os, sys; print(os.environ['WORD'], os.environ['SERVICE']); open(sys.argv[1] + '/o', 'w')\n"
PUT = """
from airflow_ml_pipelines.workspace_file import load_workspace
load_workspace(".").datastore("lake").put("rows/a.txt", b"rows")
"""


class Planted:
    """An Airflow with a secret in every place."""

    def __init__(self, folder: Path, s3) -> None:
        self.folder = folder
        self.dags = folder / "dags"
        self.tokens: dict[str, str] = {}
        lake = {**s3.connection, "password": self.plant("connection password")}
        self.environment = {
            "ML_PIPELINES_CACHE": str(folder / "cache"),
            "AIRFLOW_CONN_LAKE": json.dumps(lake),
            "UNREACHABLE_KEY": self.plant("access key"),
            "UNREACHABLE_SECRET": self.plant("secret key"),
            "SERVICE_SECRET": self.plant("environment secret"),
        }
        files = {
            "workspace.yaml": WORKSPACE.format(bucket=s3.bucket("planted-airflow")),
            "uses.pipeline.yaml": USES,
            "reads.pipeline.yaml": READS,
            "dags.py": DAGS,
            "src/use.py": USE,
            "src/show.py": SHOW,
        }
        for name, text in files.items():
            (self.dags / name).parent.mkdir(parents=True, exist_ok=True)
            (self.dags / name).write_text(text)
        for arguments in (
            ["init", "-q"],
            ["-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "--allow-empty", "-m", "m"],
            ["remote", "add", "origin", f"https://user:{self.plant('git token')}@127.0.0.1/team/repo.git"],
        ):
            subprocess.run(["git", *arguments], cwd=self.dags, check=True)

    def plant(self, name: str) -> str:
        self.tokens[name] = f"Pl4nt{secrets.token_hex(16)}"
        return self.tokens[name]

    def find(self, said: dict[str, str]) -> list[str]:
        """Where a planted secret is: in all files of Airflow (its database too), of the workspace and in answers."""
        forms = {}
        for name, token in self.tokens.items():
            encoded = base64.b64encode(token.encode()).decode().rstrip("=")[:-2]
            forms |= {form.encode(): name for form in (token, quote(token, safe=""), encoded)}
        texts = {where: text.encode() for where, text in said.items()}
        for path in self.folder.rglob("*"):
            if path.is_file() and path != self.dags / ".git/config":
                texts[str(path.relative_to(self.folder))] = path.read_bytes()
        assert any(name.endswith(".db") for name in texts)
        assert sum(name.endswith(".log") for name in texts) > 4
        return [
            f"{name} in {where}"
            for where, text in texts.items()
            for form, name in forms.items()
            if form in text
        ]


@pytest.fixture(scope="module")
def planted(tmp_path_factory, s3):
    return Planted(tmp_path_factory.mktemp("planted"), s3)


@pytest.fixture(scope="module")
def airflow(planted):
    environment = {**os.environ, **planted.environment}
    subprocess.run([sys.executable, "-c", PUT], cwd=planted.dags, env=environment, check=True)
    home = planted.folder / "airflow"
    settings = {"ml_pipelines.workspace": str(planted.dags / "workspace.yaml")}
    started = LocalAirflow(home, dags_folder=planted.dags, settings=settings, environment=planted.environment)
    with started as airflow:
        # kept by Airflow, which encrypts it
        body = {"connection_id": "vault", "conn_type": "generic", "password": planted.plant("vault password")}
        airflow.request("POST", "/api/v2/connections", body)
        yield airflow


def test_no_secret_is_kept_or_said(airflow, planted):
    runs = []
    for dag_id, conf, ends in (
        ("uses", {}, "success"),
        ("uses", {}, "success"),
        ("uses", {"count": 2}, "failed"),
        ("reads", {}, "failed"),
        ("written", {}, "failed"),
    ):
        airflow.wait_for_dag(dag_id)
        run_id = airflow.trigger(dag_id, conf)
        assert airflow.wait_for_run(dag_id, run_id) == ends, dag_id
        runs.append((dag_id, run_id))
    said: dict[str, str] = {}
    for dag_id, run_id in runs:
        place = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"
        for task in airflow.tasks(dag_id, run_id):
            name = f"{dag_id} {run_id} {task['task_id']}"
            said[f"{name}: task and rendered templates"] = json.dumps(task)
            path = f"{place}/taskInstances/{task['task_id']}"
            entries = airflow.request("GET", f"{path}/xcomEntries")
            for entry in entries["xcom_entries"]:
                found = airflow.request("GET", f"{path}/xcomEntries/{entry['key']}")
                said[f"{name}: XCom {entry['key']}"] = json.dumps(found)
            if task["state"] in ("success", "failed") and task["try_number"]:
                said[f"{name}: log"] = airflow.task_log(dag_id, run_id, task["task_id"], task["try_number"])
        source = airflow.request("GET", f"/api/v2/dagSources/{dag_id}")
        said[f"{dag_id}: source"] = json.dumps(source)
    logs = "\n".join(text for name, text in said.items() if name.endswith("log"))
    assert "the service is ***" in logs
    assert "*** was refused" in logs
    assert "argument 2 has a secret in it" in logs
    assert "*** ***" in logs
    for file in ("uses.pipeline.yaml", "reads.pipeline.yaml"):
        said |= commands(planted, file)
    assert planted.find(said) == []


def commands(planted: Planted, file: str) -> dict[str, str]:
    environment = {**os.environ, **planted.environment}
    found = {}
    for command in (
        ["plan", file, "--json"],
        ["explain", file, "--json"],
        ["show", "--json"],
        ["datasets", "--json"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "dag_factory.cli", *command],
            cwd=planted.dags,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        found[" ".join(command)] = done.stdout
    return found
