"""Pipelines run in memory, with scripts and reuse that are real."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.errors import DataError, ParameterError, WorkspaceError
from airflow_ml_pipelines.testing import FakeComputeTarget, FakeStep, memory_workspace, run_in_memory
from dag_factory import Dataset, OutputFileDatasetConfig, Pipeline, PythonScriptStep

YAML = """
parameters: {word: ok}
data: {rows: {datastore: lake, path: rows}}
steps:
  prepare:
    script: step.py
    source_directory: src
    inputs: {rows: rows}
    outputs: {made: }
    arguments: ["${{ inputs.rows }}", "${{ outputs.made }}"]
    environment: a-named-one
    compute_target: cluster
  train:
    script: step.py
    source_directory: src
    outputs: {model: }
    arguments: ["${{ steps.prepare.outputs.made }}", "${{ outputs.model }}", "${{ parameters.word }}"]
    environment: {pip: [a-package-that-is-nowhere]}
"""
STEP = """\
import pathlib, sys
from airflow_ml_pipelines.runtime import Run
source, target, *words = sys.argv[1:]
text = "".join(file.read_text() for file in sorted(pathlib.Path(source).rglob("*")) if file.is_file())
pathlib.Path(target, "all.txt").write_text(text + " ".join(words))
Run.get_context().log("length", len(text))
print("read", len(text), *words)
"""
DATA = {"lake:rows": {"a.txt": b"one ", "deep/b.txt": "two "}}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("src").mkdir()
    Path("src/step.py").write_text(STEP)
    Path("shop.pipeline.yaml").write_text(YAML)
    return tmp_path


def test_a_pipeline_runs_with_the_data_that_is_given(project):
    run = run_in_memory("shop.pipeline.yaml", data=DATA, parameters={"word": "more"})
    assert (run.status, run.errors) == ("Finished", {})
    assert run.ran == ["prepare", "train"]
    assert run.files("train", "model") == {"all.txt": b"one two more"}
    assert run.metrics("train") == {"length": 8}
    assert run.lines["train"] == ["read 8 more"]
    assert run.reasons("train") == ("there is no earlier result of this step",)


def test_nothing_is_left_behind(project, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    def everything() -> set[str]:
        return {str(path) for path in project.rglob("*")} | set(MemoryFileSystem.store)

    (project / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(project / "temporary"))
    gc.collect()  # what other tests have left
    before = everything()
    run = run_in_memory("shop.pipeline.yaml", data=DATA)
    assert any("ml-pipelines-tests" in name for name in everything() - before)
    del run
    gc.collect()
    with memory_workspace() as workspace:
        run_in_memory("shop.pipeline.yaml", data=DATA, workspace=workspace)
    assert everything() == before


@pytest.mark.timeout(60)
def test_memory_is_given_back_also_where_garbage_is_collected_while_a_pool_begins_work(project):
    """A pool collects garbage with a lock held that every other one of its kind wants."""
    from concurrent.futures import thread

    from fsspec.implementations.memory import MemoryFileSystem

    gc.collect()
    before = set(MemoryFileSystem.store)
    run = run_in_memory("shop.pipeline.yaml", data=DATA)
    assert set(MemoryFileSystem.store) > before
    with thread._global_shutdown_lock:
        del run
        gc.collect()
    assert set(MemoryFileSystem.store) == before


def test_runs_in_one_workspace_reuse_each_other(project):
    with memory_workspace() as workspace:
        first = run_in_memory("shop.pipeline.yaml", data=DATA, workspace=workspace)
        second = run_in_memory("shop.pipeline.yaml", workspace=workspace, parameters={"word": "x"})
        third = run_in_memory("shop.pipeline.yaml", workspace=workspace, regenerate_outputs=True)
    assert (first.ran, first.reused) == (["prepare", "train"], [])
    assert (second.ran, second.reused) == (["train"], ["prepare"])
    assert second.reasons("train") == ("argument 3: ok → x",)
    assert third.ran == ["prepare", "train"]


def test_a_pipeline_of_objects_runs_too(project):
    with memory_workspace() as ws:
        data = Dataset.File.from_files((ws.get_default_datastore(), "in"))
        made = OutputFileDatasetConfig("made")
        step = PythonScriptStep(
            "step.py", arguments=[data.as_named_input("rows").as_mount(), made], source_directory="src"
        )
        run = run_in_memory(Pipeline(ws, [step]), data={"in/a.txt": "text"}, workspace=ws)
        assert run.files(step.name, "made") == {"all.txt": b"text"}


def test_files_and_folders_of_this_machine_are_data_too(project):
    Path("data/deep").mkdir(parents=True)
    Path("data/deep/a.txt").write_text("folder")
    run = run_in_memory("shop.pipeline.yaml", data={"lake:rows": Path("data")})
    assert run.files("prepare", "made") == {"all.txt": b"folder"}
    run = run_in_memory("shop.pipeline.yaml", data={"lake:rows/one": Path("data/deep/a.txt")})
    assert run.files("prepare", "made") == {"all.txt": b"folder"}


def test_registered_datasets_are_given_by_name(project):
    Path("shop.pipeline.yaml").write_text(YAML.replace("{datastore: lake, path: rows}", "{dataset: rows}"))
    run = run_in_memory("shop.pipeline.yaml", datasets={"rows": {"a": b"1"}})
    assert run.files("prepare", "made") == {"all.txt": b"1"}
    with pytest.raises(WorkspaceError, match="there is no dataset 'rows'"):
        run_in_memory("shop.pipeline.yaml")


def test_a_step_that_fails_is_told(project):
    Path("src/step.py").write_text("raise SystemExit('broken')")
    run = run_in_memory("shop.pipeline.yaml", data=DATA)
    assert run.status == "Failed"
    assert "broken" in run.errors["prepare"]
    assert run.step("train").status == "canceled"
    assert run.ran == ["prepare"]


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda run: run.step("trian"), "there is no step 'trian'. Did you mean 'train'"),
        (
            lambda run: run.files("train", "modle"),
            "step 'train' made no output 'modle'. Did you mean 'model'",
        ),
    ],
)
def test_what_there_is_not_is_one_clear_message(project, ask, error):
    run = run_in_memory("shop.pipeline.yaml", data=DATA)
    with pytest.raises((DataError, WorkspaceError), match=error):
        ask(run)


def test_a_run_that_can_not_begin_is_an_error(project):
    with pytest.raises(ParameterError, match="wrod"):
        run_in_memory("shop.pipeline.yaml", data=DATA, parameters={"wrod": 1})
    with pytest.raises(DataError, match="rows"):
        run_in_memory("shop.pipeline.yaml")


# --- with a fake compute target ----------------------------------------------------------------------------------


def test_a_fake_records_jobs_and_scripts_make_the_outputs(project):
    with FakeComputeTarget(scripts=True) as fake:
        run = run_in_memory("shop.pipeline.yaml", data=DATA)
    assert fake.ran == ["prepare", "train"]
    assert (
        fake.arguments("train") == ["<prepare.made>", "<model>", "ok"] or fake.arguments("train")[2] == "ok"
    )
    assert run.files("train", "model") == {"all.txt": b"one two ok"}


def test_a_fake_loses_fails_and_slows_steps(project):
    with FakeComputeTarget({"train": FakeStep(lost=True)}, scripts=True):
        run = run_in_memory("shop.pipeline.yaml", data=DATA)
    assert (run.status, run.ran) == ("Failed", ["prepare", "train"])
    assert "the job of step 'train' is lost" in run.errors["train"]
    with FakeComputeTarget({"train": FakeStep(error="no more disk")}, scripts=True):
        run = run_in_memory("shop.pipeline.yaml", data=DATA)
    assert "no more disk" in run.errors["train"]
    with FakeComputeTarget({"train": FakeStep(seconds=0.3)}, scripts=True):
        run = run_in_memory("shop.pipeline.yaml", data=DATA)
    assert run.status == "Finished"
    assert run.step("train").seconds >= 0.3


def test_outputs_that_are_given_come_instead_of_the_script(project):
    with FakeComputeTarget({"prepare": FakeStep(outputs={"made": {"x": b"given "}})}, scripts=True):
        run = run_in_memory("shop.pipeline.yaml", data=DATA)
    assert run.files("train", "model") == {"all.txt": b"given ok"}
