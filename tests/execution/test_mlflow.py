"""What steps log is told to MLflow's own server; what goes wrong there never fails a step."""

from __future__ import annotations

import msgspec
import pytest
from project import Project
from servers.mlflow import MlflowServer
from servers.process import free_port

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.runner import run_pipeline
from airflow_ml_pipelines.workspace_file import load_workspace

pytestmark = pytest.mark.system  # MLflow's server takes a while to start

LOGS = """
    import pathlib, sys
    from azureml.core import Run
    run = Run.get_context()
    for epoch in range(3):
        run.log("loss", 1 / (epoch + 1))
    run.log("state of the art", "no")
    run.log("at", 5, step=7)
    run.log_list("folds", [0.1, 0.2])
    run.log_row("per class", label=3, recall=0.5)
    run.log_row("per class", label=4, recall=0.75)
    run.log_table("table", {"x": [1, 2], "y": ["a", "b"]})
    run.log("bad/../name:|", float("nan"))
    run.tag("stage", "test")
    run.parent.log("best", 0.9)
    pathlib.Path("outputs").mkdir(exist_ok=True)
    pathlib.Path("outputs/model.pkl").write_bytes(b"model")
    pathlib.Path("picture.png").write_bytes(b"png")
    run.log_image("picture", path="picture.png")
    pathlib.Path(sys.argv[2], "out.txt").write_text("made")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    found = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    found.start()
    yield found
    found.stop()


@pytest.fixture
def project(tmp_path, server):
    found = Project(tmp_path, Workspace("ws", tmp_path / "ws", mlflow=server.url))
    found.script("prepare", LOGS)
    return found


def runs(server, experiment):
    """Return MLflow's runs of an experiment: the pipelines' and the steps', the latest first."""
    from mlflow import MlflowClient

    client = MlflowClient(server.url)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    parents = [item for item in found if "mlflow.parentRunId" not in item.data.tags]
    return client, parents, [item for item in found if item not in parents]


def test_a_run_and_its_steps_are_runs_of_mlflow(project, server):
    project.run(experiment="whole", parameters={"word": "two"}, tags={"who": "ada"}, run_id="first")
    client, (parent,), steps = runs(server, "whole")
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == "first"
    assert parent.data.params == {"word": "two"}
    assert parent.data.metrics == {"best": 0.9}
    assert parent.data.tags["who"] == "ada"
    assert {item.info.run_name for item in steps} == {"Prepare", "Train", "Report"}
    assert {item.data.tags["mlflow.parentRunId"] for item in steps} == {parent.info.run_id}
    (step,) = [item for item in steps if item.info.run_name == "Prepare"]
    assert step.info.status == "FINISHED"
    assert step.data.metrics.pop("bad/name__") != 0
    assert step.data.metrics == {
        "loss": 1 / 3,
        "at": 5,
        "folds": 0.2,
        "per class/label": 4,
        "per class/recall": 0.75,
        "table/x": 2,
    }
    history = client.get_metric_history(step.info.run_id, "loss")
    assert [(item.step, item.value) for item in history] == [(0, 1), (1, 1 / 2), (2, 1 / 3)]
    assert [item.step for item in client.get_metric_history(step.info.run_id, "at")] == [7]
    tags = step.data.tags
    assert (tags["stage"], tags["state of the art"], tags["mlflow.source.name"]) == (
        "test",
        "no",
        "prepare.py",
    )
    assert tags["ml_pipelines.reasons"] == "there is no earlier result of this step"
    assert len(tags["ml_pipelines.key"]) == 64
    files = {item.path for item in client.list_artifacts(step.info.run_id, "outputs")}
    assert files == {"outputs/model.pkl", "outputs/images"}
    assert client.download_artifacts(step.info.run_id, "outputs/model.pkl")


def test_steps_that_are_reused_are_not_told_again(project, server):
    project.run(experiment="twice")
    project.run(experiment="twice", parameters={"word": "two"})
    _, parents, steps = runs(server, "twice")
    assert len(parents) == 2
    assert sorted(item.info.run_name for item in steps) == ["Prepare", "Report", "Train", "Train"]
    assert {item.info.status for item in parents} == {"FINISHED"}


def test_a_step_that_fails_is_told_as_failed(project, server):
    project.script("train", "raise SystemExit('it is broken')")
    project.run(experiment="broken")
    _, (parent,), steps = runs(server, "broken")
    (failed,) = [item for item in steps if item.info.run_name == "Train"]
    assert failed.info.status == "FAILED"
    assert "exit code 1" in failed.data.tags["ml_pipelines.error"]
    assert parent.info.status in ("FAILED", "RUNNING")  # the third step may have been canceled


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}", "ftp://nowhere", "gibberish://x"])
def test_a_server_that_is_not_there_fails_nothing(tmp_path, address, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = address.format(port=free_port())
    assert say_of_a_run(tmp_path, Workspace("ws", tmp_path / "ws", mlflow=address))


def say_of_a_run(folder, workspace):
    """Run a step; return what is said of MLflow."""
    project = Project(folder, workspace)
    spec = msgspec.structs.replace(project.spec, steps=project.spec.steps[:1])
    said = []

    class Listener:
        def on_plan(self, plan): ...

        def on_step(self, document): ...

        def on_line(self, step, stream, line):
            said.append(line)

    outcome = run_pipeline(project.workspace, new_run(spec), listener=Listener())
    assert outcome.status == "Finished"
    return [line for line in said if "MLflow was not told" in line]


def test_the_address_stands_in_the_workspace_file_or_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "workspace.yaml"
    file.write_text("name: a\nmlflow: http://here\n")
    assert load_workspace(file).mlflow == "http://here"
    file.write_text("name: a\nmlflow: http://ada:s3cret@here\n")
    with pytest.raises(WorkspaceError, match="MLFLOW_TRACKING_PASSWORD") as raised:
        load_workspace(file)
    assert "s3cret" not in str(raised.value)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "gibberish://x")
    assert say_of_a_run(tmp_path, Workspace("ws", tmp_path / "ws"))
