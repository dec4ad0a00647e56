"""Makes metrics, tags and properties of the events that a script logged.

Each event is a line of JSON in the attempt's ``metrics.jsonl``; those with ``"parent": true`` are about the pipeline's
run and not about the step's. Numbers that JSON has no spelling for are written as ``{"$number": "nan"}``.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "encode_event",
    "read_events",
    "read_metrics",
    "read_properties",
    "read_tags",
]

_NUMBER = "$number"


def encode_event(event: Mapping[str, Any]) -> bytes:
    """Return an event as one line."""
    try:
        text = json.dumps(event, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_spell(event), allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"


def read_events(data: bytes) -> list[dict[str, Any]]:
    """Return the events of a file; a line that was not written to its end is left out."""
    events = []
    for line in data.split(b"\n"):
        try:
            event = json.loads(line, object_hook=_unspell) if line else None
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("kind"), str):
            events.append(event)
    return events


def read_metrics(events: Iterable[Mapping[str, Any]], *, parent: bool = False) -> dict[str, Any]:
    """Return the metrics by name.

    What was logged once is a value, what was logged several times a list; one row is a dict, several rows and tables
    are a dict of columns, with None where a row has no such column. An image is the name of its artifact.

    :param parent: those of the pipeline's run instead of the step's.
    """
    found: dict[str, _Metric] = {}
    for event in _of(events, "metric", parent):
        form, value = event.get("form"), event.get("value")
        kind = _Table if form in ("row", "table") else _Vector
        metric = found.get(event["name"])
        if not isinstance(metric, kind):  # another form under the same name replaces what was there
            metric = found[event["name"]] = kind()
        metric.add(form, value)
    return {name: metric.value() for name, metric in found.items()}


def read_tags(events: Iterable[Mapping[str, Any]], *, parent: bool = False) -> dict[str, str]:
    """Return the tags that were set, the last value of each."""
    return {event["name"]: event.get("value") or "" for event in _of(events, "tag", parent)}


def read_properties(events: Iterable[Mapping[str, Any]], *, parent: bool = False) -> dict[str, str]:
    """Return the properties that were added; the first value of each counts."""
    found: dict[str, str] = {}
    for event in _of(events, "property", parent):
        found.setdefault(event["name"], event.get("value") or "")
    return found


def _of(events: Iterable[Mapping[str, Any]], kind: str, parent: bool) -> Iterable[Mapping[str, Any]]:
    for event in events:
        name = event.get("name")
        if event["kind"] == kind and bool(event.get("parent")) is parent and isinstance(name, str):
            yield event


class _Metric:
    def add(self, form: Any, value: Any) -> None:
        raise NotImplementedError

    def value(self) -> Any:
        raise NotImplementedError


class _Vector(_Metric):
    def __init__(self) -> None:
        self.values: list[Any] = []
        self.is_list = False

    def add(self, form: Any, value: Any) -> None:
        if form == "list" and isinstance(value, list):
            self.values += value
            self.is_list = True
        else:
            self.values.append(value)

    def value(self) -> Any:
        return self.values if self.is_list or len(self.values) != 1 else self.values[0]


class _Table(_Metric):
    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {}
        self.length = 0
        self.rows_only = True

    def add(self, form: Any, value: Any) -> None:
        row = value if isinstance(value, dict) else {}
        columns = {
            name: cell if form == "table" and isinstance(cell, list) else [cell] for name, cell in row.items()
        }
        self.rows_only = self.rows_only and form == "row"
        length = max([len(cells) for cells in columns.values()] or [0])
        for name in columns:
            self.columns.setdefault(name, [None] * self.length)
        for name, cells in self.columns.items():
            new = columns.get(name, [])
            cells.extend(new)
            cells.extend([None] * (length - len(new)))
        self.length += length

    def value(self) -> Any:
        if self.rows_only and self.length == 1:
            return {name: cells[0] for name, cells in self.columns.items()}
        return self.columns


def _spell(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_NUMBER: repr(value)}
    if isinstance(value, dict):
        return {name: _spell(item) for name, item in value.items()}
    return [_spell(item) for item in value] if isinstance(value, (list, tuple)) else value


def _unspell(document: dict[str, Any]) -> Any:
    if len(document) == 1 and document.get(_NUMBER) in ("nan", "inf", "-inf"):
        return float(document[_NUMBER])
    return document
