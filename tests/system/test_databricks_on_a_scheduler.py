"""A pipeline of a real Airflow whose middle step is a Spark notebook of a Databricks workspace."""

from __future__ import annotations

import json
import time

import pytest

from airflow_ml_pipelines.testing import LocalAirflow
from airflow_ml_pipelines.workspace_file import load_workspace

WORKSPACE = """\
name: bricks
root: {root}
compute_targets:
  bricks: {{type: databricks, connection: databricks_test, shared_paths: true, poll_interval: 1}}
"""
PIPELINE = """\
name: clean
parameters: {least: 3, leak: secret}
steps:
  prepare:
    script: prepare.py
    outputs: {prepared: }
    arguments: ["${{ outputs.prepared }}"]
  spark:
    compute_target: bricks
    inputs: {prepared: "${{ steps.prepare.outputs.prepared }}"}
    outputs: {cleaned: }
    parameters: {least: "${{ parameters.least }}"}
    retries: 2
    retry_delay: 1
    databricks: {notebook_path: /Shared/clean, num_workers: 1}
  compare:
    script: compare.py
    arguments: ["${{ steps.spark.outputs.cleaned }}", "${{ outputs.report }}"]
    outputs: {report: }
"""
SLOW = """\
name: slow
steps:
  spark:
    compute_target: bricks
    databricks: {notebook_path: /Shared/slow, num_workers: 1}
"""
PREPARE = """\
import pathlib, sys
rows = [f"{number},{number % 3}" for number in range(10)]
pathlib.Path(sys.argv[1], "rows.csv").write_text("\\n".join(["number,rest", *rows]) + "\\n")
"""
NOTEBOOK = """
rows = spark.read.csv(dbutils.widgets.get("prepared"), header=True, inferSchema=True)
# COMMAND ----------
kept = rows.filter(rows.number >= int(dbutils.widgets.get("least")))
kept.coalesce(1).write.csv(dbutils.widgets.get("cleaned"), header=True)
# COMMAND ----------
dbutils.notebook.exit(str(kept.count()))
"""
COMPARE = """\
import pathlib, sys
(part,) = pathlib.Path(sys.argv[1]).glob("part-*.csv")
pathlib.Path(sys.argv[2], "count.txt").write_text(str(len(part.read_text().splitlines()) - 1))
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    from servers.databricks import DatabricksServer

    folder = tmp_path_factory.mktemp("bricks")
    dags = folder / "dags"
    dags.mkdir()
    (dags / "workspace.yaml").write_text(WORKSPACE.format(root=folder / "root"))
    (dags / "clean.pipeline.yaml").write_text(PIPELINE)
    (dags / "slow.pipeline.yaml").write_text(SLOW)
    (dags / "prepare.py").write_text(PREPARE)
    (dags / "compare.py").write_text(COMPARE)
    (dags / "load.py").write_text(
        "from dag_factory import load_pipelines  # an Airflow DAG file\n\nload_pipelines()\n"
    )
    with DatabricksServer(folder / "databricks").running() as server:
        server.notebook("/Shared/clean", NOTEBOOK)
        server.notebook("/Shared/slow", "import time\ntime.sleep(3600)\n")
        variables = {"AIRFLOW_CONN_DATABRICKS_TEST": server.connection()}
        variables["ML_PIPELINES_CACHE"] = str(folder / "cache")
        with LocalAirflow(folder / "airflow", dags_folder=dags, environment=variables) as airflow:
            airflow.wait_for_dag("clean")
            yield airflow, server, load_workspace(dags)


@pytest.mark.system
def test_data_goes_through_spark_and_back_and_nothing_runs_again(started):
    airflow, server, workspace = started
    run_id = airflow.trigger("clean", {"least": 4})
    assert airflow.wait_for_run("clean", run_id, timeout=240) == "success"
    (request,) = server.submitted
    given = request["tasks"][0]["notebook_task"]["base_parameters"]
    assert set(given) == {"least", "prepared", "cleaned"}, "a parameter of the DAG is among the notebook's"
    from airflow_ml_pipelines.core.runs.folder import RunFolder

    steps = RunFolder(workspace.store, "clean", run_id).steps()
    report = steps["compare"].outputs["report"]
    assert workspace.datastore(report.datastore).get(f"{report.path}/count.txt") == b"6"
    kept = json.loads(workspace.store.get(f"{steps['spark'].folder}/databricks.json"))
    assert kept["notebook_exit"] == "6"
    assert "has ended." in airflow.task_log("clean", run_id, "spark.run"), "it did not wait in the triggerer"
    links = airflow.request("GET", f"/api/v2/dags/clean/dagRuns/{run_id}/taskInstances/spark.run/links")
    assert links["extra_links"]["Databricks run"] == kept["run_page_url"]

    again = airflow.trigger("clean", {"least": 4})
    assert airflow.wait_for_run("clean", again, timeout=120) == "success"
    assert len(server.submitted) == 1


@pytest.mark.system
def test_a_run_that_is_ended_while_its_task_waits_is_canceled_there(started):
    airflow, server, _ = started
    airflow.wait_for_dag("slow")
    run_id = airflow.trigger("slow", {})
    path = f"/api/v2/dags/slow/dagRuns/{run_id}"
    look = "GET /api/2.2/jobs/runs/get"
    wait_for(lambda: airflow.request("GET", f"{path}/taskInstances/spark.run")["state"] == "deferred")
    (ran,) = [run for run in server.runs.runs.values() if "slow" in str(run.task)]
    # Airflow tells nobody of a task that is killed before a triggerer has it
    asked = server.requests.count(look)
    wait_for(lambda: server.requests.count(look) > asked + 1)
    airflow.request("PATCH", path, {"state": "failed"})
    wait_for(lambda: ran.state["life_cycle_state"] == "TERMINATED")
    assert ran.state["result_state"] == "CANCELED"


def wait_for(condition, timeout=240):
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, f"not after {timeout} s"
        time.sleep(0.3)
