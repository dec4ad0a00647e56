"""What the index knows of one run, read from its documents."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_ml_pipelines.core.errors import DocumentError, NotFoundError
from airflow_ml_pipelines.core.layout import segment
from airflow_ml_pipelines.core.metrics import read_events, read_metrics, read_tags
from airflow_ml_pipelines.core.runs.folder import (
    ResultDocument,
    RunDocument,
    RunFolder,
    RunStatus,
    StepDocument,
    status_of,
)
from airflow_ml_pipelines.core.runs.place import read_place
from airflow_ml_pipelines.core.spec import RegisteredDataset
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["ENDED", "Entry", "Fact", "Logged", "Use", "logged_by", "read_entry", "read_logged"]

ENDED: tuple[RunStatus, ...] = ("Finished", "Failed", "Canceled")

Fact = tuple[str, str, str, float | None]
"""A kind (``parameter``, ``tag``, ``metric``), a name, the value as text, and as a number where it is one."""

_LONGEST = 500
_MOST = 200


@dataclass(frozen=True)
class Logged:
    """What the script of an attempt logged that is a number, and the tags of the run that it set.

    :param metrics: the last value of each.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Use:
    """A dataset that a step reads or makes.

    :param version: None for the latest when the run began.
    """

    step: str
    direction: str
    dataset: str
    version: int | None


@dataclass(frozen=True)
class Entry:
    """A run as the index has it."""

    place: str
    document: RunDocument
    dag_id: str
    dag_run: str
    status: RunStatus
    finished: float | None
    steps: Mapping[str, StepDocument]
    facts: tuple[Fact, ...]
    uses: tuple[Use, ...]

    @property
    def saved(self) -> float:
        """How many seconds reuse saved."""
        return sum(step.saved for step in self.steps.values())

    @property
    def worked(self) -> float:
        """How many seconds the steps took that ran, together."""
        return sum(step.seconds or 0.0 for step in self.steps.values())

    def count(self, *states: str) -> int:
        """Return how many steps are in one of these states."""
        return sum(step.status in states for step in self.steps.values())


def read_entry(
    store: Store, pipeline: str, run: str, logged: Callable[[str, StepDocument], Logged]
) -> Entry | None:
    """Return what the index is to know of a run; None where it has gone or can't be read.

    :param pipeline: the name of the pipeline's folder; ``run`` likewise.
    :param logged: gives what the script logged in an attempt's folder.
    """
    opened = RunFolder(store, pipeline, run)
    try:
        document = opened.read_run()
        folder = RunFolder(store, document.pipeline, document.run)
        steps = folder.steps()
        result = folder.read_result()
    except (NotFoundError, DocumentError):
        return None
    place = read_place(folder)
    status = result.status if result else status_of(steps)
    ends = [step.finished for step in steps.values() if step.finished is not None]
    return Entry(
        place=f"{segment(document.pipeline)}/{segment(document.run)}",
        document=document,
        dag_id=place["dag_id"] if place else document.pipeline,
        dag_run=place["run_id"] if place else "",
        status=status,
        finished=_end(document, ends, result) if status in ENDED else None,
        steps=steps,
        facts=tuple(_facts(document, steps, logged)),
        uses=tuple(_uses(document, steps)),
    )


def _end(document: RunDocument, ends: list[float], result: ResultDocument | None) -> float:
    return max(ends, default=result.finished if result else document.started)


def read_logged(store: Store, folder: str) -> Logged:
    """Return what the script of an attempt logged."""
    try:
        return logged_by(store.get(f"{folder}/metrics.jsonl"))
    except NotFoundError:
        return Logged()


def logged_by(data: bytes) -> Logged:
    """Return what the lines of a ``metrics.jsonl`` say."""
    events = read_events(data)
    found: dict[str, float] = {}
    for parent in (False, True):
        for name, value in read_metrics(events, parent=parent).items():
            last = value[-1] if isinstance(value, list) and value else value
            number = _number(last)
            if number is not None and len(found) < _MOST:
                found[str(name)[:_LONGEST]] = number
    return Logged(found, read_tags(events, parent=True))


def _facts(
    document: RunDocument, steps: Mapping[str, StepDocument], logged: Callable[[str, StepDocument], Logged]
) -> list[Fact]:
    metrics: dict[str, float] = {}
    tags = dict(document.tags)
    for step in steps.values():
        if step.folder:
            found = logged(step.folder, step)
            metrics |= found.metrics
            tags |= found.tags
    return [
        *(_fact("parameter", name, value) for name, value in document.parameters.items()),
        *(_fact("tag", name, value) for name, value in tags.items()),
        *(("metric", name, f"{value:.6g}", value) for name, value in metrics.items()),
    ]


def _fact(kind: str, name: str, value: Any) -> Fact:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return kind, name[:_LONGEST], text[:_LONGEST], _number(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _uses(document: RunDocument, steps: Mapping[str, StepDocument]) -> list[Use]:
    """Return the datasets that steps which began have read, and that steps which ended well have made."""
    found: dict[Use, None] = {}
    for step in document.spec.steps:
        went = steps.get(step.id)
        if went is None or went.status in ("waiting", "canceled"):
            continue
        for item in step.inputs:
            if isinstance(item.source, RegisteredDataset):
                found[Use(step.id, "reads", item.source.dataset, item.source.version)] = None
        for output in step.outputs:
            if output.register is not None and went.ended_well:
                found[Use(step.id, "makes", output.register.name, None)] = None
    return list(found)
