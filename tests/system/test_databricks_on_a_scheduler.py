"""A pipeline of a real Airflow whose middle step is a Spark notebook, with its data on S3: on Databricks and without."""

from __future__ import annotations

import json
import time

import pytest
from servers.spark import s3_conf, s3_jars
from servers.triggerer import find_triggerer, suspended

from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.stores.connections import Connection, set_connection_source
from airflow_ml_pipelines.testing import LocalAirflow
from airflow_ml_pipelines.workspace_file import load_workspace

WORKSPACE = """\
name: bricks
root: {root}
datastores:
  lake: {{url: "{bucket}", connection: lake_test}}
default_datastore: lake
compute_targets:
  bricks: {{type: databricks, connection: databricks_test, shared_paths: false, poll_interval: 1}}
  spark: {{type: spark, master: "local[1]", notebooks: {notebooks}, jars: {jars}, conf: {conf}}}
"""
PIPELINE = """\
name: {name}
parameters: {least: 3, leak: secret}
steps:
  prepare:
    script: prepare.py
    outputs: {prepared: }
    arguments: ["${{ outputs.prepared }}"]
  spark:
    compute_target: {target}
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
def started(tmp_path_factory, s3):
    from servers.databricks import DatabricksServer

    folder = tmp_path_factory.mktemp("bricks")
    dags = folder / "dags"
    dags.mkdir()
    given = {
        "root": folder / "root",
        "bucket": f"{s3.bucket('lake')}/{folder.name}",
        "notebooks": folder / "databricks/workspace",
        "jars": json.dumps(s3_jars()),
        "conf": json.dumps(s3_conf()),
    }
    (dags / "workspace.yaml").write_text(WORKSPACE.format(**given))
    for name, target in (("clean", "bricks"), ("here", "spark")):
        text = PIPELINE.replace("{name}", name).replace("{target}", target)
        (dags / f"{name}.pipeline.yaml").write_text(text)
    (dags / "slow.pipeline.yaml").write_text(SLOW)
    (dags / "prepare.py").write_text(PREPARE)
    (dags / "compare.py").write_text(COMPARE)
    (dags / "load.py").write_text(
        "from dag_factory import load_pipelines  # an Airflow DAG file\n\nload_pipelines()\n"
    )
    lake = json.dumps(s3.connection)
    set_connection_source({"lake_test": Connection.parse(lake)}.get)  # this process is no task of Airflow's
    with DatabricksServer(folder / "databricks").running() as server:
        server.configure({**s3_conf(), **rights(s3)}, s3_jars())
        server.notebook("/Shared/clean", NOTEBOOK)
        server.notebook("/Shared/slow", "import time\ntime.sleep(3600)\n")
        variables = {"AIRFLOW_CONN_DATABRICKS_TEST": server.connection(), "AIRFLOW_CONN_LAKE_TEST": lake}
        variables["ML_PIPELINES_CACHE"] = str(folder / "cache")
        with LocalAirflow(folder / "airflow", dags_folder=dags, environment=variables) as airflow:
            for name in ("clean", "here"):
                airflow.wait_for_dag(name)
            yield airflow, server, load_workspace(dags)
    set_connection_source(None)


def rights(s3):
    """Return what lets the clusters open the bucket: Databricks knows S3 by s3://, and rights are the clusters' own."""
    options = {
        "endpoint": s3.endpoint,
        "path.style.access": "true",
        "access.key": s3.options["key"],
        "secret.key": s3.options["secret"],
        "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
    }
    found = {f"spark.hadoop.fs.s3a.{name}": value for name, value in options.items()}
    return {**found, "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem"}


def count(workspace, dag_id, run_id):
    """Return what the last step found, and the documents of all."""
    steps = RunFolder(workspace.store, dag_id, run_id).steps()
    report = steps["compare"].outputs["report"]
    assert {output.datastore for step in steps.values() for output in step.outputs.values()} == {"lake"}
    return workspace.datastore("lake").get(f"{report.path}/count.txt"), steps


@pytest.mark.system
def test_data_goes_through_spark_and_back_and_nothing_runs_again(started):
    airflow, server, workspace = started
    run_id = airflow.trigger("clean", {"least": 4})
    assert airflow.wait_for_run("clean", run_id, timeout=240) == "success"
    (request,) = server.submitted
    given = request["tasks"][0]["notebook_task"]["base_parameters"]
    assert set(given) == {"least", "prepared", "cleaned"}, "a parameter of the DAG is among the notebook's"
    assert given["prepared"].startswith("s3://lake/")
    assert given["cleaned"].startswith("s3://lake/")
    found, steps = count(workspace, "clean", run_id)
    assert found == b"6"
    kept = json.loads(workspace.store.get(f"{steps['spark'].folder}/databricks.json"))
    assert kept["notebook_exit"] == "6"
    assert "its job has ended" in airflow.task_log("clean", run_id, "spark.run"), (
        "it did not wait in the triggerer"
    )
    links = airflow.request("GET", f"/api/v2/dags/clean/dagRuns/{run_id}/taskInstances/spark.run/links")
    assert links["extra_links"]["Databricks run"] == kept["run_page_url"]

    again = airflow.trigger("clean", {"least": 4})
    assert airflow.wait_for_run("clean", again, timeout=120) == "success"
    assert len(server.submitted) == 1


@pytest.mark.system
def test_what_a_spark_without_databricks_made_is_reused_there(started):
    airflow, server, workspace = started
    before = len(server.submitted)
    first = airflow.trigger("here", {"least": 7})
    assert airflow.wait_for_run("here", first, timeout=240) == "success"
    found, steps = count(workspace, "here", first)
    assert (found, steps["spark"].status) == (b"3", "finished")

    again = airflow.trigger("clean", {"least": 7})
    assert airflow.wait_for_run("clean", again, timeout=120) == "success"
    found, steps = count(workspace, "clean", again)
    assert (found, {step.status for step in steps.values()}) == (b"3", {"reused"})
    assert len(server.submitted) == before
    kept = b"".join(workspace.store.get(info.path) for info in workspace.store.walk("runs/here"))
    assert b"testing-secret" not in kept
    assert "testing-secret" not in airflow.task_log("here", first, "spark.run")


@pytest.mark.system
@pytest.mark.parametrize("moment", ["a triggerer looks after it", "no triggerer has taken it up"])
def test_a_run_that_is_ended_while_its_task_waits_is_canceled_there(started, moment):
    airflow, server, _ = started
    airflow.wait_for_dag("slow")
    before = set(server.runs.runs)
    with suspended(find_triggerer(airflow) if moment.startswith("no") else []):
        run_id = airflow.trigger("slow", {})
        path = f"/api/v2/dags/slow/dagRuns/{run_id}"
        wait_for(lambda: airflow.request("GET", f"{path}/taskInstances/spark.run")["state"] == "deferred")
        (ran,) = [run for number, run in server.runs.runs.items() if number not in before]
        if moment.startswith("a"):
            look = "GET /api/2.2/jobs/runs/get"
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
