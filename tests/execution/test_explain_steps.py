"""Steps explained: before a run, after it, and against any other."""

from __future__ import annotations

import msgspec
import pytest
from project import made, step

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.plans.explain_steps import explain_plan, explain_run, key_document_of
from airflow_ml_pipelines.core.runs.folder import RunFolder, StepDocument
from airflow_ml_pipelines.core.runs.new_run import new_run


def told(steps):
    return {item.step: item.explanation.reasons if item.explanation else item.reasons for item in steps}


def change(project, name, text="# changed\n"):
    path = project.folder / name / f"{name}.py"
    path.write_text(path.read_text() + text)


def test_before_a_run_it_says_what_would_run_and_why(project):
    project.run()
    change(project, "prepare")
    steps = explain_plan(project.workspace, new_run(project.spec, parameters={"word": "two"}))
    assert [(item.step, item.state) for item in steps] == [
        ("prepare", "run"),
        ("train", "depends"),
        ("report", "depends"),
    ]
    why = "input data: step prepare runs before it (source: prepare.py changed)"
    assert told(steps) == {
        "prepare": ("source: prepare.py changed",),
        "train": ("argument 3: one → two", why),
        "report": (why,),
    }


def test_before_a_run_one_step_can_be_asked_for_by_id_or_name(project):
    project.run()
    change(project, "report")
    for name in ("report", "Report"):
        (found,) = explain_plan(project.workspace, new_run(project.spec), name)
        assert (found.step, found.state, found.explanation.reasons) == (
            "report",
            "run",
            ("source: report.py changed",),
        )


def test_what_a_step_does_not_need_is_not_looked_at(project):
    project.run()
    (project.folder / "train" / "train.py").unlink()
    (found,) = explain_plan(project.workspace, new_run(project.spec), "report")
    assert found.state == "reuse"


def test_nothing_is_written(project):
    project.run()
    change(project, "prepare")
    before = {info.path for info in project.workspace.store.walk()}
    explain_plan(project.workspace, new_run(project.spec))
    assert {info.path for info in project.workspace.store.walk()} == before


def test_before_a_run_it_can_be_compared_with_any_run(project):
    first = project.run(parameters={"word": "one"})
    project.run(parameters={"word": "two"})
    change(project, "prepare")
    steps = explain_plan(
        project.workspace, new_run(project.spec, parameters={"word": "two"}), against=first.folder
    )
    why = "input data: step prepare runs before it (source: prepare.py changed)"
    assert told(steps)["train"] == ("argument 3: one → two", why)
    assert {item.explanation.against.run for item in steps} == {first.folder.run}


def test_a_run_that_was_says_what_it_said_then(project):
    project.run()
    project.workspace.datastore().put("in/b.txt", b"more ")
    second = project.run()
    project.run(parameters={"word": "two"})
    steps = explain_run(project.workspace, second.folder)
    why = "input data: out.txt changed (step Prepare: input data: b.txt is new)"
    assert told(steps) == {"prepare": ("input data: b.txt is new",), "train": (why,), "report": (why,)}
    assert {item.state for item in steps} == {"finished"}


def test_a_run_that_was_can_be_compared_with_any_other(project):
    first = project.run()
    project.workspace.datastore().put("in/b.txt", b"more ")
    project.run()
    third = project.run(parameters={"word": "two"})
    steps = explain_run(project.workspace, third.folder, against=first.folder)
    why = "input data: out.txt changed (step Prepare: input data: b.txt is new)"
    assert told(steps) == {
        "prepare": ("input data: b.txt is new",),
        "train": ("argument 3: one → two", why),
        "report": (why,),
    }
    (found,) = explain_run(project.workspace, first.folder, "train", against=third.folder)
    assert found.explanation.reasons[0] == "argument 3: two → one"


def test_a_step_that_failed_is_compared_by_what_it_read(project):
    first = project.run()
    change(project, "report", "raise SystemExit('broken')\n")
    failed = project.run()
    assert failed.status == "Failed"
    (found,) = explain_run(project.workspace, failed.folder, "report", against=first.folder)
    assert (found.state, found.explanation.reasons) == ("failed", ("source: report.py changed",))


def test_a_step_without_reuse_is_compared_by_what_it_read(project):
    spec = msgspec.structs.replace(
        project.spec, steps=tuple(msgspec.structs.replace(s, allow_reuse=False) for s in project.spec.steps)
    )
    first, second = project.run(spec), project.run(spec, parameters={"word": "two"})
    (found,) = explain_run(project.workspace, second.folder, "train", against=first.folder)
    assert found.explanation.reasons == ("argument 3: one → two",)


def test_what_is_not_known_any_more_is_said(project):
    first = project.run()
    change(project, "prepare", "raise SystemExit('broken')\n")
    failed = project.run()
    project.workspace.datastore().put("in/b.txt", b"more ")
    with pytest.raises(WorkspaceError, match="its data has changed since"):
        explain_run(project.workspace, failed.folder, "prepare", against=first.folder)
    project.workspace.datastore().delete("in/a.txt")
    project.workspace.datastore().delete("in/b.txt")
    with pytest.raises(WorkspaceError, match="what it read is not there any more"):
        key_document_of(project.workspace, failed.folder, "prepare")
    steps = {item.step: item for item in explain_run(project.workspace, failed.folder, against=first.folder)}
    assert steps["prepare"].explanation is None
    assert "not there any more" in steps["prepare"].reasons[0]


def test_a_step_that_the_other_run_does_not_have_is_said(project):
    first = project.run()
    more = msgspec.structs.replace(project.spec, steps=(*project.spec.steps, step("more", made("train"))))
    project.script("more", (project.folder / "train" / "train.py").read_text())
    second = project.run(more)
    steps = {item.step: item for item in explain_run(project.workspace, second.folder, against=first.folder)}
    assert "has no step 'more'" in steps["more"].reasons[0]
    with pytest.raises(WorkspaceError, match="has no step 'more'. There are: prepare, report, train"):
        explain_run(project.workspace, second.folder, "more", against=first.folder)


def test_an_unknown_step_is_one_clear_message(project):
    first = project.run()
    with pytest.raises(WorkspaceError, match="there is no step 'trian'. Did you mean 'train'"):
        explain_plan(project.workspace, new_run(project.spec), "trian")
    with pytest.raises(WorkspaceError, match="there is no step 'trian'. Did you mean 'train'"):
        explain_run(project.workspace, first.folder, "trian")


def test_steps_of_one_name_are_told_apart(project):
    steps = tuple(msgspec.structs.replace(s, name="Same") for s in project.spec.steps)
    spec = msgspec.structs.replace(project.spec, steps=steps)
    with pytest.raises(WorkspaceError, match="several steps are named 'Same'"):
        explain_plan(project.workspace, new_run(spec), "Same")


def test_the_run_of_a_hand_written_dag_has_the_steps_that_began(project):
    first = project.run()
    spec = msgspec.structs.replace(project.spec, steps=project.spec.steps[:1])
    run = new_run(spec, run_id="by hand")
    folder = RunFolder(project.workspace.store, run.pipeline, run.run)
    folder.write_run(run)
    for number, name in enumerate(("prepare", "train")):
        document = first.steps[name]
        folder.write_step(msgspec.structs.replace(document, started=float(number), reasons=("by hand",)))
        project.workspace.store.put(f"{folder.attempt_folder(name, 1)}/job.json", b"{}")
    assert list(folder.steps()) == ["prepare", "train"]
    assert folder.status() == "Finished"
    assert told(explain_run(project.workspace, folder))["train"] == ("by hand",)
    (found,) = explain_run(project.workspace, folder, "train", against=first.folder)
    assert found.explanation.differences == ()


def test_a_step_that_has_not_begun_is_told_apart(project):
    first = project.run()
    first.folder.write_step(StepDocument(step="train", status="waiting"))
    found = {item.step: item.state for item in explain_run(project.workspace, first.folder)}
    assert found == {"prepare": "finished", "train": "waiting", "report": "finished"}
