from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dag_factory import (
    DataPath,
    DataPathComputeBinding,
    Dataset,
    DefinitionError,
    Environment,
    OutputFileDatasetConfig,
    Pipeline,
    PipelineData,
    PipelineDefinition,
    PipelineParameter,
    PythonScriptStep,
    RunConfiguration,
)


@pytest.fixture
def pipeline(ws, project):
    project.write("src/prepare.py")
    project.write("src/train.py")
    store = ws.get_default_datastore()
    made = OutputFileDatasetConfig(destination=(store, "made/{run-id}")).register_on_complete("kept")
    data = PipelineData("data", store)
    where = PipelineParameter("where", DataPath(store, "in"))
    pair = (where, DataPathComputeBinding("download"))
    table = Dataset.Tabular.from_delimited_files([(store, "t.csv")], separator=";")
    configuration = RunConfiguration()
    configuration.environment = Environment("pinned")
    configuration.environment.version = "3"
    prepare = PythonScriptStep(
        "prepare.py",
        source_directory="src",
        arguments=["--in", pair, "--out", made, "--text", "${{ not a binding", 0.5, True],
        inputs=[pair, table.as_named_input("table")],
        params={"rate": PipelineParameter("rate", 0.5, minimum=0, maximum=1)},
        runconfig=configuration,
    )
    train = PythonScriptStep(
        "train.py",
        source_directory="src",
        arguments=[made.as_input(), data],
        outputs=[data],
        allow_reuse=False,
        version="2",
        ignore=["*.md"],
    )
    return Pipeline(ws, [train, prepare], description="All kinds of things")


def test_yaml_is_the_same_pipeline_written_down(pipeline):
    spec = pipeline.to_spec("things")
    again = PipelineDefinition.from_yaml(pipeline.to_yaml(name="things")).to_spec(spec.base_directory)
    assert again == spec


def test_a_yaml_file_beside_others_finds_the_scripts(pipeline, ws, project):
    (project.folder / "pipelines").mkdir()
    text = pipeline.to_yaml("pipelines/things.pipeline.yaml")
    assert "source_directory: ../src" in text
    loaded = Pipeline.load_yaml(ws, "pipelines/things.pipeline.yaml")
    assert loaded.name == "things"
    assert [step.script for step in loaded.to_spec().steps] == ["prepare.py", "train.py"]
    assert loaded.validate() != []  # there is no environment 'pinned'


def test_a_loaded_pipeline_runs(ws, project):
    project.write("src/a.py", "print('a')")
    project.write("a.pipeline.yaml", "steps: {a: {script: a.py, source_directory: src}}\n")
    run = Pipeline.load_yaml(ws, "a.pipeline.yaml").submit("e")
    assert run.wait_for_completion(show_output=False) == "Finished"
    run.save("again.pipeline.yaml")
    assert Pipeline.load_yaml(ws, "again.pipeline.yaml").to_spec("a").steps[0].script == "a.py"


def test_a_dag_has_a_task_to_plan_and_a_group_a_step(pipeline):
    dag = pipeline.to_dag("things")
    assert dag.dag_id == "things"
    assert set(dag.task_ids) == {"plan", "prepare.reuse", "prepare.run", "train.run"}
    assert dag.get_task("train.run").upstream_task_ids == {"prepare.run"}
    assert dag.description == "All kinds of things"
    assert dag.params["rate"] == 0.5
    assert dag.schedule is None


def test_settings_of_airflow_reach_the_dag(pipeline):
    dag = pipeline.to_dag(
        "things",
        schedule="0 6 * * *",
        tags=["b", "a"],
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=True,
        max_active_runs=2,
        owner="me",
        retries=3,
        retry_delay=timedelta(minutes=5),
        timeout="2h",
        doc="# Words",
    )
    assert sorted(dag.tags) == ["a", "b"]
    assert (dag.catchup, dag.max_active_runs, dag.dagrun_timeout) == (True, 2, timedelta(hours=2))
    assert dag.start_date == datetime(2026, 1, 1, tzinfo=UTC)
    assert dag.get_task("train.run").retries == 3
    assert dag.get_task("train.run").retry_delay == timedelta(minutes=5)
    assert "# Words" in dag.doc_md
    assert dag.schedule == "0 6 * * *"


def test_schedules_of_all_kinds(pipeline):
    from airflow.sdk import Asset

    try:
        from airflow.sdk import CronTriggerTimetable
    except ImportError:  # Airflow 3.1
        from airflow.timetables.trigger import CronTriggerTimetable

    assert pipeline.to_dag("things", schedule=timedelta(hours=6)).schedule == timedelta(hours=6)
    timetable = CronTriggerTimetable("@daily", timezone="UTC")
    assert pipeline.to_dag("things", schedule=timetable).timetable is timetable
    assets = [Asset("one"), Asset("two")]
    assert pipeline.to_dag("things", schedule=assets).schedule == assets
    named = pipeline.to_dag("things", schedule=["s3://bucket/one", "s3://bucket/two"])
    assert sorted(asset.uri for asset in named.schedule.objects) == ["s3://bucket/one", "s3://bucket/two"]
    daily = pipeline.to_dag("things", schedule={"cron": "@daily", "timezone": "Europe/Berlin"})
    assert daily.schedule == CronTriggerTimetable("@daily", timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"tag": ["a"]}, "tag: unknown field. Did you mean 'tags'"),
        ({"schedule": "@dayly"}, "Did you mean '@daily'"),
        ({"schedule": "every day"}, "expected a cron expression"),
        ({"retries": "many"}, "retries: expected a whole number"),
        ({"steps": {}}, "steps is what the pipeline says itself"),
    ],
)
def test_wrong_settings_are_named(pipeline, fields, text):
    with pytest.raises(DefinitionError) as error:
        pipeline.to_dag("things", **fields)
    assert text in str(error.value)


def test_a_dag_needs_an_id(pipeline, ws):
    with pytest.raises(DefinitionError, match="needs an id"):
        pipeline.to_dag()
    named = Pipeline(ws, list(pipeline.steps), name="named")
    assert named.to_dag().dag_id == "named"
    assert named.to_dag("other").dag_id == "other"


def test_a_dag_made_twice_is_equal(pipeline):
    from airflow.serialization import serialized_objects

    newer = getattr(serialized_objects, "DagSerialization", None)
    serializer = newer or serialized_objects.SerializedDAG  # Airflow 3.1
    one, two = (serializer.to_dict(pipeline.to_dag("things", tags=["a"])) for _ in range(2))
    assert one == two


def test_the_workspace_goes_along_unless_airflow_names_it(pipeline, monkeypatch):
    file = pipeline.workspace.core.file
    assert pipeline.to_dag("things").get_task("plan").workspace == str(file)
    monkeypatch.setenv("ML_PIPELINES_WORKSPACE", str(file))
    assert pipeline.to_dag("things").get_task("plan").workspace is None


def test_a_dag_file_elsewhere_finds_its_scripts(ws, project, tmp_path, monkeypatch):
    project.write("dags/src/a.py")
    file = project.write(
        "dags/a_dag.py",
        """
        from dag_factory import Pipeline, PythonScriptStep, Workspace
        step = PythonScriptStep("a.py", source_directory="src")
        dag = Pipeline(Workspace.from_config(FOLDER), [step], name="a").to_dag()
        """,
    )
    monkeypatch.chdir(tmp_path)
    values = {"FOLDER": str(project.folder)}
    exec(compile(file.read_text(), str(file), "exec"), values)
    assert values["dag"].get_task("plan").pipeline.base_directory == str(project.folder / "dags")
