import os
import signal
import time

import pytest
from living import is_alive


def test_two_runs_at_the_same_moment_run_each_script_once(flows):
    flow = flows["twice"]
    flow.airflow.wait_for_dag(flow.name)
    flow.hold("prepare")
    runs = [flow.airflow.trigger(flow.name) for _ in range(2)]
    flow.at_work("prepare")
    flow.wait_until(lambda: _state(flow, "prepare.reuse", "deferred"))  # the one that waits holds no slot
    flow.release("prepare")
    assert [flow.airflow.wait_for_run(flow.name, run) for run in runs] == ["success", "success"]
    assert flow.ran() == ["compare", "prepare", "train"]
    assert flow.outputs(runs[0]) == flow.outputs(runs[1])


def _state(flow, task, state):
    runs = flow.airflow.request("GET", f"/api/v2/dags/{flow.name}/dagRuns")["dag_runs"]
    return any(flow.airflow.states(flow.name, run["dag_run_id"])[task] == state for run in runs)


def test_another_takes_over_when_the_holder_is_lost(flows):
    flow = flows["lost"]
    flow.airflow.wait_for_dag(flow.name)
    flow.hold("prepare")
    runs = [flow.airflow.trigger(flow.name) for _ in range(2)]
    script, task = flow.at_work("prepare")
    flow.wait_until(lambda: _state(flow, "prepare.reuse", "deferred"))
    os.kill(task, signal.SIGKILL)
    lost = time.monotonic()
    flow.wait_until(lambda: not is_alive(script), timeout=10)
    flow.release("prepare")
    flow.at_work("prepare")
    assert time.monotonic() - lost < flow.workspace.lease_seconds + 15  # the machine may be busy
    assert sorted(flow.airflow.wait_for_run(flow.name, run) for run in runs) == ["failed", "success"]
    assert flow.ran() == ["compare", "prepare", "prepare", "train"]
    [well] = [run for run in runs if flow.airflow.run(flow.name, run)["state"] == "success"]
    files = [file.name for file in flow.output(well, "prepare").iterdir()]
    assert files == ["prepare.txt"]


def test_killing_a_task_kills_its_script_and_lets_others_go_on(flows):
    flow = flows["killed"]
    flow.airflow.wait_for_dag(flow.name)
    flow.hold("prepare")
    run = flow.airflow.trigger(flow.name)
    script, _ = flow.at_work("prepare")
    flow.airflow.set_state(flow.name, run, "prepare.run", "failed")
    flow.wait_until(lambda: not is_alive(script), timeout=30)
    assert flow.airflow.wait_for_run(flow.name, run) == "failed"
    flow.release("prepare")
    again = flow.run()
    assert again.state == "success"
    assert flow.ran() == ["compare", "prepare", "prepare", "train"]


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_step_that_fails_ends_the_run_unless_it_is_to_go_on(flows, goes_on):
    flow = flows["branches"]
    flow.airflow.wait_for_dag(flow.name)
    (flow.folder / "break-prepare").touch()
    flow.hold("prepare")
    flow.hold("train")
    run = flow.airflow.trigger(flow.name, {"continue_on_step_failure": goes_on})
    script, _ = flow.at_work("train")
    flow.release("prepare")
    flow.wait_until(lambda: flow.airflow.states(flow.name, run)["prepare.run"] == "failed")
    if goes_on:
        flow.release("train")
    assert flow.airflow.wait_for_run(flow.name, run) == "failed"
    states = flow.airflow.states(flow.name, run)
    if goes_on:
        assert (states["train.run"], states["compare.run"]) == ("success", "success")
        return
    assert not is_alive(script)
    assert (states["train.run"], states["compare.run"]) == ("failed", "upstream_failed")
    log = flow.airflow.task_log(flow.name, run, "train.run")
    assert "step 'prepare' failed, and continue_on_step_failure is false" in log
    flow.release("train")


def test_a_run_that_failed_ends_well_once_its_failed_tasks_are_cleared(flows):
    flow = flows["repaired"]
    flow.airflow.wait_for_dag(flow.name)
    (flow.folder / "break-prepare").touch()
    run = flow.run()
    assert run.state == "failed"
    (flow.folder / "break-prepare").unlink()
    flow.airflow.clear(flow.name, run.run_id)
    assert flow.airflow.wait_for_run(flow.name, run.run_id) == "success"
    assert set(run.states.values()) == {"success"}
