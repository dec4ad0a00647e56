"""Two runs compared."""

from __future__ import annotations

import json

import msgspec

from airflow_ml_pipelines.core.documents import write_document
from airflow_ml_pipelines.core.runs.folder import OutputDocument
from airflow_ml_pipelines.execution.diff_runs import diff_runs

LOG = """
    import pathlib, sys
    from airflow_ml_pipelines.runtime import Run
    run = Run.get_context()
    run.log("accuracy", {accuracy})
    run.log("same", 1)
    run.log("broken", float("nan"))
    pathlib.Path(sys.argv[2], "out.txt").write_text("{accuracy}")
"""


def steps_of(found):
    return {step.step: step for step in found.steps}


def test_equal_runs_differ_in_nothing_but_their_times(project):
    first, second = project.run(), project.run()
    found = diff_runs(project.workspace, first.folder, second.folder)
    assert (found.parameters, found.git) == ((), ())
    for step in found.steps:
        assert (step.differences, step.outputs, step.metrics, step.unknown) == ((), (), (), "")
        assert step.old.key == step.new.key
        assert (step.old.status, step.new.status) == ("finished", "reused")
        assert step.new.run == f"pipe/{first.folder.run}"


def test_parameters_keys_and_outputs_that_differ_are_named(project):
    first, second = project.run(), project.run(parameters={"word": "two"})
    found = diff_runs(project.workspace, first.folder, second.folder)
    assert [item.text for item in found.parameters] == ["parameter word: one → two"]
    train = steps_of(found)["train"]
    assert [item.text for item in train.differences] == ["argument 3: one → two"]
    assert [item.text for item in train.outputs] == ["output out: out.txt changed"]
    assert (train.outputs[0].files[0].old_size, train.outputs[0].files[0].new_size) == (8, 8)
    assert not steps_of(found)["prepare"].outputs


def test_metrics_that_differ_are_named(project):
    project.script("report", LOG.format(accuracy=0.5))
    first = project.run()
    project.script("report", LOG.format(accuracy=0.75))
    found = diff_runs(project.workspace, first.folder, project.run().folder)
    assert [item.text for item in steps_of(found)["report"].metrics] == ["metric accuracy: 0.5 → 0.75"]


def test_commits_that_differ_are_named(project):
    first, second = project.run(), project.run()
    for number, folder in enumerate((first.folder, second.folder)):
        folder.write_run(
            msgspec.structs.replace(folder.read_run(), git={"commit": str(number), "branch": "main"})
        )
    found = diff_runs(project.workspace, first.folder, second.folder)
    assert [item.text for item in found.git] == ["git commit: 0 → 1"]


def test_steps_of_one_run_alone_are_there(project):
    first = project.run()
    spec = msgspec.structs.replace(project.spec, steps=project.spec.steps[:2])
    second = project.run(spec)
    report = steps_of(diff_runs(project.workspace, first.folder, second.folder))["report"]
    assert (report.old.status, report.new) == ("finished", None)
    report = steps_of(diff_runs(project.workspace, second.folder, first.folder))["report"]
    assert (report.old, report.new.status) == (None, "finished")


def test_a_run_that_failed_can_be_compared(project):
    first = project.run()
    project.script("report", "raise SystemExit('broken')")
    found = diff_runs(project.workspace, first.folder, project.run().folder)
    report = steps_of(found)["report"]
    assert (found.new.status, report.new.status) == ("Failed", "failed")
    assert [item.text for item in report.differences] == ["source: report.py changed"]
    assert [item.text for item in report.outputs] == ["output out is gone"]


def test_a_manifest_that_is_gone_costs_the_names_only(project):
    first, second = project.run(), project.run(parameters={"word": "two"})
    output: OutputDocument = first.steps["train"].outputs["out"]
    project.workspace.store.delete(output.manifest)
    found = diff_runs(project.workspace, first.folder, second.folder)
    assert [item.text for item in steps_of(found)["train"].outputs] == ["output out: its files changed"]


def test_what_differs_can_be_printed_for_machines(project):
    first, second = project.run(), project.run(parameters={"word": "two"})
    found = diff_runs(project.workspace, first.folder, second.folder)
    document = json.loads(write_document(found))
    assert document["schema"] == 1
    assert document["steps"][1]["outputs"][0]["files"][0]["path"] == "out.txt"
    assert msgspec.json.decode(write_document(found), type=type(found)) == found
