"""What Airflow alone is told of a step, from Python as from YAML; and pipelines of YAML that go through Python."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dag_factory import DefinitionError, Pipeline, PipelineDefinition, PythonScriptStep

SETTINGS = {
    "description": "Trains.",
    "retries": 3,
    "retry_delay": 90.0,
    "pool": "gpus",
    "queue": "large",
    "priority_weight": 7,
    "deferrable": True,
}


@pytest.fixture
def step(project):
    project.write("a.py")
    return PythonScriptStep(
        "a.py",
        name="train it",
        timeout="1h30m",
        retry_delay=timedelta(seconds=90),
        **{name: value for name, value in SETTINGS.items() if name != "retry_delay"},
    )


def test_a_step_says_how_airflow_runs_it(ws, step):
    (written,) = PipelineDefinition.from_yaml(Pipeline(ws, [step], name="p").to_yaml()).steps.values()
    assert {name: getattr(written, name) for name in SETTINGS} == SETTINGS
    assert written.timeout == 5400


def test_the_tasks_of_a_dag_have_what_the_step_says_and_else_what_the_pipeline_says(ws, step, project):
    project.write("b.py")
    other = PythonScriptStep("b.py", pool="own")
    dag = Pipeline(ws, [step, other], name="p").to_dag(
        retries=1, queue="small", retry_delay=timedelta(minutes=5)
    )
    run = dag.get_task("train_it.run")
    assert (run.retries, run.pool, run.queue, run.priority_weight) == (3, "gpus", "large", 7)
    assert run.retry_delay == timedelta(seconds=90)
    assert run.deferrable is True
    assert dag.get_task("train_it.reuse").retries == 3
    run = dag.get_task("b.run")
    assert run.deferrable is None
    assert (run.retries, run.pool, run.queue, run.retry_delay) == (1, "own", "small", timedelta(minutes=5))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"retries": -1}, DefinitionError, r"retries=…\): expected at least 0, found -1"),
        ({"retries": "3"}, TypeError, r"retries=…\): expected a whole number, found '3'"),
        ({"retries": True}, TypeError, "expected a whole number, found True"),
        ({"pool": 3}, TypeError, r"pool=…\): expected text, found 3"),
        ({"retry_delay": "soon"}, DefinitionError, r"retry_delay=…\): expected a duration such as 90s"),
        ({"retry_delay": -1}, DefinitionError, "expected a duration"),
        ({"timeout": "3:20"}, DefinitionError, "write 3h20m or 3m20s"),
        ({"priority_weight": 0.5}, TypeError, "expected a whole number"),
        ({"deferrable": 1}, TypeError, r"deferrable=…\): expected True or False, found 1"),
        ({"description": b"x"}, TypeError, "expected text"),
        ({"retry": 3}, TypeError, "no argument 'retry'. Did you mean 'retries'?"),
    ],
)
def test_what_can_not_be_is_refused_at_once(project, settings, error, message):
    project.write("a.py")
    with pytest.raises(error, match=message):
        PythonScriptStep("a.py", **settings)


def test_further_fields_can_be_written_too(ws, step):
    text = Pipeline(ws, [step], name="p").to_yaml(schedule="@daily", tags=["x"], timeout=timedelta(hours=2))
    definition = PipelineDefinition.from_yaml(text)
    assert (definition.schedule.cron, definition.tags, definition.timeout) == ("@daily", ("x",), 7200)
    with pytest.raises(DefinitionError, match="steps is what the pipeline says itself"):
        Pipeline(ws, [step], name="p").to_yaml(steps={})


YAML = """
owner: me
tags: [b, a]
schedule: "@daily"
retries: 2
source_directory: src
data: {images: {path: train}}
environments: {e: {interpreter: python3}}
parameters: {alpha: {default: 1.5, title: Alpha}}
steps:
  a: {script: a.py, inputs: {images: images}, environment: e, pool: own}
  b: {script: b.py, source_directory: ., after: [a]}
"""


@pytest.fixture
def read(ws, project):
    project.write("pipelines/src/a.py")
    project.write("pipelines/b.py")
    return Pipeline.load_yaml(ws, project.write("pipelines/p.pipeline.yaml", YAML))


def test_a_pipeline_of_a_file_keeps_all_that_the_file_says(read, project):
    definition = PipelineDefinition.from_yaml(project.folder / "pipelines/p.pipeline.yaml")
    assert read.to_definition() == definition
    assert PipelineDefinition.from_yaml(read.to_yaml()) == definition


def test_a_pipeline_of_a_file_can_be_written_into_another_folder(read, project):
    text = read.to_yaml(project.folder / "q.pipeline.yaml")
    again = PipelineDefinition.from_yaml(project.folder / "q.pipeline.yaml")
    assert text == again.to_yaml()
    assert again.source_directory == "pipelines/src"
    assert again.steps["b"].source_directory == "pipelines"
    assert (again.owner, again.tags, again.retries, again.steps["a"].pool) == ("me", ("b", "a"), 2, "own")
    assert [step.id for step in again.to_spec().steps] == ["a", "b"]


def test_a_pipeline_of_a_file_takes_further_fields_that_the_file_does_not_have(read):
    dag = read.to_dag(max_active_runs=3)
    assert (dag.max_active_runs, dag.schedule) == (3, "@daily")
    assert dag.get_task("a.run").retries == 2
    with pytest.raises(DefinitionError, match="retries is what the pipeline says itself"):
        read.to_dag(retries=3)
