"""Accepts an earlier result for a step whose key changed, on the word of somebody who knows that it is the same.

The new key gets a record of its own, with the key document as it is now, the result as it was made, and whose word it
is. Everything else goes on as with any record: its files are verified at every use, clean-up keeps them, and a step that
runs under that key after all replaces it. A record that is there already is never replaced by somebody's word.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from airflow_ml_pipelines.core.documents import read_document
from airflow_ml_pipelines.core.errors import (
    DataError,
    DocumentError,
    MlPipelinesError,
    NewerDocumentError,
    NotFoundError,
    WorkspaceError,
)
from airflow_ml_pipelines.core.keeping.tombstones import claim
from airflow_ml_pipelines.core.keys.differences import Earlier, Explanation
from airflow_ml_pipelines.core.plans.explain_steps import find_step, with_upstream
from airflow_ml_pipelines.core.plans.plan import Planner
from airflow_ml_pipelines.core.reuse.explain import earlier_of, explain_against, nearest_record
from airflow_ml_pipelines.core.reuse.history import add_key
from airflow_ml_pipelines.core.reuse.records import (
    SCHEMA,
    Record,
    create_record,
    find_record,
    forget_record,
    set_aside,
)
from airflow_ml_pipelines.core.reuse.verify import verify_record
from airflow_ml_pipelines.core.runs.folder import Acceptance, RunDocument, RunFolder, StepPlan
from airflow_ml_pipelines.core.steps.decide import StepContext
from airflow_ml_pipelines.core.steps.inputs import keep_input_manifests
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["Proposal", "Refusal", "accept", "accepted_steps", "propose", "take_back"]

_PLACES = ("destination", "datastore")


@dataclass(frozen=True)
class Proposal:
    """An earlier result that could be accepted for a step.

    :param record: what has the result.
    :param explanation: in what the step differs from the one that made it.
    """

    context: StepContext
    record: Record
    earlier: Earlier
    explanation: Explanation

    @property
    def key(self) -> str:
        """The key that gets the result."""
        key = self.context.key
        assert key is not None
        return key


@dataclass(frozen=True)
class Refusal:
    """Why nothing can be accepted for a step.

    :param reused: whether that is because the step is reused as it is.
    """

    step: str
    name: str
    reason: str
    reused: bool = False


def propose(
    workspace: Workspace,
    run: RunDocument,
    steps: Collection[str] | None = None,
    *,
    against: RunFolder | None = None,
) -> tuple[Proposal | Refusal, ...]:
    """Return what could be accepted, in the order of the steps; each as if what is before it were. Nothing is written.

    :param run: a new run of the pipeline, whose keys are meant.
    :param steps: their ids or names; None for all.
    :param against: the run whose results are meant; None for the nearest earlier one of each step.
    :raises MlPipelinesError: where the run could not begin.
    """
    names = {item.id: item.name for item in run.spec.steps}
    wanted = None if steps is None else {find_step(names, step) for step in steps}
    planner = Planner(workspace, run, dry=True)
    found: list[Proposal | Refusal] = []
    for step in with_upstream(run.spec, wanted):
        plan = planner.plan(step)
        if wanted is not None and step.id not in wanted:
            continue
        context = planner.open(step, plan, planner.sources.snapshot(step))
        try:
            proposal = _propose(context, plan, against)
        except MlPipelinesError as error:
            found.append(Refusal(step.id, step.name, str(error), reused=plan.decision == "reuse"))
        else:
            found.append(proposal)
            planner.take(context, proposal.record)
    return tuple(found)


def accept(
    workspace: Workspace, proposals: Collection[Proposal], *, by: str, reason: str, host: str = ""
) -> Iterator[Record]:
    """Accept what was proposed, one after the other; yield each new record once it counts.

    :param by: who says so.
    :param reason: why the result is the same.
    :raises SnapshotError: where a source directory has changed since.
    :raises WorkspaceError: where a step with the same key has made a result since.
    :raises DataError: where the result is being removed.
    """
    for item in proposals:
        yield _accept(workspace, item, Acceptance(by=by, reason=reason, when=time.time(), key="", host=host))


def accepted_steps(
    workspace: Workspace, run: RunDocument, steps: Collection[str] | None = None
) -> tuple[tuple[str, Record], ...]:
    """Return the ids of steps for which a result is accepted that a run would take, and their records.

    :param steps: their ids or names; None for all.
    :raises WorkspaceError: where none is accepted for a step that is named.
    """
    names = {item.id: item.name for item in run.spec.steps}
    wanted = None if steps is None else {find_step(names, step) for step in steps}
    planner = Planner(workspace, run, dry=True)
    found = []
    for step in with_upstream(run.spec, wanted):
        plan = planner.plan(step)
        if wanted is not None and step.id not in wanted:
            continue
        if plan.accepted is not None and plan.key is not None:
            record = find_record(workspace.store, plan.key)
            if record is not None:
                found.append((step.id, record))
        elif wanted is not None:
            raise WorkspaceError(
                f"step {step.name!r} takes no accepted result, so there is none to take back: "
                f"{'; '.join(plan.reasons)}"
            )
    return tuple(found)


def take_back(workspace: Workspace, record: Record, *, by: str, reason: str = "") -> str:
    """Let an accepted result count no more; return where it is kept with what was said."""
    accepted = record.accepted
    assert accepted is not None
    said = f"{accepted.text}; taken back by {by}" + (f": {reason}" if reason else "")
    return set_aside(workspace.store, record.key, (said,))


def _propose(context: StepContext, plan: StepPlan, against: RunFolder | None) -> Proposal:
    """Return the result that could be accepted. :raises MlPipelinesError: that says why there is none."""
    name = context.step.name
    if plan.decision == "reuse":
        raise WorkspaceError(f"step {name!r} is reused as it is: {'; '.join(plan.reasons)}")
    if not context.step.allow_reuse:
        raise WorkspaceError(f"step {name!r} always runs: allow_reuse is false")
    if plan.decision == "depends":
        raise WorkspaceError(
            f"step {name!r} can't be told yet: {'; '.join(plan.reasons)}; accept a result for what is before it too, "
            "or run that first"
        )
    if context.key is None:
        raise WorkspaceError(f"step {name!r} has no key: {'; '.join(context.unknown)}")
    record = _nearest(context) if against is None else _record_of(context, against)
    _check_outputs(name, record, context.document)
    if problems := verify_record(context.workspace, record):
        origin = record.origin
        raise DataError(
            f"the result of run {origin.run} of {origin.pipeline} for step {name!r} is damaged: {'; '.join(problems)}"
        )
    earlier = earlier_of(record)
    explanation = explain_against(earlier, record.document, context.document, context.files)
    return Proposal(context, record, earlier, explanation)


def _nearest(context: StepContext) -> Record:
    store, step = context.workspace.store, context.step
    record = nearest_record(store, context.run.spec.family, step.id, context.document)
    if record is None:
        raise WorkspaceError(f"step {step.name!r} has no earlier result that could be accepted: run it")
    return record


def _record_of(context: StepContext, against: RunFolder) -> Record:
    """Return the record of the result that a step had in a run."""
    step = context.step
    document = against.steps().get(step.id)
    if document is None or not document.ended_well:
        status = "it is not there" if document is None else f"it is {document.status}"
        raise WorkspaceError(f"step {step.name!r} has no result in run {against.run!r}: {status}")
    path = f"{document.folder}/record.json"
    try:
        return read_document(context.workspace.store.get(path), Record, what=f"record {path}", schema=SCHEMA)
    except NotFoundError:
        why = "; ".join(document.reasons)
        raise WorkspaceError(
            f"the result of step {step.name!r} in run {against.run!r} was not recorded, so it can't be accepted ({why})"
        ) from None


def _check_outputs(name: str, record: Record, document: Mapping[str, Any]) -> None:
    """Refuse a result that the steps behind would not find where they look for it."""
    old, new = record.document.get("outputs", {}), document["outputs"]
    if record.outputs.keys() != new.keys():
        raise WorkspaceError(
            f"step {name!r} has the outputs {', '.join(sorted(new)) or 'none'}, and the result of run "
            f"{record.origin.run} has {', '.join(sorted(record.outputs)) or 'none'}: run the step"
        )
    moved = [
        output
        for output, spec in sorted(new.items())
        if any(old.get(output, {}).get(place) != msgspec.to_builtins(spec.get(place)) for place in _PLACES)
    ]
    if moved:
        raise WorkspaceError(
            f"output {', '.join(moved)} of step {name!r} is to lie elsewhere than in run {record.origin.run}: "
            "run the step, so that it puts it there"
        )


def _accept(workspace: Workspace, proposal: Proposal, acceptance: Acceptance) -> Record:
    store, context, key = workspace.store, proposal.context, proposal.key
    if context.snapshot is not None:  # a later difference is to name files
        context.snapshot.publish(store)
    keep_input_manifests(store, context.inputs)
    record = msgspec.structs.replace(
        proposal.record,
        key=key,
        document=context.document,
        accepted=msgspec.structs.replace(acceptance, key=proposal.record.key),
    )
    _make_room(workspace, context, key)
    if not create_record(store, record):
        raise WorkspaceError(
            f"step {context.step.name!r} has a result of its own by now: nothing is accepted for it"
        )
    if claim(store, {record.folder}):  # after the record is there, so that clean-up sees one or the other
        forget_record(store, key, record.folder)
        raise DataError(
            f"the result of run {record.origin.run} for step {context.step.name!r} is being removed by "
            "`ml-pipelines gc`: run the step"
        )
    add_key(store, context.run.spec.family, context.step.id, key)
    return record


def _make_room(workspace: Workspace, context: StepContext, key: str) -> None:
    """Set a record aside that no step would take: it is damaged, or can't be read."""
    try:
        record = find_record(workspace.store, key)
    except NewerDocumentError:
        raise
    except DocumentError as error:
        set_aside(workspace.store, key, (str(error),))
        return
    if record is not None and (problems := verify_record(context.workspace, record)):
        set_aside(workspace.store, key, problems)
