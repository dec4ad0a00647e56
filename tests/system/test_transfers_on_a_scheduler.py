"""Steps that copy data, on a real Airflow: from S3 to a folder, planned, reused, and in a DAG of one's own."""

from __future__ import annotations

import json

import pytest

from airflow_ml_pipelines.core.stores.connections import Connection, set_connection_source
from airflow_ml_pipelines.testing import LocalAirflow
from airflow_ml_pipelines.workspace_file import load_workspace

WORKSPACE = """\
name: transfers
root: root
datastores:
  lake: {{url: "{url}", connection: lake_s3}}
  archive: {{url: archive}}
"""
PLANNED = """\
name: planned
steps:
  fetch:
    transfer: {source: {datastore: lake, path: raw}, destination: {datastore: archive, path: planned}}
  keep:
    transfer: {source: "${{ steps.fetch.outputs.destination }}", destination: {datastore: lake, path: kept}, shards: 2}
"""
WRITTEN = """\
from airflow.sdk import DAG

from airflow_ml_pipelines.core.spec import Data, Location
from airflow_ml_pipelines.operators.data_transfer import DataTransferOperator

with DAG("written", schedule=None):
    fetch = DataTransferOperator(
        task_id="fetch",
        source=Data(locations=(Location(datastore="lake", path="raw"),)),
        destination=Location(datastore="archive", path="written"),
        workspace={folder!r},
    )
    DataTransferOperator(
        task_id="again",
        source=fetch.output_of("destination"),
        destination=Location(datastore="archive", path="again"),
        workspace={folder!r},
    )
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory, s3):
    folder = tmp_path_factory.mktemp("transfers")
    dags = folder / "dags"
    dags.mkdir()
    (dags / "workspace.yaml").write_text(WORKSPACE.format(url=f"{s3.bucket('transfers')}/{folder.name}"))
    (dags / "planned.pipeline.yaml").write_text(PLANNED)
    (dags / "written.py").write_text(WRITTEN.format(folder=str(dags)))
    (dags / "load.py").write_text(
        "from dag_factory import load_pipelines  # an Airflow DAG file\n\nload_pipelines()\n"
    )
    set_connection_source({"lake_s3": Connection.parse(json.dumps(s3.connection))}.get)
    workspace = load_workspace(dags)
    lake = workspace.datastore("lake")
    for name in ("a.txt", "deep/b.txt"):
        lake.put(f"raw/{name}", name.encode())
    cache = {"ML_PIPELINES_CACHE": str(folder / "cache")}
    with LocalAirflow(folder / "airflow", dags_folder=dags, environment=cache) as airflow:
        body = {**s3.connection, "connection_id": "lake_s3", "extra": json.dumps(s3.connection["extra"])}
        airflow.request("POST", "/api/v2/connections", body)
        yield airflow, workspace
    set_connection_source(None)


def run(airflow, dag_id):
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id)
    assert airflow.wait_for_run(dag_id, run_id) == "success"
    return run_id, {task["task_id"]: task["state"] for task in airflow.tasks(dag_id, run_id)}


def there(store, folder):
    return {
        info.path.removeprefix(f"{folder}/"): store.get(info.path).decode() for info in store.walk(folder)
    }


def test_a_transfer_is_planned_copied_and_reused(started):
    airflow, workspace = started
    lake, archive = workspace.datastore("lake"), workspace.datastore("archive")
    first, states = run(airflow, "planned")
    assert states["fetch.run"] == states["keep.run"] == "success"
    expected = {"a.txt": "a.txt", "deep/b.txt": "deep/b.txt"}
    assert there(archive, "planned") == there(lake, "kept") == expected
    assert "copied 2 of 2 files" in airflow.task_log("planned", first, "fetch.run")
    shares = [airflow.task_log("planned", first, f"keep.copy_{share}") for share in (1, 2)]
    assert all("1 of 1 files are to be copied" in log for log in shares)
    assert "copied 0 of 2 files" in airflow.task_log("planned", first, "keep.run")

    _, states = run(airflow, "planned")
    assert {state for task, state in states.items() if task != "plan"} == {"skipped"}

    lake.put("raw/a.txt", b"A.TXT")
    third, states = run(airflow, "planned")
    assert states["fetch.run"] == states["keep.run"] == "success"
    assert "1 of 2 files are to be copied" in airflow.task_log("planned", third, "fetch.run")
    assert there(lake, "kept") == {**expected, "a.txt": "A.TXT"}


def test_a_dag_of_ones_own_copies_too(started):
    airflow, workspace = started
    run(airflow, "written")
    archive = workspace.datastore("archive")
    assert there(archive, "written") == there(archive, "again") == there(workspace.datastore("lake"), "raw")
    again, _ = run(airflow, "written")
    assert airflow.xcom("written", again, "again")["decision"] == "reuse"
