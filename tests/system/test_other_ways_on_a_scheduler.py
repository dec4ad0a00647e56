"""Runs without a scheduler, DAGs without a plan, and what Airflow makes of the DAGs."""

from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.execution.runner import run_pipeline


def _run_here(flow, **parameters):
    outcome = run_pipeline(flow.workspace, new_run(flow.spec(), parameters=parameters))
    assert outcome.status == "Finished"
    return {step: document.status for step, document in outcome.steps.items()}


def test_a_laptop_and_the_scheduler_reuse_each_other(flows):
    flow = flows["laptop"]
    flow.airflow.wait_for_dag(flow.name)
    assert set(_run_here(flow).values()) == {"finished"}
    assert flow.ran() == ["compare", "prepare", "train"]
    run = flow.run()
    assert run.states["plan"] == "success"
    assert {state for task, state in run.states.items() if task != "plan"} == {"skipped"}
    assert flow.airflow.links(flow.name, run.run_id, "plan")["Reused from"] is None  # no scheduler ran it
    flow.run(alpha=5)
    assert flow.ran() == ["compare", "train"]
    assert set(_run_here(flow, alpha=5).values()) == {"reused"}
    assert flow.ran() == []


def test_a_hand_written_dag_needs_no_plan(airflow):
    airflow.wait_for_dag("written")
    runs = [airflow.finish("written") for _ in range(2)]
    assert [airflow.states("written", run) for run in runs] == [{"first": "success", "second": "success"}] * 2
    made, taken = [airflow.xcom("written", run, "second") for run in runs]
    assert (made["decision"], taken["decision"]) == ("run", "reuse")
    assert made["outputs"] == taken["outputs"]
    assert "is reused from run" in airflow.task_log("written", runs[1], "second")
    assert airflow.links("written", runs[1], "first")["Reused from"].endswith("/tasks/first")


def test_a_registered_output_is_an_asset_event(airflow):
    airflow.wait_for_dag("written")
    airflow.finish("written", {"text": "two"})
    [asset] = airflow.request("GET", "/api/v2/assets?name_pattern=made")["assets"]
    assert asset["uri"] == "ml-pipelines://datasets/made"
    events = airflow.request("GET", f"/api/v2/assets/events?asset_id={asset['id']}&order_by=-timestamp")
    assert events["asset_events"][0]["extra"]["version"] >= 1


def test_reading_the_dag_files_again_makes_no_new_version(flows, airflow):
    assert airflow.import_errors() == {}
    for flow in flows.values():
        versions = airflow.request("GET", f"/api/v2/dags/{flow.name}/dagVersions")
        assert versions["total_entries"] == 1
