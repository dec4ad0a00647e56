"""Compares two runs: what they were started with, how each step went, and what came out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from airflow_ml_pipelines.core.errors import MlPipelinesError, NotFoundError
from airflow_ml_pipelines.core.keys.diff_files import diff_files
from airflow_ml_pipelines.core.keys.diff_keys import diff_values
from airflow_ml_pipelines.core.keys.differences import Difference, FilesChange, ValueChange
from airflow_ml_pipelines.core.metrics import read_events, read_metrics
from airflow_ml_pipelines.core.plans.explain_steps import ExplainedStep, explain_run
from airflow_ml_pipelines.core.runs.folder import (
    OutputDocument,
    RunFolder,
    RunStatus,
    StepDocument,
    StepStatus,
)
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["RunSide", "RunsDiff", "StepDiff", "StepSide", "diff_runs"]

SCHEMA = 1


class _Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class RunSide(_Document, frozen=True, kw_only=True):
    """One of two runs.

    :param git: the repository, branch and commit that it was started from, as far as they are known.
    """

    pipeline: str
    run: str
    status: RunStatus
    started: float
    git: dict[str, str] = {}


class StepSide(_Document, frozen=True, kw_only=True):
    """How a step went in one of two runs.

    :param seconds: how long it took; None for one that is reused or has not ended.
    :param run: the run that it is reused from.
    """

    status: StepStatus
    seconds: float | None = None
    key: str | None = None
    run: str = ""


class StepDiff(_Document, frozen=True, kw_only=True):
    """A step in two runs.

    :param old: None where the first run has no such step; ``new`` likewise.
    :param differences: of the key documents.
    :param unknown: why these can't be compared, "" where they were.
    :param outputs: in which files each output differs; what a run lacks is a ``value``.
    :param metrics: those that differ.
    """

    step: str
    name: str
    old: StepSide | None = None
    new: StepSide | None = None
    differences: tuple[Difference, ...] = ()
    unknown: str = ""
    outputs: tuple[Difference, ...] = ()
    metrics: tuple[ValueChange, ...] = ()


class RunsDiff(_Document, frozen=True, kw_only=True):
    """In what two runs differ.

    :param parameters: those that differ, of the runs and not of their steps.
    :param steps: every step of both.
    """

    schema: int = SCHEMA
    old: RunSide
    new: RunSide
    parameters: tuple[ValueChange, ...] = ()
    git: tuple[ValueChange, ...] = ()
    steps: tuple[StepDiff, ...] = ()


def diff_runs(workspace: Workspace, old: RunFolder, new: RunFolder) -> RunsDiff:
    """Return in what two runs differ.

    :raises MlPipelinesError: where the document of a run can't be read.
    """
    before, after = old.read_run(), new.read_run()
    explained = {item.step: item for item in explain_run(workspace, new, against=old)}
    names = {item.id: item.name for run in (before, after) for item in run.spec.steps}
    steps_before, steps_after = old.steps(), new.steps()
    return RunsDiff(
        old=_run_side(old, before.started, before.git),
        new=_run_side(new, after.started, after.git),
        parameters=tuple(diff_values("parameters", before.parameters, after.parameters)),
        git=tuple(diff_values("git", before.git, after.git)),
        steps=tuple(
            _step(
                workspace,
                name,
                names.get(name, name),
                steps_before.get(name),
                steps_after.get(name),
                explained,
            )
            for name in dict.fromkeys((*steps_after, *steps_before))
        ),
    )


def _run_side(folder: RunFolder, started: float, git: Mapping[str, str]) -> RunSide:
    return RunSide(
        pipeline=folder.pipeline, run=folder.run, status=folder.status(), started=started, git=dict(git)
    )


def _step(
    workspace: Workspace,
    step: str,
    name: str,
    old: StepDocument | None,
    new: StepDocument | None,
    explained: Mapping[str, ExplainedStep],
) -> StepDiff:
    if old is None or new is None:
        return StepDiff(step=step, name=name, old=_side(old), new=_side(new))
    explanation, same = explained[step].explanation, old.key is not None and old.key == new.key
    return StepDiff(
        step=step,
        name=name,
        old=_side(old),
        new=_side(new),
        differences=explanation.differences if explanation and not same else (),
        unknown="" if explanation or same else "; ".join(explained[step].reasons),
        outputs=tuple(_outputs(workspace, old.outputs, new.outputs)),
        metrics=tuple(diff_values("metrics", _metrics(workspace, old), _metrics(workspace, new))),
    )


def _side(document: StepDocument | None) -> StepSide | None:
    if document is None:
        return None
    origin = document.reused_from
    return StepSide(
        status=document.status,
        seconds=document.seconds,
        key=document.key,
        run="" if origin is None else f"{origin.pipeline}/{origin.run}",
    )


def _outputs(
    workspace: Workspace, old: Mapping[str, OutputDocument], new: Mapping[str, OutputDocument]
) -> Iterable[Difference]:
    for name in sorted({*old, *new}):
        if name not in new:
            yield ValueChange(field="outputs", name=name, old=old[name].digest)
        elif name not in old:
            yield ValueChange(field="outputs", name=name, new=new[name].digest)
        elif old[name].digest != new[name].digest:
            change = FilesChange(field="outputs", name=name)
            with suppress(MlPipelinesError):  # a manifest that is gone says no names
                found = diff_files(*(workspace.store.get(side[name].manifest) for side in (old, new)))
                change = msgspec.structs.replace(change, **found._asdict())
            yield change


def _metrics(workspace: Workspace, document: StepDocument) -> dict[str, Any]:
    if not document.folder:
        return {}
    try:
        return read_metrics(read_events(workspace.store.get(f"{document.folder}/metrics.jsonl")))
    except NotFoundError:
        return {}
