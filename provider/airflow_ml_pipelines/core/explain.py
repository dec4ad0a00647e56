"""Says why a step runs: the difference between its key and the nearest of its earlier ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from airflow_ml_pipelines.core.diff_keys import Files, diff_keys
from airflow_ml_pipelines.core.differences import Cause, Difference, Earlier, Explanation, FilesChange
from airflow_ml_pipelines.core.errors import DocumentError
from airflow_ml_pipelines.core.history import recent_keys
from airflow_ml_pipelines.core.records import Record, find_record
from airflow_ml_pipelines.core.store import Store

__all__ = ["Miss", "explain_against", "explain_miss", "root_causes"]

_CAUSES = 3


class Miss(NamedTuple):
    """Why there is no result.

    :param reasons: in words.
    :param explanation: the difference to the nearest earlier result, None where there is none.
    """

    reasons: tuple[str, ...]
    explanation: Explanation | None = None


def explain_miss(store: Store, pipeline: str, step: str, document: Mapping[str, Any], files: Files) -> Miss:
    """Return why there is no result for a key document: how it differs from the nearest earlier one of the step.

    The nearest is the latest of those with the fewest differences.
    """
    keys = recent_keys(store, pipeline, step)
    nearest: tuple[Record, tuple[Difference, ...]] | None = None
    for key in keys:
        try:
            record = find_record(store, key)
        except DocumentError:
            continue
        if record is None:
            continue
        differences = diff_keys(record.document, document)
        if nearest is None or len(differences) < len(nearest[1]):
            nearest = record, differences
        if len(differences) == 1:  # there can't be fewer, so no other one is read
            break
    if nearest is None:
        gone = "no earlier result of this step is left" if keys else "there is no earlier result of this step"
        return Miss((gone,))
    explanation = _explain(nearest[0], nearest[1], document, files)
    return Miss(
        explanation.reasons or (f"the result of {_earlier(nearest[0]).text} is no longer there",), explanation
    )


def explain_against(record: Record, document: Mapping[str, Any], files: Files) -> Explanation:
    """Return in what a key document differs from that of a record."""
    return _explain(record, diff_keys(record.document, document), document, files)


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


def _explain(
    record: Record, differences: Sequence[Difference], document: Mapping[str, Any], files: Files
) -> Explanation:
    return Explanation(
        against=_earlier(record), differences=files.fill_in(differences, record.document, document)
    )


def _earlier(record: Record) -> Earlier:
    origin = record.origin
    return Earlier(pipeline=origin.pipeline, run=origin.run, step=origin.step, started=record.started)
