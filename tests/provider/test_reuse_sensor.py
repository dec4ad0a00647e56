import pytest
from msgspec.structs import replace

from airflow_ml_pipelines._airflow import AirflowFailException
from airflow_ml_pipelines.core.reuse.lease import find_holder
from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.steps.decide import Go, decide, open_step

try:
    from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred
except ImportError:
    from airflow.exceptions import AirflowRescheduleException, TaskDeferred


def test_a_miss_lets_the_step_run_and_says_why(tasks, run_task):
    run_task(tasks["plan"], "r1")
    decided = run_task(tasks["prepare.reuse"], "r1")
    assert decided.skipped == []
    assert decided.value["decision"] == "run"
    assert decided.value["reason"] == "there is no earlier result of this step"


def test_a_miss_keeps_others_from_making_the_same(tasks, run_task, workspace):
    run_task(tasks["plan"], "r1")
    key = run_task(tasks["prepare.reuse"], "r1").value["key"]
    assert find_holder(workspace.store, key).owner == "pipeline/r1/prepare"


def test_equal_bytes_from_upstream_skip_the_task_that_runs_the_step(pipeline, make_tasks, run_task, first):
    prepare, train = pipeline.steps
    changed = replace(pipeline, steps=(replace(prepare, version="2"), train))
    tasks = make_tasks(changed)
    run_task(tasks["plan"], "r2")
    assert run_task(tasks["prepare.reuse"], "r2").value["decision"] == "run"
    run_task(tasks["prepare.run"], "r2")
    decided = run_task(tasks["train.reuse"], "r2")
    assert decided.skipped == ["train.run"]
    assert decided.value["decision"] == "reuse"
    assert decided.value["reused_from"] == "pipeline/r1"
    assert decided.value["outputs"]["out"].startswith("file://")
    assert decided.operator.reused_from_url == "/dags/dag/runs/r1/tasks/train.run"


def test_a_hit_skips_without_a_triggerer_too(pipeline, make_tasks, run_task, first):
    prepare, train = pipeline.steps
    tasks = make_tasks(replace(pipeline, steps=(replace(prepare, version="2"), train)), deferrable=False)
    for name in ("plan", "prepare.reuse", "prepare.run"):
        run_task(tasks[name], "r2")
    assert run_task(tasks["train.reuse"], "r2").skipped == ["train.run"]


def test_a_reused_step_that_is_cleared_runs(tasks, run_task, first):
    assert run_task(tasks["plan"], "r2").value["prepare"]["decision"] == "reuse"
    decided = run_task(tasks["prepare.reuse"], "r2")
    assert (decided.skipped, decided.value["reason"]) == ([], "the task was cleared")


def test_a_step_that_another_run_makes_is_waited_for_without_a_slot(tasks, run_task, workspace):
    _let_another_hold(workspace, tasks, run_task)
    with pytest.raises(TaskDeferred) as caught:
        run_task(tasks["prepare.reuse"], "r1")
    assert caught.value.method_name == "resume"
    assert caught.value.trigger.workspace == str(workspace.file)


def test_without_a_triggerer_it_is_looked_for_again_and_again(pipeline, make_tasks, run_task, workspace):
    tasks = make_tasks(pipeline, deferrable=False)
    _let_another_hold(workspace, tasks, run_task)
    with pytest.raises(AirflowRescheduleException):
        run_task(tasks["prepare.reuse"], "r1")


def test_after_waiting_it_is_decided_again(tasks, run_task, workspace):
    lease = _let_another_hold(workspace, tasks, run_task)
    lease.release()
    assert run_task(tasks["prepare.reuse"], "r1", method="resume").value["decision"] == "run"


def test_a_run_without_a_plan_is_told_so(tasks, run_task):
    with pytest.raises(AirflowFailException, match="PlanOperator"):
        run_task(tasks["prepare.reuse"], "r1")


def test_a_step_that_failed_ends_the_run(tasks, run_task, workspace):
    run_task(tasks["plan"], "r1")
    folder = RunFolder(workspace.store, "pipeline", "r1")
    folder.write_failure("train", "it broke")
    with pytest.raises(
        AirflowFailException, match=r"'train' failed.*continue_on_step_failure is false.*it broke"
    ):
        run_task(tasks["prepare.reuse"], "r1")
    assert folder.read_step("prepare").status == "canceled"


def test_a_canceled_step_that_is_cleared_runs(tasks, run_task, workspace):
    run_task(tasks["plan"], "r1")
    folder = RunFolder(workspace.store, "pipeline", "r1")
    folder.write_failure("train", "it broke")
    with pytest.raises(AirflowFailException):
        run_task(tasks["prepare.reuse"], "r1")
    assert run_task(tasks["prepare.reuse"], "r1").value["decision"] == "run"
    assert folder.read_failure() is None


def _let_another_hold(workspace, tasks, run_task):
    run_task(tasks["plan"], "r1")
    run_task(tasks["plan"], "other")
    outcome = decide(open_step(workspace, RunFolder(workspace.store, "pipeline", "other"), "prepare"))
    assert isinstance(outcome, Go)
    return outcome.lease
