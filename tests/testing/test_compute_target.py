import json

import pytest

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.testing import FakeComputeTarget, FakeStep
from dag_factory import Experiment, OutputFileDatasetConfig, Pipeline, PythonScriptStep, Workspace


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "source"
    source.mkdir()
    (source / "step.py").write_text("raise SystemExit('a fake runs no script')")
    ws = Workspace.create("fake", folder=tmp_path / "ws")
    data = OutputFileDatasetConfig("data")
    given = {"source_directory": str(source), "script_name": "step.py"}
    prepare = PythonScriptStep(name="prepare", arguments=["--to", data], **given)
    train = PythonScriptStep(name="train", arguments=["--from", data.as_input("data"), "--depth", 8], **given)
    return Pipeline(ws, steps=[prepare, train])


def submit(pipeline):
    run = Experiment(pipeline.workspace, "test").submit(pipeline)
    run.wait_for_completion(show_output=False, raise_on_error=False)
    return run


def test_steps_end_as_the_test_says_and_run_nothing(pipeline):
    with FakeComputeTarget({"prepare": FakeStep(outputs={"data": {"a/b.txt": b"x"}})}) as fake:
        run = submit(pipeline)
    assert run.get_status() == "Finished"
    assert fake.ran == ["prepare", "train"]
    assert fake.arguments("train") == ["--from", "<data>", "--depth", "8"]
    assert [path for path, *_ in published_files(pipeline.workspace)] == ["a/b.txt"]


def test_what_a_fake_made_is_reused(pipeline):
    with FakeComputeTarget() as fake:
        submit(pipeline)
        submit(pipeline)
    assert fake.ran == ["prepare", "train"]


def test_a_step_fails_as_the_test_says(pipeline):
    with FakeComputeTarget({"prepare": FakeStep(error="no more disk")}) as fake:
        run = submit(pipeline)
    assert run.get_status() == "Failed"
    assert fake.ran == ["prepare"]
    with pytest.raises(DefinitionError, match="'train' did not run. There are: prepare"):
        fake.job("train")


def test_after_the_block_scripts_run_again(pipeline):
    with FakeComputeTarget():
        pass
    assert submit(pipeline).get_status() == "Failed"


def published_files(ws):
    store = ws.core.store
    [path] = [info.path for info in store.walk("runs") if info.path.endswith("manifests/data.json")]
    return json.loads(store.get(path))["files"]
