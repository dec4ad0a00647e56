"""The examples run without a scheduler, and are DAGs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "example_dags"
COMMAND = [sys.executable, "-m", "dag_factory.cli"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copy(EXAMPLES / "workspace.yaml", folder)
    call(sys.executable, EXAMPLES / "make_data.py", "--workspace", folder)
    return folder


def call(*command: object, **environment: object) -> str:
    variables = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    done = subprocess.run(
        [str(item) for item in command], capture_output=True, text=True, env=variables, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_python_takes_the_results_of_yaml(workspace):
    first = call(*COMMAND, "run", EXAMPLES / "digits.pipeline.yaml", "--workspace", workspace)
    assert "4 steps: 0 reused, 4 to run" in first
    again = call(sys.executable, EXAMPLES / "digits_python.py", ML_PIPELINES_WORKSPACE=workspace)
    assert "4 steps: 4 reused" in again


@pytest.mark.parametrize("name", ["s3", "azurite", "gcs"])
def test_the_example_runs_with_its_workspace_on_a_server(request, tmp_path, name):
    server = request.getfixturevalue(name)
    folder = tmp_path / "workspace"
    folder.mkdir()
    root = json.dumps({"url": f"{server.bucket('examples')}/{tmp_path.name}", "connection": "far"})
    settings = (EXAMPLES / "workspace.yaml").read_text()
    (folder / "workspace.yaml").write_text(settings.replace("root: .ml-pipelines", f"root: {root}"))
    known = {"AIRFLOW_CONN_FAR": json.dumps(server.connection), "ML_PIPELINES_CACHE": tmp_path / "cache"}
    call(sys.executable, EXAMPLES / "make_data.py", "--workspace", folder, **known)
    run = [*COMMAND, "run", EXAMPLES / "digits.pipeline.yaml", "--workspace", folder]
    assert "4 steps: 0 reused, 4 to run" in call(*run, **known)
    assert "4 steps: 4 reused" in call(*run, **known)


@pytest.mark.oldest
def test_every_dag_file_makes_its_dags(workspace):
    code = (
        "import runpy, sys; from airflow.sdk import DAG\n"
        "for name in sys.argv[1:]:\n"
        "    print(*(dag.dag_id for dag in runpy.run_path(name).values() if isinstance(dag, DAG)))\n"
    )
    files = [EXAMPLES / "load.py", EXAMPLES / "digits_python.py"]
    made = call(sys.executable, "-W", "ignore", "-c", code, *files, ML_PIPELINES_WORKSPACE=workspace)
    found = set(made.split())
    written = {path.name.removesuffix(".pipeline.yaml") for path in EXAMPLES.glob("*.pipeline.yaml")}
    assert found == {*written, "digits_python"}
