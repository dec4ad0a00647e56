"""What the options of a table mean: types of columns, and columns in the path of a file."""

from __future__ import annotations

import re
from typing import Any

from airflow_ml_pipelines.core.errors import DataError, did_you_mean

__all__ = ["kind_of_type", "partition_names", "partition_pattern", "partition_values", "path_values"]

_TYPES = {
    "string": "string", "str": "string", "text": "string",
    "long": "integer", "int": "integer", "integer": "integer",
    "float": "float", "double": "float", "decimal": "float", "number": "float",
    "bool": "boolean", "boolean": "boolean",
    "datetime": "datetime", "date": "datetime", "timestamp": "datetime",
}  # fmt: skip
_PARTS = {
    "yyyy": r"\d{4}",
    "MM": r"\d{1,2}",
    "dd": r"\d{1,2}",
    "HH": r"\d{1,2}",
    "mm": r"\d{1,2}",
    "ss": r"\d{1,2}",
}
_FIELD = re.compile(r"\{(\w+)(?::([^}]*))?\}")


def kind_of_type(name: Any, kind: str) -> str:
    """Return ``string``, ``integer``, ``float``, ``boolean`` or ``datetime`` for the name of a column's type."""
    try:
        return _TYPES[kind.lower().replace("to_", "")]
    except KeyError:
        raise DataError(
            f"set_column_types: column {name!r} can't be of type {kind!r}." + did_you_mean(kind, _TYPES)
        ) from None


def partition_pattern(text: str | None) -> re.Pattern[str] | None:
    """Return what finds the columns in a file's path. :raises DataError: where the format can't be used."""
    if not text:
        return None
    pattern = ""
    position = 0
    for field in _FIELD.finditer(text):
        name, form = field.groups()
        pattern += re.escape(text[position : field.start()]).replace(r"\*", "[^/]*")
        position = field.end()
        if not form:
            pattern += f"(?P<{name}>[^/]+?)"
            continue
        for piece in re.findall(r"yyyy|MM|dd|HH|mm|ss|.", form):
            pattern += f"(?P<{name}__{piece}>{_PARTS[piece]})" if piece in _PARTS else re.escape(piece)
    pattern += re.escape(text[position:]).replace(r"\*", "[^/]*")
    try:
        return re.compile(("" if text.startswith("/") else "/") + pattern + r"\Z")
    except re.error as error:
        raise DataError(f"partition_format {text!r} can't be used: {error}") from None


def partition_names(text: str | None) -> list[str]:
    """Return the names of the columns that a partition format has, in their order."""
    return [field[1] for field in _FIELD.finditer(text or "")]


def path_values(pattern: re.Pattern[str], label: str) -> dict[str, Any]:
    """Return the columns that the path of a file has.

    :param label: ``/`` and the file's path on its datastore.
    :raises DataError: where it is not of that form.
    """
    found = pattern.search("/" + label.lstrip("/"))
    if found is None:
        raise DataError(f"{label} does not fit the partition_format")
    try:
        return partition_values(found)
    except ValueError as error:  # of a date that there is not
        raise DataError(f"{label} does not fit the partition_format: {error}") from None


def partition_values(found: re.Match[str]) -> dict[str, Any]:
    """Return the columns that a path has by its partition format."""
    import datetime as dt

    values: dict[str, Any] = {}
    dates: dict[str, dict[str, int]] = {}
    for group, text in found.groupdict().items():
        name, _, piece = group.rpartition("__")
        if name and piece in _PARTS:
            dates.setdefault(name, {})[piece] = int(text)
        else:
            values[group] = text
    for name, date in dates.items():
        pieces = [date.get(piece, 1 if piece in ("MM", "dd") else 0) for piece in _PARTS]
        values[name] = dt.datetime(*pieces)  # type: ignore[arg-type]  # noqa: DTZ001 - paths have no time zone
    return values
