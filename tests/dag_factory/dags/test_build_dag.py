from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import jsonschema
import pytest

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.core.spec import PipelineSpec, StepSpec
from dag_factory.dags.compile import build_dag
from dag_factory.dags.parameters import parameter_schema
from dag_factory.definitions.definition import PipelineDefinition

CHAIN = """
steps:
  prepare: {script: a.py, outputs: {data: }}
  train: {script: a.py, inputs: {data: "${{ steps.prepare.outputs.data }}"}, outputs: {model: }, name: Train it}
  test: {script: a.py, arguments: ["${{ steps.train.outputs.model }}"], after: [other], allow_reuse: false}
  other: {script: a.py, description: What else there is.}
"""


def serialise(dag):
    """The DAG as Airflow stores it; what the importer sets is left out."""
    import airflow.serialization.serialized_objects as serialized

    kind = getattr(serialized, "DagSerialization", None) or serialized.SerializedDAG
    document = json.loads(json.dumps(kind.to_dict(dag), sort_keys=True, default=str))
    return {
        name: value for name, value in document["dag"].items() if name not in ("fileloc", "relative_fileloc")
    }


@pytest.fixture
def build(project):
    project.write("a.py")

    def build_from(text, **options):
        return build_dag(PipelineDefinition.from_yaml(project.write("p.pipeline.yaml", text)), **options)

    return build_from


def test_each_step_is_a_group_and_the_plan_comes_first(build):
    dag = build(CHAIN)
    assert {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks} == {
        "plan": ["other.reuse", "prepare.reuse"],
        "prepare.reuse": ["prepare.run"],
        "prepare.run": ["train.reuse"],
        "train.reuse": ["train.run"],
        "train.run": ["test.run"],
        "other.reuse": ["other.run"],
        "other.run": ["test.run"],
        "test.run": [],
    }
    assert {task.trigger_rule for task in dag.tasks if task.task_id != "plan"} == {"none_failed"}
    assert set(dag.task_group.children) == {"plan", "prepare", "train", "test", "other"}
    assert dag.task_group.children["train"].group_display_name == "Train it"
    assert dag.task_group.children["other"].tooltip == "What else there is."


def test_the_plan_knows_the_tasks_of_each_step(build):
    dag = build(CHAIN)
    assert dag.get_task("plan").step_tasks["prepare"] == ("prepare.reuse", "prepare.run")
    assert dag.get_task("plan").step_tasks["test"] == ("test.run",)
    assert dag.get_task("prepare.reuse").run_task_id == "prepare.run"


def test_settings_of_airflow_reach_dag_and_tasks(build):
    dag = build(
        """
        description: What it does.
        doc: "# In full"
        owner: team
        tags: [b, a]
        schedule: {every: 90m}
        start_date: 2026-01-31
        end_date: 2026-12-31T12:00:00+02:00
        catchup: true
        max_active_runs: 2
        timeout: 1d
        retries: 2
        retry_delay: 10m
        pool: small
        queue: cpu
        steps:
          a: {script: a.py}
          b: {script: a.py, retries: 0, retry_delay: 5s, pool: large, queue: gpu, priority_weight: 7, timeout: 1h, deferrable: false}
        """
    )
    assert dag.description == "What it does."
    assert dag.doc_md.startswith("# In full\n\n## Graph\n")
    assert sorted(dag.tags) == ["a", "b"]
    assert dag.start_date == datetime(2026, 1, 31, tzinfo=UTC)
    assert dag.end_date == datetime(2026, 12, 31, 10, tzinfo=UTC)
    assert (dag.catchup, dag.max_active_runs, dag.dagrun_timeout) == (True, 2, timedelta(days=1))
    assert not dag.render_template_as_native_obj
    first, second = dag.get_task("a.run"), dag.get_task("b.run")
    assert (first.owner, first.retries, first.retry_delay, first.pool, first.queue) == (
        *("team", 2, timedelta(minutes=10)),
        *("small", "cpu"),
    )
    assert (second.retries, second.retry_delay, second.pool, second.queue, second.priority_weight) == (
        *(0, timedelta(seconds=5)),
        *("large", "gpu", 7),
    )
    assert second.execution_timeout is None
    assert (first.deferrable, second.deferrable) == (None, False)
    plan = dag.get_task("plan")
    assert (plan.owner, plan.retries, plan.retry_delay, plan.pool, plan.queue) == (
        *("team", 2, timedelta(minutes=10)),
        *("small", "cpu"),
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('"@daily"', ("CronTriggerTimetable", {"timezone": "UTC"})),
        ('"0 6 * * 1-5"', ("CronTriggerTimetable", {"expression": "0 6 * * 1-5"})),
        (
            '{cron: "0 6 * * *", timezone: Europe/Berlin}',
            ("CronTriggerTimetable", {"timezone": "Europe/Berlin"}),
        ),
        ("{every: 1h}", ("DeltaTriggerTimetable", {"delta": 3600.0})),
        ('"@once"', ("OnceTimetable", {})),
        ('"@continuous"', ("ContinuousTimetable", {})),
        ("{timetable: airflow.timetables.simple.OnceTimetable, arguments: {}}", ("OnceTimetable", {})),
    ],
)
def test_schedules_become_timetables(build, written, expected):
    found = serialise(build(f"schedule: {written}\nsteps: {{a: {{script: a.py}}}}\n"))["timetable"]
    assert found["__type"].endswith(f".{expected[0]}")
    assert expected[1].items() <= found["__var"].items()


def test_a_pipeline_can_wait_for_datasets(build):
    dag = build("schedule: {datasets: [prepared_output_data, other]}\nsteps: {a: {script: a.py}}\n")
    (known,) = [asset for asset in dag.schedule.objects if asset.name == "other"]
    assert known.uri == "ml-pipelines://datasets/other"
    assert len(dag.schedule.objects) == 2


@pytest.mark.parametrize("mode", ["all", "any"])
def test_a_pipeline_can_wait_for_assets(build, mode):
    dag = build(
        f"schedule: {{assets: [digits, 's3://bucket/x'], mode: {mode}}}\nsteps: {{a: {{script: a.py}}}}\n"
    )
    condition = serialise(dag)["timetable"]["__var"]["asset_condition"]
    assert condition["__type"] == f"asset_{mode}"
    assert [(item["name"], item["uri"]) for item in condition["objects"]] == [
        ("digits", "ml-pipelines://datasets/digits"),
        ("s3://bucket/x", "s3://bucket/x"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'schedule: "99 6 * * *"\n',
            "p.pipeline.yaml:1:11: schedule.cron: ",
        ),
        (
            "schedule: {timetable: nowhere.Never}\n",
            "1:23: schedule.timetable: this timetable can't be made: No module",
        ),
        (f"tags: [{'x' * 101}]\n", "p.pipeline.yaml:1:1: Airflow does not take this pipeline: "),
    ],
)
def test_what_airflow_does_not_take_is_an_error_of_the_definition(build, text, expected):
    with pytest.raises(DefinitionError) as caught:
        build(f"{text}steps: {{a: {{script: a.py}}}}\n")
    assert expected in str(caught.value)


def test_a_spec_makes_a_dag_without_a_schedule(project):
    spec = PipelineSpec(
        name="p", steps=(StepSpec(id="a", name="a", script="a.py"),), base_directory=str(project.folder)
    )
    dag = build_dag(spec, dag_id="other")
    assert (dag.dag_id, dag.schedule) == ("other", None)
    assert "## Steps" in dag.doc_md
    assert [task.task_id for task in dag.tasks] == ["plan", "a.reuse", "a.run"]


def test_a_schedule_of_airflow_goes_before_that_of_the_definition(build):
    dag = build('schedule: "@daily"\nsteps: {a: {script: a.py}}\n', schedule=timedelta(hours=2))
    assert dag.schedule == timedelta(hours=2)


def test_text_of_a_definition_is_no_template(build):
    dag = build('steps: {a: {script: a.py, arguments: ["{{ var.value.secret }}"]}}\n')
    assert "secret" not in json.dumps(list(serialise(dag)["tasks"]))
    for task in dag.tasks:
        rendered = {name: getattr(task, name) for name in task.template_fields}
        assert "{{" not in json.dumps(rendered, default=str)


# --- params -------------------------------------------------------------------------------------------------------


def test_parameters_become_params_and_run_options_follow(build):
    dag = build(
        """
        experiment: tries
        continue_on_step_failure: true
        parameters:
          C: {type: number, default: 1, minimum: 0.5, maximum: 10, title: Strength, section: Model, description: How.}
          depth: {default: 8, minimum: 1}
          kind: {default: gini, enum: [gini, entropy]}
          must: {type: boolean}
        steps: {a: {script: a.py}}
        """
    )
    assert list(dag.params) == [
        *("C", "depth", "kind", "must", "regenerate_outputs", "continue_on_step_failure", "experiment_name")
    ]
    given = {name: dag.params.get_param(name) for name in dag.params}
    assert given["C"].schema == {
        "type": "number",
        "minimum": 0.5,
        "maximum": 10,
        "title": "Strength",
        "section": "Model",
    }
    assert (given["C"].value, given["C"].description) == (1.0, "How.")
    assert given["depth"].schema["minimum"] == 1
    assert given["kind"].schema["enum"] == ["gini", "entropy"]
    assert not given["must"].has_value
    assert (given["regenerate_outputs"].value, given["continue_on_step_failure"].value) == (False, True)
    assert given["experiment_name"].value == "tries"
    assert {given[name].schema["section"] for name in list(given)[4:]} == {"Run options"}


@pytest.mark.parametrize(
    "value",
    [
        {"datastore": "blob", "path": "a/b"},
        {"path": "a/b"},
        {"url": "https://example.org/x"},
        {"dataset": "iris"},
        {"dataset": "iris", "version": 2},
        {"DataStoreName": "blob", "RelativePath": "a"},
        {"type": "data", "locations": [{"datastore": "blob", "path": "a"}], "form": "folder"},
    ],
)
def test_data_can_be_given_to_a_run_in_every_form(build, value):
    dag = build("parameters: {d: {type: data, default: {path: x}}}\nsteps: {a: {script: a.py}}\n")
    dag.params["d"] = value
    assert dag.params["d"] == value


@pytest.mark.parametrize(
    "value", ["a/b", {}, {"datastore": "x"}, {"path": "x", "paht": "y"}, {"dataset": "i", "version": 0}]
)
def test_what_is_no_data_is_refused(build, value):
    spec = PipelineDefinition.from_document({"name": "p", "parameters": {"d": {"type": "data"}}}).parameters[
        "d"
    ]
    assert spec.type == "data"
    dag = build("parameters: {d: {type: data, default: {path: x}}}\nsteps: {a: {script: a.py}}\n")
    with pytest.raises(Exception, match="Invalid input for param"):
        dag.params["d"] = value


def test_defaults_of_data_parameters_fit_their_schema(project):
    project.write("a.py")
    spec = PipelineDefinition.from_yaml(
        project.write(
            "p.pipeline.yaml",
            """
            data: {t: {paths: [a.csv, "https://x.org/b.csv"], type: tabular, separator: ";"}, f: {path: x, type: file}}
            parameters: {t: {type: data, default: t}, f: {type: data, default: f}}
            steps: {a: {script: a.py}}
            """,
        )
    ).to_spec()
    for parameter in spec.parameters:
        jsonschema.validate(parameter.default, parameter_schema(parameter))


# --- what Airflow stores ------------------------------------------------------------------------------------------


def test_the_same_definition_is_serialised_the_same(build):
    text = (
        f"tags: [c, a, b]\nparameters: {{a: 1, b: {{type: data, default: {{path: x}}}}}}\n{CHAIN.strip()}\n"
    )
    assert serialise(build(text)) == serialise(build(text))


def test_the_serialised_dag_does_not_tell_where_the_definition_is(build, project):
    assert str(project.folder) not in json.dumps(serialise(build(CHAIN)))


@pytest.mark.parametrize(
    "change",
    [
        ("[--a, --b]", "[--b, --a]"),
        ("script: a.py", "script: b.py"),
        ('version: "1"', 'version: "2"'),
        ("path: x", "path: y"),
    ],
)
def test_whatever_changes_the_definition_changes_what_airflow_stores(build, project, change):
    project.write("b.py")
    text = 'steps: {a: {script: a.py, arguments: [--a, --b], version: "1", inputs: {x: {path: x}}}}\n'
    before, after = (serialise(build(item))["tasks"][0]["__var"] for item in (text, text.replace(*change)))
    assert before["definition_digest"] != after["definition_digest"]
    assert "definition_digest" in before["template_fields"]


# --- compute targets ----------------------------------------------------------------------------------------------


def write_workspace(project):
    project.write(
        "workspace.yaml",
        """
        name: test
        compute_targets:
          gpu: {type: rocket}
        """,
    )


def test_a_compute_target_without_an_operator_is_named(build, project):
    write_workspace(project)
    with pytest.raises(DefinitionError) as caught:
        build("steps:\n  a:\n    script: a.py\n    compute_target: gpu\n")
    assert "p.pipeline.yaml:4:21: steps.a.compute_target: compute target 'gpu' is of kind 'rocket'" in str(
        caught.value
    )
    assert "There are: adla, databricks, docker, kubernetes, local, spark" in str(caught.value)


def test_steps_of_a_target_that_takes_only_so_many_are_in_its_pool(build, project):
    project.write(
        "workspace.yaml",
        """
        name: shop
        compute_targets:
          box: {type: docker, max_nodes: 2}
          free: {type: docker}
          here: {type: local, max_nodes: 2}
        """,
    )
    dag = build(
        "steps:\n"
        "  a: {script: a.py, compute_target: box}\n"
        "  b: {script: a.py, compute_target: box, pool: mine}\n"
        "  c: {script: a.py, compute_target: free}\n"
        "  d: {script: a.py, compute_target: here}\n"
    )
    pools = {name: dag.get_task(f"{name}.run").pool for name in "abcd"}
    usual = dag.get_task("plan").pool
    assert pools == {"a": "ml-pipelines-shop-box", "b": "mine", "c": usual, "d": usual}
    assert dag.get_task("a.reuse").pool == usual


def test_compute_targets_that_the_file_does_not_name_are_left_to_the_run(build, project):
    write_workspace(project)
    dag = build("steps: {a: {script: a.py, compute_target: registered}, b: {script: a.py}}\n")
    assert type(dag.get_task("a.run")) is type(dag.get_task("b.run"))


def test_a_broken_workspace_does_not_keep_dags_from_being_made(build, project):
    project.write("workspace.yaml", "nonsense: [\n")
    assert build("steps: {a: {script: a.py}}\n").dag_id == "p"


def test_tasks_are_told_the_nearest_workspace(build, project, tmp_path):
    assert build("steps: {a: {script: a.py}}\n").get_task("plan").workspace is None
    write_workspace(project)
    assert build("steps: {a: {script: a.py}}\n").get_task("plan").workspace == str(
        project.folder / "workspace.yaml"
    )
    dag = build("steps: {a: {script: a.py}}\n", workspace="elsewhere")
    assert {task.workspace for task in dag.tasks} == {str(project.folder / "elsewhere")}


def test_tasks_find_the_workspace_that_the_environment_names(build, project, monkeypatch):
    write_workspace(project)
    monkeypatch.setenv("ML_PIPELINES_WORKSPACE", str(project.folder / "workspace.yaml"))
    assert build("steps: {a: {script: a.py}}\n").get_task("plan").workspace is None
