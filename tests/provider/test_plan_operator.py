import pytest
from airflow.sdk import DAG  # noqa: TID253

from airflow_ml_pipelines._airflow import AirflowFailException
from airflow_ml_pipelines.core.plans.accept import Proposal, accept, propose
from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.spec import PipelineSpec, StepSpec
from airflow_ml_pipelines.operators.plan import PlanOperator

PREPARE = ["prepare.reuse", "prepare.run"]


def test_a_first_plan_runs_everything_and_says_why(tasks, run_task):
    planned = run_task(tasks["plan"])
    assert planned.skipped == []
    assert [item["decision"] for item in planned.value.values()] == ["run", "depends"]
    assert planned.value["prepare"]["reason"] == "there is no earlier result of this step"


def test_an_unchanged_run_skips_all_tasks_at_once(tasks, run_task, first):
    planned = run_task(tasks["plan"], "r2")
    assert planned.skipped == ["prepare.reuse", "prepare.run", "train.reuse", "train.run"]
    assert [item["decision"] for item in planned.value.values()] == ["reuse", "reuse"]
    assert planned.value["prepare"]["seconds_saved"] > 0


def test_a_parameter_decides_for_the_steps_that_use_it(tasks, run_task, first):
    planned = run_task(tasks["plan"], "r2", conf={"alpha": 2})
    assert planned.skipped == PREPARE
    assert "--alpha: 1 → 2" in planned.value["train"]["reason"]


def test_a_result_that_somebody_accepted_is_reused_and_said_to_be(
    tasks, run_task, first, workspace, pipeline, source
):
    (source / "step.py").write_text((source / "step.py").read_text() + "# a remark\n")
    proposals = [item for item in propose(workspace, new_run(pipeline)) if isinstance(item, Proposal)]
    assert len(list(accept(workspace, proposals, by="ada", reason="only a remark"))) == 2
    planned = run_task(tasks["plan"], "r2")
    assert planned.skipped == ["prepare.reuse", "prepare.run", "train.reuse", "train.run"]
    reason = "accepted by ada: only a remark (result of run r1 of pipeline)"
    assert [item["reason"] for item in planned.value.values()] == [reason, reason]


def test_regenerate_outputs_runs_everything(tasks, run_task, first):
    planned = run_task(tasks["plan"], "r2", conf={"regenerate_outputs": True})
    assert planned.skipped == []
    assert planned.value["train"]["reason"] == "regenerate_outputs is true"


def test_the_plan_links_to_the_run_that_it_takes_results_from(tasks, run_task):
    for name in ("plan", "prepare.run", "train.run"):
        run_task(tasks[name], "manual__2026+00:00")
    operator = run_task(tasks["plan"], "r2").operator
    [link] = operator.operator_extra_links
    assert link.get_link(operator, ti_key=None) == "/dags/dag/runs/manual__2026%2B00%3A00"
    assert link.get_link(tasks["plan"], ti_key=None) == ""


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"alhpa": 2}, ["'alhpa'", "Did you mean 'alpha'?", "regenerate_outputs", "experiment_name"]),
        ({"alpha": "two"}, ["'alpha'", "takes integer, at most 9", "'two' (str)"]),
        ({"alpha": 10}, ["'alpha'", "at most 9", "10"]),
        ({"alpha": 10, "beta": 1}, ["'alpha'", "'beta'"]),
        ({"regenerate_outputs": "yes"}, ["'regenerate_outputs'", "boolean", "'yes'"]),
    ],
)
def test_a_wrong_parameter_ends_the_run_with_a_text_that_names_it(tasks, run_task, workspace, conf, words):
    with pytest.raises(AirflowFailException) as caught:
        run_task(tasks["plan"], "r1", conf=conf)
    for word in words:
        assert word in str(caught.value)
    folder = RunFolder(workspace.store, "pipeline", "r1")
    assert folder.read_plan() is None
    assert (folder.status(), folder.read_result().error) == ("Failed", str(caught.value))
    assert folder.read_run().parameters["alpha"] == conf.get("alpha", 1)


def test_a_run_that_could_not_begin_is_no_failure_any_more_once_it_has_a_plan(tasks, run_task, workspace):
    with pytest.raises(AirflowFailException):
        run_task(tasks["plan"], "r1", conf={"alpha": "two"})
    run_task(tasks["plan"], "r1", conf={"alpha": 2})
    folder = RunFolder(workspace.store, "pipeline", "r1")
    assert (folder.read_result(), folder.status()) == (None, "Running")
    assert folder.read_run().parameters["alpha"] == 2


def test_a_missing_script_is_named(tasks, run_task, source):
    (source / "step.py").unlink()
    with pytest.raises(AirflowFailException, match=r"there is no script 'step\.py'"):
        run_task(tasks["plan"])


def test_the_definition_shows_in_a_template_field_by_its_digest_alone(tasks, pipeline):
    operator = tasks["plan"]
    assert operator.template_fields == ("definition_digest",)
    assert operator.definition_digest == pipeline.digest


def test_texts_of_a_definition_are_no_templates(tasks, run_task):
    # an argument of `prepare` is `{{ 1 / 0 }}`
    run_task(tasks["plan"])
    assert run_task(tasks["prepare.run"]).value["decision"] == "run"


def test_the_plan_is_not_retried_unless_told_to(pipeline):
    with DAG("dag", schedule=None):
        assert PlanOperator(task_id="plan", pipeline=pipeline, step_tasks={}).retries == 0
        assert PlanOperator(task_id="plan2", pipeline=pipeline, step_tasks={}, retries=2).retries == 2


def test_without_a_workspace_it_says_how_to_name_one(run_task, monkeypatch, tmp_path):
    monkeypatch.delenv("ML_PIPELINES_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    spec = PipelineSpec(name="p", steps=(StepSpec(id="a", name="a", script="a.py"),))
    with DAG("dag", schedule=None):
        plan = PlanOperator(task_id="plan", pipeline=spec, step_tasks={})
    with pytest.raises(AirflowFailException, match="ML_PIPELINES_WORKSPACE"):
        run_task(plan)


def test_two_dags_do_not_mix_their_runs_of_one_pipeline(tasks, pipeline, run_task, first):
    with DAG("other", schedule=None):
        plan = PlanOperator(task_id="plan", pipeline=pipeline, step_tasks={})
    with pytest.raises(AirflowFailException, match=r"belongs to DAG 'dag'"):
        run_task(plan, "r1")
    assert run_task(plan, "r2").value["prepare"]["decision"] == "reuse"
