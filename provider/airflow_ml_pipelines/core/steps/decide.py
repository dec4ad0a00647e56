"""Decides, for one step of a run whose inputs are there, whether it takes an earlier result, runs, or waits."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from airflow_ml_pipelines.core.errors import DataError, DocumentError, StoreError
from airflow_ml_pipelines.core.keeping.tombstones import claim
from airflow_ml_pipelines.core.keys.diff_keys import Files
from airflow_ml_pipelines.core.keys.differences import Explanation
from airflow_ml_pipelines.core.keys.key import digest_key, environment_document, key_document
from airflow_ml_pipelines.core.reuse.explain import Miss, causes_of, explain_miss
from airflow_ml_pipelines.core.reuse.history import add_new_key
from airflow_ml_pipelines.core.reuse.lease import Lease, LeaseDocument, acquire_lease
from airflow_ml_pipelines.core.reuse.records import Record, find_record, forget_record, set_aside
from airflow_ml_pipelines.core.reuse.verify import verify_record
from airflow_ml_pipelines.core.runs.folder import RunDocument, RunFolder, StepDocument, StepPlan
from airflow_ml_pipelines.core.spec import StepOutput, StepSpec
from airflow_ml_pipelines.core.steps.inputs import ResolvedInput, resolve_inputs, resolve_step
from airflow_ml_pipelines.core.steps.register import register_outputs
from airflow_ml_pipelines.core.steps.snapshot import NoSnapshot, Snapshot, StoredSnapshot
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = [
    "Go",
    "Hit",
    "Outcome",
    "StepContext",
    "Wait",
    "claim_results",
    "decide",
    "look_up",
    "open_step",
    "reused_step",
]


@dataclass(frozen=True)
class StepContext:
    """A step of a run, with what the plan found out about it.

    :param upstream: how the steps went that it reads from; None to look them up in the run's folder.
    :param snapshot: where it was just taken.
    :param secrets: the names of variables of its environment whose values are known to be secret.
    """

    workspace: Workspace
    folder: RunFolder
    run: RunDocument
    step: StepSpec
    plan: StepPlan
    upstream: Mapping[str, StepDocument] | None = None
    snapshot: Snapshot | StoredSnapshot | NoSnapshot | None = None
    secrets: tuple[str, ...] = ()

    @cached_property
    def before(self) -> Mapping[str, StepDocument]:
        """How the steps went that it reads from. :raises DataError: where one has no outputs."""
        if self.upstream is not None:
            return self.upstream
        sources = {item.source.step for item in self.step.inputs if isinstance(item.source, StepOutput)}
        return {step: resolve_step(self.folder, step) for step in sources}

    @cached_property
    def inputs(self) -> dict[str, ResolvedInput]:
        """The step's inputs. :raises DataError: where one has no data."""
        return resolve_inputs(self.run.spec, self.step, self.workspace, self.plan.data, self.before)

    @cached_property
    def document(self) -> dict[str, Any]:
        """The step's key document."""
        return key_document(
            self.step,
            source=self.plan.snapshot,
            hash_paths=self.plan.hash_paths,
            values=self.run.parameters,
            environment=environment_document(self.plan.environment, "{}.{}".format(*sys.version_info)),
            fingerprints={name: item.fingerprint for name, item in self.inputs.items()},
            formats={name: (item.data.form, item.tabular) for name, item in self.inputs.items()},
            code=self.plan.code,
        )

    @cached_property
    def key(self) -> str | None:
        """The step's key, None where a part of it can't be computed (:attr:`unknown` says which)."""
        return None if self.unknown else digest_key(self.document)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Which parts of the key can't be computed, and why."""
        elsewhere = tuple(
            f"{name} can't be told from another" for name, digest in self.plan.code.items() if not digest
        )
        inputs = tuple(
            f"input {name!r} can't be told from another: {item.fingerprint.get('reason', 'its store gives no version')}"
            for name, item in self.inputs.items()
            if item.fingerprint.get("kind") == "unknown"
        )
        image = (self.plan.image_unknown,) if self.plan.image_unknown else ()
        return *image, *elsewhere, *inputs

    @property
    def owner(self) -> str:
        """What the step's lease is held as."""
        return f"{self.run.pipeline}/{self.run.run}/{self.step.id}"

    @property
    def files(self) -> Files:
        """What is known of the files of its inputs and its source."""
        manifests = {
            str(item.fingerprint.get("digest")): item.read_stored
            for item in self.inputs.values()
            if item.read_stored is not None
        }
        if isinstance(self.snapshot, Snapshot):
            manifests[self.snapshot.digest] = self.snapshot.encode
        return Files(self.workspace.store, manifests, causes_of(self.run.spec, self.step, self.before))

    def again(self) -> StepContext:
        """Return the same step with its inputs to be looked at afresh."""
        return replace(self)


@dataclass(frozen=True)
class Hit:
    """An earlier result is taken, and that is written into the run's folder."""

    record: Record
    document: StepDocument


@dataclass(frozen=True)
class Go:
    """The step runs.

    :param reasons: why.
    :param lease: held while it runs; None where nobody is to wait for it.
    :param explanation: the difference to an earlier result, where that is why.
    """

    reasons: tuple[str, ...]
    lease: Lease | None = None
    explanation: Explanation | None = None


@dataclass(frozen=True)
class Wait:
    """Another is making the result at this moment."""

    key: str
    holder: LeaseDocument


Outcome = Hit | Go | Wait


def open_step(workspace: Workspace, folder: RunFolder, step: str) -> StepContext:
    """Return a step of a planned run.

    :raises NotFoundError: where the run has not begun.
    :raises KeyError: where its plan has no such step.
    """
    run = folder.read_run()
    plan = folder.read_plan()
    if plan is None:
        raise KeyError(step)
    return StepContext(workspace, folder, run, run.spec.step(step), plan.step(step))


def decide(context: StepContext, *, forced: str | None = None) -> Outcome:
    """Decide what becomes of a step. An earlier result is taken at once, so that nobody removes it meanwhile.

    :param forced: a reason for which it runs in any case.
    :raises DataError: where an input has no data, or the run itself is being removed.
    """
    if forced is not None:
        return Go((forced,))
    if context.run.regenerate_outputs:
        return Go(("regenerate_outputs is true",))
    if not context.step.allow_reuse:
        return Go(("allow_reuse is false",))
    if context.key is None:
        return Go(context.unknown)
    while True:
        outcome = _reuse_or_take_lease(context, context.key)
        if not isinstance(outcome, Record):
            return outcome
        document = reused_step(context, outcome)
        context.folder.write_step(document)
        if claim_results(context.folder, {document.folder}):
            forget_record(context.workspace.store, outcome.key, outcome.folder)
            continue
        register_outputs(context.workspace, context.step, document.outputs, document.reused_from)
        return Hit(outcome, document)


def claim_results(folder: RunFolder, folders: set[str]) -> frozenset[str]:
    """Say that a run uses attempts' results; return those that are being removed.

    :param folder: of the run, which has a document that names them.
    :param folders: of the attempts.

    :raises DataError: where the run itself is being removed.
    """
    lost = claim(folder.store, {*folders, folder.path})
    if folder.path in lost:
        raise DataError(
            f"run {folder.run!r} of {folder.pipeline!r} is being removed, since it was not used for long: "
            "start a new one"
        )
    return lost


def _reuse_or_take_lease(context: StepContext, key: str) -> Record | Go | Wait:
    # the plan has set a damaged record aside, or named the difference
    known = context.plan.decision == "run" and context.plan.key == key
    found = look_up(context, explain=not known)
    if isinstance(found, Record):
        return found
    reasons, explanation = (context.plan.reasons, context.plan.explanation) if known else found
    lease = acquire_lease(context.workspace.store, key, context.owner, context.workspace.lease_seconds)
    if not isinstance(lease, Lease):
        return Wait(key, lease)
    found = look_up(context, explain=False)  # made between the first look and the lease
    if isinstance(found, Record):
        lease.release()
        return found
    return Go(reasons, lease, explanation)


def look_up(context: StepContext, *, dry: bool = False, explain: bool = True) -> Record | Miss:
    """Return the whole record of a step's key, or why there is none.

    :param dry: leave a damaged record where it is.
    :param explain: whether it is to be said in what the key differs from earlier ones.
    """
    store, key = context.workspace.store, context.key
    run, step = context.run, context.step
    assert key is not None
    try:
        record = find_record(store, key)
    except DocumentError as error:
        return Miss((str(error),))
    if record is None:
        if not explain:
            return Miss(())
        return explain_miss(store, run.spec.family, step.id, context.document, context.files)
    problems = verify_record(context.workspace, record)
    if not problems:
        if not dry and (record.origin.pipeline, record.origin.step) != (run.spec.family, step.id):
            with suppress(StoreError):  # it only serves explanations
                add_new_key(store, run.spec.family, step.id, key)
        return record
    if not dry:
        kept = set_aside(store, key, problems)
        problems = (*problems, f"the damaged record is set aside as {kept}")
    return Miss(tuple(f"result of run {record.origin.run}: {problem}" for problem in problems))


def reused_step(context: StepContext, record: Record) -> StepDocument:
    """Return how a step went that takes an earlier result."""
    origin = f"run {record.origin.run} of {record.origin.pipeline}"
    accepted = record.accepted
    reason = f"same key as in {origin}" if accepted is None else f"{accepted.text} (result of {origin})"
    return StepDocument(
        step=context.step.id,
        status="reused",
        reasons=(reason,),
        key=record.key,
        folder=record.folder,
        outputs=record.outputs,
        reused_from=record.origin,
        accepted=accepted,
        saved=record.seconds,
    )
