"""Says why a step runs: the difference between its key and the nearest of its earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from airflow_ml_pipelines.core.errors import DocumentError
from airflow_ml_pipelines.core.keys.diff_keys import Files, diff_keys
from airflow_ml_pipelines.core.keys.differences import Cause, Earlier, Explanation, FilesChange
from airflow_ml_pipelines.core.reuse.history import recent_keys
from airflow_ml_pipelines.core.reuse.records import Record, find_record
from airflow_ml_pipelines.core.spec import PipelineSpec, StepOutput, StepSpec
from airflow_ml_pipelines.core.stores.store import Store

__all__ = [
    "Miss",
    "causes_of",
    "earlier_of",
    "explain_against",
    "explain_miss",
    "nearest_record",
    "root_causes",
]

_CAUSES = 3


class Miss(NamedTuple):
    """Why there is no result.

    :param reasons: in words.
    :param explanation: the difference to the nearest earlier result, None where there is none.
    """

    reasons: tuple[str, ...]
    explanation: Explanation | None = None


def explain_miss(store: Store, pipeline: str, step: str, document: Mapping[str, Any], files: Files) -> Miss:
    """Return why there is no result for a key document: how it differs from the nearest earlier one of the step."""
    nearest = nearest_record(store, pipeline, step, document)
    if nearest is None:
        known = bool(recent_keys(store, pipeline, step))
        return Miss(
            (
                "no earlier result of this step is left"
                if known
                else "there is no earlier result of this step",
            )
        )
    earlier = earlier_of(nearest)
    explanation = explain_against(earlier, nearest.document, document, files)
    return Miss(explanation.reasons or (f"the result of {earlier.text} is no longer there",), explanation)


def nearest_record(store: Store, pipeline: str, step: str, document: Mapping[str, Any]) -> Record | None:
    """Return the earlier record of a step that is nearest to a key document, None where there is none.

    That is the latest of those with the fewest differences.
    """
    nearest: Record | None = None
    fewest = 0
    for key in recent_keys(store, pipeline, step):
        try:
            record = find_record(store, key)
        except DocumentError:
            continue
        if record is None:
            continue
        count = len(diff_keys(record.document, document))
        if nearest is None or count < fewest:
            nearest, fewest = record, count
        if count == 1:  # there can't be fewer, so no other one is read
            break
    return nearest


def explain_against(
    earlier: Earlier, old: Mapping[str, Any], new: Mapping[str, Any], files: Files
) -> Explanation:
    """Return in what a key document differs from an earlier one."""
    return Explanation(against=earlier, differences=files.fill_in(diff_keys(old, new), old, new))


class Told(Protocol):
    """A step of which it is known why it runs."""

    @property
    def reasons(self) -> tuple[str, ...]: ...

    @property
    def explanation(self) -> Explanation | None: ...


def causes_of(
    spec: PipelineSpec, step: StepSpec, before: Mapping[str, Told]
) -> Callable[[str], tuple[str, tuple[Cause, ...]]]:
    """Return what gives the step that makes an input, by the input's name, and why it made another one.

    :param before: the steps that the step reads from, by their ids.
    """
    sources = {item.name: item.source.step for item in step.inputs if isinstance(item.source, StepOutput)}
    names = {item.id: item.name for item in spec.steps}  # a step of a hand-written DAG knows only itself

    def find(name: str) -> tuple[str, tuple[Cause, ...]]:
        source = sources.get(name, "")
        told = before.get(source)
        if told is None:
            return source, ()
        return source, root_causes(source, names.get(source, source), told.reasons, told.explanation)

    return find


def root_causes(
    step: str, name: str, reasons: Sequence[str], explanation: Explanation | None
) -> tuple[Cause, ...]:
    """Return why a step made something else, as the steps after it say it.

    Where it ran because a step before it made something else, that step's reasons are taken, and so on.

    :param step: its id.
    :param name: what people call it.
    :param reasons: why it ran, in words; taken where there is no explanation.
    """
    found: dict[Cause, None] = {}
    for item in explanation.differences if explanation else ():
        inherited = item.causes if isinstance(item, FilesChange) else ()
        found |= dict.fromkeys(inherited or (Cause(step=step, name=name, reason=item.text),))
    return tuple(found)[:_CAUSES] or tuple(
        Cause(step=step, name=name, reason=reason) for reason in reasons[:_CAUSES]
    )


def earlier_of(record: Record) -> Earlier:
    """Return which earlier result a record is."""
    origin, accepted = record.origin, record.accepted
    return Earlier(
        pipeline=origin.pipeline,
        run=origin.run,
        step=origin.step,
        started=record.started,
        accepted_by=accepted.by if accepted else "",
    )
