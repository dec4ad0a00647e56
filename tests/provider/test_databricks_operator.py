"""The operator of steps on Spark in hand-written DAGs."""

import asyncio
import json
import textwrap
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml  # noqa: TID253
from airflow.sdk import DAG, Param  # noqa: TID253
from airflow.sdk.log import mask_secret  # noqa: TID253
from servers.databricks import Faults

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.spec import InputPath, OutputPath
from airflow_ml_pipelines.operators.databricks import DatabricksOperator
from airflow_ml_pipelines.operators.python_script import PythonScriptOperator
from airflow_ml_pipelines.workspace_file import load_workspace

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:
    from airflow.exceptions import TaskDeferred

NOTEBOOK = """
import pathlib
source, target = (pathlib.Path(dbutils.widgets.get(n).removeprefix("file:")) for n in ("data", "cleaned"))
target.mkdir(parents=True)
text = (source / "out.txt").read_text() + dbutils.widgets.get("word")
(target / "part-0.txt").write_text(text)
dbutils.notebook.exit(text)
"""
COPY = """
import pathlib, sys
from words import WORD
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
source, target = (pathlib.Path(given[n].removeprefix("file:")) for n in ("--read", "--cleaned"))
target.mkdir(parents=True)
(target / "part-0.txt").write_text((source / "out.txt").read_text() + given["--word"] + WORD)
"""


@pytest.fixture
def bricks(workspace, databricks, monkeypatch):
    """A workspace with a compute target of each kind, whose steps are tried without an Airflow connection."""
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-test")
    target = {"type": "databricks", "host": databricks.url, "shared_paths": True, "poll_interval": 0.1}
    document = yaml.safe_load(workspace.file.read_text())
    document["compute_targets"] = {"bricks": target, "spark": {"type": "spark", "master": "local[1]"}}
    workspace.file.write_text(yaml.safe_dump(document))
    databricks.notebook("/Shared/clean", NOTEBOOK)
    return load_workspace(workspace.file)


@pytest.fixture
def dag(source, bricks):
    """Return what makes the two tasks of a hand-written DAG: a Python script, and a step on Spark."""
    (source / "clean.py").write_text(textwrap.dedent(COPY))
    (source / "words.py").write_text("WORD = '!'\n")

    def make(**fields):
        params = {"word": Param("one", type="string"), "leak": Param("secret", type="string")}
        with DAG("mine", schedule=None, params=params):
            prepare = PythonScriptOperator(
                task_id="prepare",
                script_name="step.py",
                source_directory=source,
                arguments=["--write", OutputPath(output="data"), "--alpha", "7"],
                outputs=["data"],
            )
            given = {"compute_target": "bricks", "num_workers": 1, "outputs": ["cleaned"], **fields}
            clean = DatabricksOperator(task_id="clean", inputs={"data": prepare.output_of("data")}, **given)
        return prepare, clean

    return make


NOTEBOOK_STEP = {"notebook_path": "/Shared/clean", "notebook_params": {"word": "{{ params.word }}"}}
SCRIPT_STEP = {
    "python_script_name": "clean.py",
    "arguments": ["--read", InputPath(input="data"), "--word", "{{ params.word }}"],
}


def text(outcome):
    return (Path(unquote(urlsplit(outcome.value["outputs"]["cleaned"]).path)) / "part-0.txt").read_text()


def test_a_notebook_gets_its_data_and_parameters_and_no_others(dag, run_task, databricks):
    prepare, clean = dag(**NOTEBOOK_STEP)
    assert clean.upstream_task_ids == {"prepare"}
    run_task(prepare)
    done = run_task(clean, conf={"word": "two"})
    assert (done.value["decision"], text(done)) == ("run", "7two")
    (request,) = databricks.submitted
    widgets = request["tasks"][0]["notebook_task"]["base_parameters"]
    assert set(widgets) == {"word", "data", "cleaned"}, "a parameter of the DAG is among the notebook's"
    assert done.operator.run_url.startswith(databricks.url)


def test_what_did_not_change_is_not_submitted_again(dag, run_task, databricks):
    tasks = dag(**NOTEBOOK_STEP)
    for run in ("r1", "r2"):
        for task in tasks:
            done = run_task(task, run)
    assert done.value["decision"] == "reuse"
    assert len(databricks.submitted) == 1
    run_task(tasks[0], "r3")
    assert run_task(tasks[1], "r3", conf={"word": "three"}).value["decision"] == "run"


@pytest.mark.parametrize("target", ["bricks", "spark"])
def test_a_script_comes_with_its_folder_and_gets_its_arguments(dag, run_task, source, target):
    prepare, clean = dag(**SCRIPT_STEP, source_directory=source, compute_target=target)
    run_task(prepare)
    assert text(run_task(clean)) == "7one!"


def test_what_it_is_told_of_the_cluster_reaches_the_request(dag, run_task, databricks):
    more = {
        "num_workers": None,
        "min_workers": 1,
        "max_workers": 3,
        "node_type": "i3.xlarge",
        "spark_conf": {"spark.x": True},
        "pypi_libraries": ["six==1.16", {"package": "idna", "repo": "https://pypi.example"}],
        "egg_libraries": ["dbfs:/w.whl"],
        "run_name": "mine",
        "timeout_seconds": 90,
    }
    databricks.put("dbfs:/w.whl", b"a wheel")
    prepare, clean = dag(**NOTEBOOK_STEP, **more)
    run_task(prepare)
    run_task(clean)
    (request,) = databricks.submitted
    (task,) = request["tasks"]
    assert (request["run_name"], request["timeout_seconds"]) == ("mine", 90)
    assert task["new_cluster"]["autoscale"] == {"min_workers": 1, "max_workers": 3}
    assert task["new_cluster"]["node_type_id"] == "i3.xlarge"
    assert task["new_cluster"]["spark_conf"] == {"spark.x": "true"}
    assert task["libraries"] == [
        {"pypi": {"package": "six==1.16"}},
        {"pypi": {"package": "idna", "repo": "https://pypi.example"}},
        {"whl": "dbfs:/w.whl"},
    ]


def test_a_secret_in_a_template_is_kept_nowhere(dag, run_task, bricks, databricks):
    mask_secret("hunter2-secret")
    prepare, clean = dag(notebook_path="/Shared/clean", notebook_params={"word": "{{ params.word }}"})
    run_task(prepare)
    with pytest.raises(Exception, match="notebook parameter 'word' has a secret in it.*spark_env_variables"):
        run_task(clean, conf={"word": "hunter2-secret"})
    assert databricks.submitted == []
    folder = RunFolder(bricks.store, "mine", "r1")
    kept = [bricks.store.get(info.path) for info in bricks.store.walk(folder.path)]
    assert b"hunter2" not in b"".join(kept)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give either step .* or one of notebook_path"),
        ({**NOTEBOOK_STEP, **SCRIPT_STEP}, "a step runs one notebook, one script or one main class"),
        (
            {**NOTEBOOK_STEP, "arguments": ["a"]},
            "a notebook has widgets and no arguments: use notebook_params",
        ),
        ({**SCRIPT_STEP, "notebook_params": {"a": "1"}}, "notebook_params: belongs to notebook_path"),
        ({**NOTEBOOK_STEP, "existing_cluster_id": "c-1"}, "leave out one of the two"),
        ({**NOTEBOOK_STEP, "max_workers": 3}, "leave out it, or min_workers and max_workers"),
        ({**NOTEBOOK_STEP, "num_workers": "2"}, "num_workers: expected a number of workers, found '2'"),
        ({**NOTEBOOK_STEP, "serverless": "no", "num_workers": None}, "Expected `bool`, got `str`"),
        ({**NOTEBOOK_STEP, "source_directory": "x"}, "source_directory: has no meaning with notebook_path"),
        ({**NOTEBOOK_STEP, "pypi_libraries": "six"}, "pypi_libraries: expected a list, found 'six'"),
        ({**NOTEBOOK_STEP, "pypi_libraries": [{"name": "six"}]}, "a mapping of package, repo, found"),
        ({"main_class_name": "a.B"}, "name it in jar_libraries"),
        ({**NOTEBOOK_STEP, "outputs": "cleaned"}, "outputs: expected a list of names"),
    ],
)
def test_what_does_not_go_together_is_refused_where_it_is_defined(dag, given, message):
    with pytest.raises(DefinitionError, match=message):
        dag(**given)


def test_a_definition_is_the_same_each_time_it_is_read(dag):
    first, second = (dag(**NOTEBOOK_STEP)[1] for _ in range(2))
    other = dag(**{**NOTEBOOK_STEP, "notebook_params": {"word": "x"}})[1]
    assert first.definition_digest == second.definition_digest != other.definition_digest
    assert json.dumps(first.notebook_params)


@pytest.mark.filterwarnings("ignore:ProvidersManager")
@pytest.mark.parametrize(
    ("target", "given", "defers"),
    [
        ({"connection": "databricks_test"}, {}, True),
        ({"connection": "databricks_test"}, {"deferrable": False}, False),
        ({"connection": "databricks_test", "deferrable": False}, {}, False),
        ({}, {}, False),
        ({"deferrable": True}, {}, True),
    ],
    ids=["connection", "not this task", "not this target", "no connection", "this target"],
)
def test_it_leaves_its_slot_where_the_triggerer_can_see_the_run(
    dag, run_task, bricks, databricks, monkeypatch, target, given, defers
):
    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_TEST", databricks.connection())
    document = yaml.safe_load(bricks.file.read_text())
    made = {"type": "databricks", "shared_paths": True, "poll_interval": 0.1, **target}
    document["compute_targets"]["bricks"] = made if "connection" in made else {"host": databricks.url, **made}
    bricks.file.write_text(yaml.safe_dump(document))
    databricks.fail(Faults(slow_start=1))
    prepare, clean = dag(**NOTEBOOK_STEP, **given)
    run_task(prepare)
    if not defers:
        assert text(run_task(clean)) == "7one"
        return
    with pytest.raises(TaskDeferred) as caught:
        run_task(clean)
    assert caught.value.method_name == "resume"
    databricks.fail(Faults())
    event = first_event(caught.value.trigger)
    assert event["status"] == "ended"
    assert run_task(clean, method="resume", event=event).value["decision"] == "run"
    assert len(databricks.submitted) == 1


def first_event(trigger):
    async def first():
        async for found in trigger.run():
            return found.payload
        return None

    return asyncio.run(asyncio.wait_for(first(), 120))
