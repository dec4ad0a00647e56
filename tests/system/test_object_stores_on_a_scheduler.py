"""Pipelines of a real Airflow whose root is on S3, on Azure and on Google Cloud Storage, opened with connections that Airflow keeps."""

from __future__ import annotations

import json
import time

import pytest

from airflow_ml_pipelines.core.spec import Data, Location
from airflow_ml_pipelines.core.stores.connections import Connection, set_connection_source
from airflow_ml_pipelines.testing import LocalAirflow
from airflow_ml_pipelines.workspace_file import load_workspace
from dag_factory.cli import main

WORKSPACE = """\
name: {name}
root: {{url: "{url}", connection: {name}_root}}
"""
MADE = """\
name: {name}_made
data: {{raw: {{path: raw}}}}
steps:
  prepare:
    script: copy.py
    inputs: {{raw: raw}}
    outputs: {{out: }}
    arguments: ["${{{{ inputs.raw }}}}", "${{{{ outputs.out }}}}"]
  publish:
    script: copy.py
    arguments: ["${{{{ steps.prepare.outputs.out }}}}", "${{{{ outputs.out }}}}"]
    outputs: {{out: {{register: {name}-data}}}}
"""
WAITS = """\
name: {name}_waits
schedule: {{datasets: [{name}-data]}}
data: {{made: {{dataset: {name}-data}}}}
steps:
  read:
    script: copy.py
    inputs: {{made: made}}
    outputs: {{out: }}
    arguments: ["${{{{ inputs.made }}}}", "${{{{ outputs.out }}}}"]
"""
COPY = """\
import pathlib, sys
source, target = map(pathlib.Path, sys.argv[1:])
files = sorted(file for file in source.rglob("*") if file.is_file())
(target / "all.txt").write_text("".join(file.read_text() for file in files))
"""
SERVERS = ("s3", "azurite", "gcs")


@pytest.fixture(scope="module")
def started(tmp_path_factory, s3, azurite, gcs, new_database):
    folder = tmp_path_factory.mktemp("far")
    dags = folder / "dags"
    connections = {}
    for name, server in zip(SERVERS, (s3, azurite, gcs), strict=True):
        place = dags / name
        place.mkdir(parents=True)
        url = f"{server.bucket('airflow')}/{folder.name}"
        (place / "workspace.yaml").write_text(WORKSPACE.format(name=name, url=url))
        (place / "made.pipeline.yaml").write_text(MADE.format(name=name))
        (place / "waits.pipeline.yaml").write_text(WAITS.format(name=name))
        (place / "copy.py").write_text(COPY)
        (place / "load.py").write_text(
            "from dag_factory import load_pipelines  # an Airflow DAG file\n\nload_pipelines()\n"
        )
        connections[f"{name}_root"] = server.connection
    cache = {"ML_PIPELINES_CACHE": str(folder / "cache")}
    known = {name: Connection.parse(json.dumps(found)) for name, found in connections.items()}
    set_connection_source(known.get)  # this process is no task of Airflow's
    database = new_database("stores")
    with LocalAirflow(folder / "airflow", dags_folder=dags, database=database, environment=cache) as airflow:
        for name, found in connections.items():
            body = {**found, "connection_id": name, "extra": json.dumps(found["extra"])}
            airflow.request("POST", "/api/v2/connections", body)
        yield airflow, dags
    set_connection_source(None)


def states(airflow, dag_id, run_id):
    return {task["task_id"]: task["state"] for task in airflow.tasks(dag_id, run_id)}


@pytest.mark.parametrize("name", SERVERS)
def test_a_root_elsewhere_is_opened_with_a_connection_of_airflow(started, name):
    airflow, dags = started
    workspace = load_workspace(dags / name)
    store = workspace.datastore()
    store.put("raw/a.txt", b"one ")
    dag_id = f"{name}_made"
    airflow.wait_for_dag(dag_id)
    airflow.wait_for_dag(f"{name}_waits")

    first = airflow.trigger(dag_id)
    assert airflow.wait_for_run(dag_id, first) == "success"
    assert states(airflow, dag_id, first)["publish.run"] == "success"
    again = airflow.trigger(dag_id)
    assert airflow.wait_for_run(dag_id, again) == "success"
    assert {state for task, state in states(airflow, dag_id, again).items() if task != "plan"} == {"skipped"}

    store.put("raw/b.txt", b"two ")
    changed = airflow.trigger(dag_id)
    assert airflow.wait_for_run(dag_id, changed) == "success"
    assert states(airflow, dag_id, changed)["prepare.run"] == "success"
    location = workspace.dataset(f"{name}-data").data.locations[0]
    assert workspace.datastore(location.datastore).get(f"{location.path}/all.txt") == b"one two "

    logs = "".join(airflow.task_log(dag_id, first, task) for task in ("plan", "prepare.run", "publish.run"))
    assert "AccountKey=Eby8" not in logs
    assert "testing-secret" not in logs
    assert "PRIVATE KEY" not in logs


@pytest.mark.parametrize("name", SERVERS)
def test_a_new_version_of_a_dataset_starts_what_waits_for_it(started, name):
    airflow, dags = started
    dag_id = f"{name}_waits"
    until = time.monotonic() + 120
    while not (runs := airflow.request("GET", f"/api/v2/dags/{dag_id}/dagRuns")["dag_runs"]):
        assert time.monotonic() < until, "waited for in vain"
        time.sleep(0.5)
    run = min(runs, key=lambda item: item["run_after"])
    assert run["run_type"] == "asset_triggered"
    assert airflow.wait_for_run(dag_id, run["dag_run_id"]) == "success"
    events = airflow.request("GET", f"/api/v2/assets/events?name_pattern={name}-data")["asset_events"]
    extras = [event["extra"] for event in events if event.get("name") == f"{name}-data"]
    versions = load_workspace(dags / name).dataset_versions(f"{name}-data")
    assert {extra["version"] for extra in extras} <= set(versions)
    assert all(len(extra["digest"]) == 64 for extra in extras)


def test_a_version_that_the_command_line_announces_starts_what_waits_for_it(started, monkeypatch, capsys):
    airflow, dags = started
    dag_id = "s3_waits"
    airflow.wait_for_dag(dag_id)
    path = f"/api/v2/dags/{dag_id}/dagRuns?run_type=asset_triggered"
    before = {run["dag_run_id"] for run in airflow.request("GET", path)["dag_runs"]}
    workspace = load_workspace(dags / "s3")
    workspace.datastore().put("by-hand/b.txt", b"by hand")
    data = Data(locations=(Location(datastore=workspace.default_datastore, path="by-hand"),))
    record = workspace.register_dataset("s3-data", data)
    monkeypatch.setenv("AIRFLOW_API_URL", airflow.url)
    monkeypatch.setenv("AIRFLOW_API_TOKEN", airflow.request("GET", "/auth/token")["access_token"])
    assert main(["datasets", "s3-data", "--announce", "--workspace", str(dags / "s3")]) == 0
    assert f"Airflow knows of version {record.version}" in capsys.readouterr().err
    until = time.monotonic() + 120
    while not (new := {run["dag_run_id"] for run in airflow.request("GET", path)["dag_runs"]} - before):
        assert time.monotonic() < until, "waited for in vain"
        time.sleep(0.5)
    assert airflow.wait_for_run(dag_id, max(new)) == "success"
    events = airflow.request("GET", "/api/v2/assets/events?name_pattern=s3-data&order_by=-timestamp")
    assert record.version in [event["extra"]["version"] for event in events["asset_events"]]
