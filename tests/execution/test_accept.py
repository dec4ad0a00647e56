"""Results that are accepted for steps whose keys changed."""

from __future__ import annotations

import msgspec
import pytest

from airflow_ml_pipelines.core import layout
from airflow_ml_pipelines.core.check import check_workspace
from airflow_ml_pipelines.core.errors import (
    DataError,
    NewerDocumentError,
    NotFoundError,
    SnapshotError,
    WorkspaceError,
)
from airflow_ml_pipelines.core.gc import Policy, collect
from airflow_ml_pipelines.core.keeping.tombstones import Tombstone, read_tombstone, write_tombstone
from airflow_ml_pipelines.core.plans.accept import (
    Proposal,
    Refusal,
    accept,
    accepted_steps,
    propose,
    take_back,
)
from airflow_ml_pipelines.core.plans.explain_steps import explain_plan, explain_run
from airflow_ml_pipelines.core.reuse.records import SetAside, find_record
from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.spec import OutputSpec

WHY = {"by": "ada", "reason": "only a remark", "host": "desk"}


def change(project, *names, text="# a remark\n"):
    for name in names:
        path = project.folder / name / f"{name}.py"
        path.write_text(path.read_text() + text)


def offered(project, steps=None, spec=None, **options):
    return propose(project.workspace, new_run(spec or project.spec), steps, **options)


def take(project, steps=None, **options):
    proposals = [item for item in offered(project, steps, **options) if isinstance(item, Proposal)]
    return list(accept(project.workspace, proposals, **WHY))


def refusals(project, steps=None, spec=None, **options):
    return [item.reason for item in offered(project, steps, spec, **options) if isinstance(item, Refusal)]


def reused(outcome) -> set[str]:
    return {name for name, document in outcome.folder.steps().items() if document.status == "reused"}


def consistent(project) -> bool:
    return not list(check_workspace(project.workspace))


@pytest.fixture
def done(project):
    """The pipeline after a run."""
    project.first = project.run().folder
    project.ran()
    return project


# --- what is accepted is reused -----------------------------------------------------------------------------------


def test_an_accepted_result_is_reused_and_so_is_what_depends_on_it(done):
    change(done, "prepare")
    (record,) = take(done, ["prepare"])
    outcome = done.run()
    assert (done.ran(), reused(outcome)) == ([], {"prepare", "train", "report"})
    assert outcome.folder.steps()["prepare"].outputs == record.outputs
    assert consistent(done)


def test_it_is_said_wherever_a_reuse_is_said(done):
    change(done, "train")
    take(done, ["train"])
    text = f"accepted by ada: only a remark (result of run {done.first.run} of pipe)"
    (planned,) = explain_plan(done.workspace, new_run(done.spec), "train")
    assert (planned.state, planned.reasons) == ("reuse", (text,))
    outcome = done.run()
    (told,) = explain_run(done.workspace, outcome.folder, "train")
    assert (told.state, told.reasons) == ("reused", (text,))
    document = outcome.folder.steps()["train"]
    assert (document.accepted.by, document.accepted.host) == ("ada", "desk")
    assert document.accepted.key == done.first.steps()["train"].key != document.key


def test_the_difference_is_known_before(done):
    change(done, "train")
    (item,) = offered(done, ["Train"])
    assert item.explanation.reasons == ("source: train.py changed",)
    assert item.earlier.run == done.first.run


def test_all_steps_can_be_accepted_at_once_also_those_behind_one_another(done):
    change(done, "prepare", "train", "report")
    assert [record.origin.step for record in take(done)] == ["prepare", "train", "report"]
    assert reused(done.run()) == {"prepare", "train", "report"}


def test_the_next_difference_is_one_to_the_accepted_state(done):
    change(done, "train")
    take(done, ["train"])
    (done.folder / "train" / "more.txt").write_text("more")
    (found,) = explain_plan(done.workspace, new_run(done.spec), "train")
    assert found.explanation.reasons == ("source: more.txt is new",)
    assert found.explanation.against.text == f"run {done.first.run} of pipe, as ada accepted it"
    (record,) = take(done, ["train"])
    assert record.accepted.key == layout.record_path(record.accepted.key)[9:-5] != record.key
    assert record.origin.run == done.first.run


def test_the_result_of_a_given_run_can_be_taken(done):
    given = done.run(parameters={"word": "two"}).folder
    change(done, "train")
    (nearest,) = offered(done, ["train"])
    assert nearest.record.origin.run == done.first.run
    (item,) = offered(done, ["train"], against=given)
    assert item.record.origin.run == given.run
    assert item.explanation.reasons == ("source: train.py changed", "argument 3: two → one")


def test_a_run_of_the_step_replaces_what_was_accepted(done):
    change(done, "train")
    (record,) = take(done, ["train"])
    done.run(regenerate_outputs=True)
    assert find_record(done.workspace.store, record.key).accepted is None


# --- what is not --------------------------------------------------------------------------------------------------


def test_a_step_that_is_reused_as_it_is_has_nothing_to_accept(done):
    change(done, "train")
    found = offered(done)
    assert [(item.step, item.reused) for item in found if isinstance(item, Refusal)] == [
        ("prepare", True),
        ("report", True),
    ]


def changed_step(project, name, **fields):
    steps = tuple(
        msgspec.structs.replace(item, **fields) if item.id == name else item for item in project.spec.steps
    )
    return msgspec.structs.replace(project.spec, steps=steps)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"allow_reuse": False}, "allow_reuse is false"),
        ({"outputs": (OutputSpec(name="out"), OutputSpec(name="other"))}, "has the outputs other, out"),
        ({"outputs": (OutputSpec(name="out", path="there"),)}, "is to lie elsewhere"),
        ({"outputs": (OutputSpec(name="out", datastore="workspacefilestore"),)}, "is to lie elsewhere"),
    ],
)
def test_a_result_that_the_step_could_not_give_is_refused(done, fields, text):
    (reason,) = refusals(done, ["train"], changed_step(done, "train", **fields))
    assert text in reason


def test_how_an_output_is_written_may_differ(done):
    spec = changed_step(done, "train", outputs=(OutputSpec(name="out", mode="upload"),))
    (item,) = offered(done, ["train"], spec)
    assert item.explanation.reasons == ("output out: mode mount → upload",)


def test_without_an_earlier_result_there_is_nothing_to_accept(project):
    assert refusals(project, ["prepare"]) == [
        "step 'Prepare' has no earlier result that could be accepted: run it"
    ]


def test_behind_a_step_that_will_run_nothing_can_be_told(done):
    change(done, "prepare", "train")
    (reason,) = refusals(done, ["train"])
    assert "depends on step prepare" in reason
    assert "accept a result for what is before it too" in reason


def test_a_damaged_result_is_refused(done):
    output = done.first.steps()["train"].outputs["out"]
    done.workspace.datastore(output.datastore).put(f"{output.path}/out.txt", b"broken")
    change(done, "train")
    (reason,) = refusals(done, ["train"])
    assert "is damaged: output 'out': out.txt has" in reason


@pytest.mark.parametrize("reuse", [True, False])
def test_a_run_without_the_result_can_not_give_it(done, reuse):
    if reuse:
        done.script("train", "raise SystemExit(1)")
        given, text = done.run().folder, "it is failed"
    else:
        given = done.run(changed_step(done, "train", allow_reuse=False)).folder
        text = "was not recorded"
    change(done, "train")
    (reason,) = refusals(done, ["train"], against=given)
    assert text in reason


def test_a_step_that_is_not_there_is_a_mistake(done):
    with pytest.raises(WorkspaceError, match="there is no step 'trian'. Did you mean 'train'"):
        offered(done, ["trian"])


# --- at the same time ---------------------------------------------------------------------------------------------


def test_what_was_made_meanwhile_is_not_replaced(done):
    change(done, "train")
    proposals = offered(done, ["train"])
    made = done.run().folder
    with pytest.raises(WorkspaceError, match="has a result of its own by now"):
        list(accept(done.workspace, proposals, **WHY))
    assert find_record(done.workspace.store, proposals[0].key).origin.run == made.run


def test_what_was_edited_meanwhile_is_not_accepted(done):
    change(done, "train")
    proposals = offered(done, ["train"])
    change(done, "train", text="# another\n")
    before = {info.path for info in done.workspace.store.walk("reuse")}
    with pytest.raises(SnapshotError, match="has changed since its snapshot was taken"):
        list(accept(done.workspace, proposals, **WHY))
    assert {info.path for info in done.workspace.store.walk("reuse")} == before


def test_a_damaged_record_under_the_key_is_set_aside_first(done):
    change(done, "train")
    proposals = offered(done, ["train"])
    done.workspace.store.put(layout.record_path(proposals[0].key), b"{half")
    (record,) = accept(done.workspace, proposals, **WHY)
    assert find_record(done.workspace.store, record.key) == record
    assert len(list(done.workspace.store.walk(layout.set_aside_folder(record.key)))) == 1


def test_a_record_of_a_newer_version_is_left_alone(done):
    change(done, "train")
    proposals = offered(done, ["train"])
    done.workspace.store.put(layout.record_path(proposals[0].key), b'{"schema": 99}')
    with pytest.raises(NewerDocumentError):
        list(accept(done.workspace, proposals, **WHY))
    assert done.workspace.store.get(layout.record_path(proposals[0].key)) == b'{"schema": 99}'


# --- clean-up -----------------------------------------------------------------------------------------------------


def test_clean_up_keeps_what_only_an_acceptance_names(done):
    store = done.workspace.store
    change(done, "train")
    (record,) = take(done, ["train"])
    store.delete(layout.record_path(record.accepted.key))
    for name in ("plan.json", "steps/train.json"):
        store.delete(f"{done.first.path}/{name}")
    marked = []
    collect(done.workspace, Policy(), delete=True, on_item=marked.append)
    assert not [item for item in marked if item.path == record.folder]
    store.delete(layout.record_path(record.key))
    collect(done.workspace, Policy(), delete=True, on_item=marked.append)
    assert [item.action for item in marked if item.path == record.folder] == ["mark"]


def test_accepting_takes_a_tombstone_back_whose_time_has_not_come(done):
    store = done.workspace.store
    folder = done.first.steps()["train"].folder
    now = store.clock()
    write_tombstone(store, folder, Tombstone(reason="old", placed=now, until=now + 3600))
    change(done, "train")
    take(done, ["train"])
    assert read_tombstone(store, folder) is None


def test_a_result_that_is_being_removed_is_not_accepted(done):
    store = done.workspace.store
    folder = done.first.steps()["train"].folder
    now = store.clock()
    write_tombstone(store, folder, Tombstone(reason="old", placed=now - 100, until=now - 50))
    change(done, "train")
    proposals = offered(done, ["train"])
    with pytest.raises(DataError, match="is being removed"):
        list(accept(done.workspace, proposals, **WHY))
    with pytest.raises(NotFoundError):
        store.get(layout.record_path(proposals[0].key))


# --- taking it back -----------------------------------------------------------------------------------------------


def test_what_was_accepted_can_be_taken_back(done):
    change(done, "prepare", "train")
    take(done)
    found = accepted_steps(done.workspace, new_run(done.spec))
    assert [name for name, _ in found] == ["prepare", "train"]
    store = done.workspace.store
    kept = [take_back(done.workspace, record, by="bob", reason="it was not") for _, record in found]
    document = msgspec.json.decode(store.get(kept[0]), type=SetAside)
    assert document.problems == ("accepted by ada: only a remark; taken back by bob: it was not",)
    assert consistent(done)
    done.run()
    assert done.ran() == ["prepare", "train"]


def test_only_what_was_accepted_can_be_taken_back(done):
    with pytest.raises(
        WorkspaceError, match="takes no accepted result, so there is none to take back: same key"
    ):
        accepted_steps(done.workspace, new_run(done.spec), ["train"])
    assert accepted_steps(done.workspace, new_run(done.spec)) == ()


# --- the checker --------------------------------------------------------------------------------------------------


def test_the_checker_compares_an_accepted_result_with_the_one_that_was_made(done):
    change(done, "train")
    (record,) = take(done, ["train"])
    other = find_record(done.workspace.store, done.first.steps()["prepare"].key)
    wrong = msgspec.structs.replace(record, outputs=other.outputs)
    done.workspace.store.put(
        layout.record_path(record.key), msgspec.json.encode({"schema": 1, **msgspec.to_builtins(wrong)})
    )
    (finding,) = check_workspace(done.workspace)
    assert (finding.level, finding.text) == ("broken", "its accepted result is not what its attempt made")
