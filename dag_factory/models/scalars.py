"""Reads the single values of a definition: durations, moments, argument items."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time
from typing import Any

from airflow_ml_pipelines.core.parameters import argument_text
from airflow_ml_pipelines.written.problems import describe_value
from airflow_ml_pipelines.written.traps import hint_for

__all__ = [
    "DURATION",
    "MOMENT",
    "as_argument",
    "as_datetime",
    "as_duration",
    "as_header",
    "as_paths",
    "as_scalar",
    "duration_text",
    "type_of",
]

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
DURATION = r"^\s*(?:[0-9]+(?:\.[0-9]+)?(?:ms|w|d|h|m|s)\s*)+$"
"""A pattern of durations such as ``90s`` and ``1h30m``."""

MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?$"
"""A pattern of dates and moments."""

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|w|d|h|m|s)")
_HEADERS = ("all_files_same", "only_first_file", "none", "all_files_different")


def as_duration(value: Any) -> float:
    """Return seconds, from a number of them or text such as ``90s``, ``1h30m`` or ``2d``.

    :raises ValueError: for anything else, and for less than nothing.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)
    if isinstance(value, str) and re.search(DURATION, value):
        return float(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value)))
    raise ValueError(
        f"expected a duration such as 90s, 10m, 1h30m or 2d, or a number of seconds, found {describe_value(value)}"
        + hint_for("a duration", value)
    )


def duration_text(seconds: float) -> float | str:
    """Return a duration as people write it, where it is a whole number of a unit."""
    if seconds and seconds == int(seconds):
        for unit in ("d", "h", "m"):
            if seconds % _UNITS[unit] == 0:
                return f"{int(seconds // _UNITS[unit])}{unit}"
        return f"{int(seconds)}s"
    return seconds


def as_datetime(value: Any) -> datetime:
    """Return a moment, from ISO 8601 text or a date; in UTC where it names no time zone.

    :raises ValueError: for anything else.
    """
    if isinstance(value, str):
        return as_datetime(_read_moment(value))
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise ValueError(f"expected a date such as 2026-01-31, found {describe_value(value)}")  # noqa: TRY004 - pydantic
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _read_moment(text: str) -> datetime:
    with suppress(ValueError):
        if re.search(MOMENT, text):
            return datetime.fromisoformat(text)
    raise ValueError(
        f"expected a date such as 2026-01-31 or a moment such as 2026-01-31T06:00:00+01:00, found {text!r}"
    )


def as_scalar(value: Any) -> Any:
    """Return text, a number or a truth value. :raises ValueError: for anything else."""
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping) and len(value) == 1 and isinstance(next(iter(value)), str | Mapping):
        raise ValueError(
            "expected text, a number or true/false, found a mapping: text that has `{` or `: ` in it needs quotes"
        )
    raise ValueError(f"expected text, a number or true/false, found {describe_value(value)}")


def as_argument(value: Any) -> str:
    """Return an item of an argument vector as text. :raises ValueError: for a list, a mapping, nothing."""
    return argument_text(as_scalar(value))


def as_header(value: Any) -> Any:
    """Return what a header may be. :raises ValueError: for anything else."""
    if isinstance(value, bool) or value in _HEADERS:
        return value
    raise ValueError(f"expected true, false, {', '.join(map(repr, _HEADERS))}, found {describe_value(value)}")


def as_paths(value: Any) -> tuple[Any, ...]:
    """Return a list of paths as a tuple. :raises ValueError: where an item is neither text nor datastore and path."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list, found {describe_value(value)}")  # noqa: TRY004 - pydantic
    for index, item in enumerate(value):
        if isinstance(item, str):
            continue
        if not (
            isinstance(item, Mapping)
            and item.keys() == {"datastore", "path"}
            and all(isinstance(text, str) for text in item.values())
        ):
            raise ValueError(
                f"expected each path as text or as {{datastore: …, path: …}}, found {describe_value(item)} "
                f"as item {index + 1}"
            )
    return tuple(item if isinstance(item, str) else dict(item) for item in value)


def type_of(default: Any) -> str:
    """Return the type that a parameter with a default has where it names none."""
    if isinstance(default, bool):
        return "boolean"
    if isinstance(default, int):
        return "integer"
    if isinstance(default, float):
        return "number"
    return "data" if isinstance(default, Mapping) else "string"
