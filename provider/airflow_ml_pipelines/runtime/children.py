"""Finds what the other steps of a pipeline's run have logged so far, for ``run.parent``.

Reads the documents of the run's folder as they are stored; what can't be read is left out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.layout import step_run_id
from airflow_ml_pipelines.core.metrics import read_events, read_metrics, read_tags
from airflow_ml_pipelines.runtime.places import folder_names, join_place, read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_ml_pipelines.runtime.context import Context

__all__ = ["Attempt", "ChildRun", "find_children", "read_attempts"]

_STATUS = {
    "waiting": "NotStarted",
    "running": "Running",
    "finished": "Completed",
    "reused": "Completed",
    "failed": "Failed",
    "canceled": "Canceled",
}


class Attempt(NamedTuple):
    """The attempt at a step that counts in this run; for a reused step that of the original run.

    :param document: how the step went.
    :param folder: where the attempt's files are.
    """

    document: dict[str, Any]
    folder: str

    def events(self) -> bytes:
        """Return what it logged, as it is stored."""
        try:
            return read_bytes(join_place(self.folder, "metrics.jsonl"))
        except (OSError, DataError):
            return b""


class ChildRun:
    """The run of another step of the same pipeline's run."""

    def __init__(self, attempt: Attempt, pipeline: str, run: str) -> None:
        self._attempt = attempt
        self.name: str = attempt.document["step"]
        self.display_name = self.name
        origin = attempt.document.get("reused_from") or {}
        number = attempt.document.get("attempt", 0)
        self.id: str = origin.get("id") or step_run_id(pipeline, run, self.name, number)
        self.status = _STATUS.get(attempt.document.get("status", ""), "Running")

    def __repr__(self) -> str:
        return f"ChildRun({self.id!r}, status={self.status!r})"

    def get_status(self) -> str:
        """Return :attr:`status`."""
        return self.status

    def get_metrics(self, name: str | None = None, **_: Any) -> dict[str, Any]:
        """Return the metrics by name."""
        metrics = read_metrics(read_events(self._attempt.events()))
        return (
            metrics if name is None else {known: value for known, value in metrics.items() if known == name}
        )

    def get_tags(self) -> dict[str, str]:
        """Return the tags that its script set."""
        return read_tags(read_events(self._attempt.events()))


def find_children(context: Context) -> Iterator[ChildRun]:
    """Yield the run of every step of the pipeline's run of which something is known."""
    for attempt in _attempts(context):
        yield ChildRun(attempt, context.run["pipeline"], context.run["run"])


def read_attempts(context: Context) -> list[Attempt]:
    """Return the attempts of the other steps that ran in this run. A reused step says nothing about this run."""
    own = context.run["step"]
    return [
        a for a in _attempts(context) if a.document["step"] != own and a.document.get("status") != "reused"
    ]


def _attempts(context: Context) -> Iterator[Attempt]:
    folder = context.parent_folder or ""
    documents: dict[str, dict[str, Any]] = {}
    for plan in _read(join_place(folder, "plan.json")).get("steps") or []:
        if plan.get("decision") == "reuse":
            documents[plan["step"]] = {**plan, "status": "reused"}
    for name in folder_names(join_place(folder, "steps")):
        if name.endswith(".json"):
            document = _read(join_place(folder, f"steps/{name}"))
            if isinstance(document.get("step"), str):
                documents[document["step"]] = document
    for step in sorted(documents):
        document = documents[step]
        yield Attempt(document, join_place(context.workspace["root"], document.get("folder") or ""))


def _read(place: str) -> dict[str, Any]:
    try:
        document = json.loads(read_bytes(place))
    except (OSError, ValueError, DataError):
        return {}
    return document if isinstance(document, dict) else {}
