"""Explains the steps of a run that was, or of one that is to be: against the nearest earlier result, or a given run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from airflow_ml_pipelines.core.errors import DocumentError, MlPipelinesError, WorkspaceError, did_you_mean
from airflow_ml_pipelines.core.keys.diff_keys import Files
from airflow_ml_pipelines.core.keys.differences import Cause, Earlier, Explanation
from airflow_ml_pipelines.core.keys.key import digest_key
from airflow_ml_pipelines.core.plans.plan import Planner
from airflow_ml_pipelines.core.reuse.explain import causes_of, explain_against
from airflow_ml_pipelines.core.reuse.records import find_record
from airflow_ml_pipelines.core.runs.folder import Decision, RunDocument, RunFolder, StepStatus
from airflow_ml_pipelines.core.spec import PipelineSpec, StepSpec
from airflow_ml_pipelines.core.steps.decide import open_step
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["ExplainedStep", "explain_plan", "explain_run", "find_step", "key_document_of", "with_upstream"]


class ExplainedStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a step, or would, and why.

    :param state: what a plan decides, or how the step went.
    :param reasons: why, in words.
    :param explanation: the difference to an earlier result; None where there is none to compare with, and for a step
        that is reused and was not compared with a given run.
    """

    step: str
    name: str
    state: Decision | StepStatus
    reasons: tuple[str, ...] = ()
    explanation: Explanation | None = None


def explain_plan(
    workspace: Workspace,
    run: RunDocument,
    step: str | None = None,
    *,
    against: RunFolder | None = None,
) -> tuple[ExplainedStep, ...]:
    """Return what a run would do with each step, or with one, and why. Nothing is written.

    :param step: the id or the name of the one.
    :param against: what to compare with; None for the nearest earlier result of each step.
    :raises MlPipelinesError: where the run could not begin, or there is nothing to compare the one step with.
    """
    spec = run.spec
    wanted = None if step is None else find_step({item.id: item.name for item in spec.steps}, step)
    planner = Planner(workspace, run, dry=True)
    found: dict[str, ExplainedStep] = {}
    for item in with_upstream(spec, None if wanted is None else [wanted]):
        plan = planner.plan(item)
        explained = ExplainedStep(
            step=item.id,
            name=item.name,
            state=plan.decision,
            reasons=plan.reasons,
            explanation=plan.explanation,
        )
        if against is not None:
            context = planner.open(item, plan, planner.sources.snapshot(item))
            read = partial(getattr, context, "document")
            explained = _against(workspace, against, explained, read, context.files, strict=item.id == wanted)
            if explained.explanation is not None:
                planner.tell(item.id, explained.explanation)
        found[item.id] = explained
    return tuple(item for item in found.values() if wanted in (None, item.step))


def explain_run(
    workspace: Workspace, folder: RunFolder, step: str | None = None, *, against: RunFolder | None = None
) -> tuple[ExplainedStep, ...]:
    """Return what became of each step of a run, or of one, and why.

    :param step: the id or the name of the one.
    :param against: what to compare with; None for what the step was compared with when it ran.
    :raises WorkspaceError: where there is no such step, or nothing to compare it with.
    """
    spec, documents = folder.read_run().spec, folder.steps()
    specs = {item.id: item for item in spec.steps}  # of a hand-written DAG, it has one step alone
    names = {name: specs[name].name if name in specs else name for name in documents}
    wanted = None if step is None else find_step(names, step)
    needed = (
        {item.id for item in with_upstream(spec, None if wanted is None else [wanted])}
        if wanted in specs
        else {wanted}
    )
    found: dict[str, ExplainedStep] = {}
    for name, document in documents.items():
        if wanted is not None and name not in needed:
            continue
        explained = ExplainedStep(
            step=name,
            name=names[name],
            state=document.status,
            reasons=document.reasons,
            explanation=document.explanation,
        )
        if against is not None:
            causes = causes_of(spec, specs[name], found) if name in specs else _no_causes
            files = Files(workspace.store, causes=causes)
            read = partial(_key_document, workspace, folder, name)
            explained = _against(workspace, against, explained, read, files, strict=name == wanted)
        found[name] = explained
    return tuple(item for item in found.values() if wanted in (None, item.step))


def _against(
    workspace: Workspace,
    against: RunFolder,
    explained: ExplainedStep,
    read_new: Callable[[], dict[str, Any]],
    files: Files,
    *,
    strict: bool,
) -> ExplainedStep:
    """Return a step compared with that of a given run.

    :param strict: whether it is an error where that can't be done, and not only said.
    """
    try:
        earlier, old = key_document_of(workspace, against, explained.step)
        explanation = explain_against(earlier, old, read_new(), files)
    except MlPipelinesError as error:
        if strict:
            raise
        return msgspec.structs.replace(explained, reasons=(str(error),), explanation=None)
    return msgspec.structs.replace(explained, explanation=explanation)


def key_document_of(workspace: Workspace, folder: RunFolder, step: str) -> tuple[Earlier, dict[str, Any]]:
    """Return the key document that a step of a run had.

    It is that of its record; where nothing was recorded (the step failed, or is never reused) it is made again, if the
    data is still as it was.

    :raises WorkspaceError: where the run has no such step, or what it read is not known any more.
    """
    run = folder.read_run()
    document = folder.steps().get(step)
    if document is None:
        raise WorkspaceError(
            f"run {run.run!r} of {run.pipeline} has no step {step!r}."
            + did_you_mean(step, [item.id for item in run.spec.steps])
        )
    earlier = Earlier(pipeline=run.pipeline, run=run.run, step=step, started=document.started or run.started)
    if document.key is not None:
        try:
            record = find_record(workspace.store, document.key)
        except DocumentError:
            record = None
        if record is not None:
            return earlier, record.document
    try:
        made = open_step(workspace, folder, step).document
    except (MlPipelinesError, KeyError) as error:
        raise WorkspaceError(
            f"step {step!r} of run {run.run!r} can't be compared: nothing was recorded ({document.status}), and what "
            f"it read is not there any more: {error}"
        ) from None
    if document.key is not None and digest_key(made) != document.key:
        raise WorkspaceError(
            f"step {step!r} of run {run.run!r} can't be compared: nothing was recorded ({document.status}), and its "
            "data has changed since"
        )
    return earlier, made


def _key_document(workspace: Workspace, folder: RunFolder, step: str) -> dict[str, Any]:
    return key_document_of(workspace, folder, step)[1]


def find_step(names: Mapping[str, str], text: str) -> str:
    """Return the id of a step by its id or its name.

    :param names: of the steps, by their ids.
    :raises WorkspaceError: where there is none, or several have the name.
    """
    found = [text] if text in names else [step for step, name in names.items() if name == text]
    if len(found) == 1:
        return found[0]
    if found:
        raise WorkspaceError(f"several steps are named {text!r}: give the id of one, {', '.join(found)}")
    raise WorkspaceError(f"there is no step {text!r}.{did_you_mean(text, names)}")


def with_upstream(spec: PipelineSpec, steps: Iterable[str] | None) -> list[StepSpec]:
    """Return steps, by their ids, each after all that it needs; all steps for None."""
    if steps is None:
        return list(spec.steps)
    seen = set(steps)
    for item in reversed(spec.steps):  # each comes after those that it needs
        if item.id in seen:
            seen.update(item.upstream)
    return [item for item in spec.steps if item.id in seen]


def _no_causes(_: str) -> tuple[str, tuple[Cause, ...]]:
    return "", ()
