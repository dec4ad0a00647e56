"""Conditions on the columns of a table, as documents that can be stored and hashed, and as SQL.

``dataset["price"] > 100`` is ``["gt", ["column", "price"], ["value", 100]]``. Nothing of it is ever run as text: names
and values are quoted when the SQL is made.
"""

from __future__ import annotations

import datetime as dt
import math
import operator
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Expression",
    "check_expression",
    "column",
    "columns_in",
    "evaluate",
    "quote_name",
    "quote_value",
    "to_sql",
]

_BINARY = {
    "eq": "=", "ne": "<>", "gt": ">", "ge": ">=", "lt": "<", "le": "<=",
    "and": "AND", "or": "OR", "add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%",
}  # fmt: skip
_CALLS = {"contains": "contains", "starts_with": "starts_with", "ends_with": "ends_with"}


_PYTHON: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le,
    "and": lambda a, b: a and b, "or": lambda a, b: a or b,
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv, "mod": operator.mod,
    "contains": lambda a, b: b in a, "starts_with": str.startswith, "ends_with": str.endswith,
}  # fmt: skip


class Expression:
    """A condition on the columns of a row, or a value of one; made with ``dataset["column"]`` and operators.

    Combine conditions with ``&``, ``|`` and ``~``, each in brackets.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, document: list[Any]) -> None:
        self.document = document

    def __repr__(self) -> str:
        return f"Expression({self.document!r})"

    def __bool__(self) -> bool:
        raise TypeError("a condition on columns has no truth value: combine conditions with &, | and ~")

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return self.is_null() if other is None else self._with("eq", other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return ~self.is_null() if other is None else self._with("ne", other)

    def __gt__(self, other: object) -> Expression:
        return self._with("gt", other)

    def __ge__(self, other: object) -> Expression:
        return self._with("ge", other)

    def __lt__(self, other: object) -> Expression:
        return self._with("lt", other)

    def __le__(self, other: object) -> Expression:
        return self._with("le", other)

    def __add__(self, other: object) -> Expression:
        return self._with("add", other)

    def __sub__(self, other: object) -> Expression:
        return self._with("sub", other)

    def __mul__(self, other: object) -> Expression:
        return self._with("mul", other)

    def __truediv__(self, other: object) -> Expression:
        return self._with("div", other)

    def __mod__(self, other: object) -> Expression:
        return self._with("mod", other)

    def __and__(self, other: object) -> Expression:
        return self._with("and", other)

    def __or__(self, other: object) -> Expression:
        return self._with("or", other)

    def __invert__(self) -> Expression:
        return Expression(["not", self.document])

    def is_null(self) -> Expression:
        """Return whether the value is missing."""
        return Expression(["null", self.document])

    def contains(self, text: str) -> Expression:
        """Return whether the text has this one in it."""
        return self._with("contains", text)

    def starts_with(self, text: str) -> Expression:
        """Return whether the text begins with this one."""
        return self._with("starts_with", text)

    def ends_with(self, text: str) -> Expression:
        """Return whether the text ends with this one."""
        return self._with("ends_with", text)

    def isin(self, values: Any) -> Expression:
        """Return whether the value is one of several."""
        return Expression(["in", self.document, [_value(value) for value in values]])

    def _with(self, name: str, other: object) -> Expression:
        right = other.document if isinstance(other, Expression) else _value(other)
        return Expression([name, self.document, right])


def column(name: str) -> Expression:
    """Return the value of a column."""
    return Expression(["column", name])


def to_sql(document: Any, columns: Mapping[str, str]) -> str:
    """Return an expression as SQL.

    :param columns: the columns that there are, with their types.
    :raises DataError: where it names a column that there is not, or is no expression.
    """
    try:
        name, *parts = document
        if name == "column":
            if parts[0] not in columns:
                raise DataError(f"filter: there is no column {parts[0]!r}.{did_you_mean(parts[0], columns)}")
            return quote_name(parts[0])
        if name in ("value", "time"):
            return quote_value(document)
        if name == "not":
            return f"(NOT {to_sql(parts[0], columns)})"
        if name == "null":
            return f"({to_sql(parts[0], columns)} IS NULL)"
        if name == "in":
            values = ", ".join(quote_value(value) for value in parts[1])
            return f"({to_sql(parts[0], columns)} IN ({values}))" if values else "FALSE"
        left, right = (to_sql(part, columns) for part in parts)
        return f"{_CALLS[name]}({left}, {right})" if name in _CALLS else f"({left} {_BINARY[name]} {right})"
    except (KeyError, TypeError, ValueError, IndexError):
        raise DataError(f"filter: {document!r} is no condition on columns") from None


def check_expression(document: Any) -> None:
    """Check an expression that somebody wrote down. :raises ValueError: where it is none."""
    items: list[Any] = list(document) if isinstance(document, (list, tuple)) and document else [None]
    name, parts = items[0], items[1:]
    if name in ("column", "value", "time"):
        good = len(parts) == 1 and (name == "value" or isinstance(parts[0], str))
        if name == "time" and good:
            dt.datetime.fromisoformat(parts[0])
        if name == "value" and good:
            good = parts[0] is None or isinstance(parts[0], (bool, int, float, str))
    elif name in ("not", "null"):
        good = len(parts) == 1
    elif name == "in":
        good = len(parts) == 2 and isinstance(parts[1], (list, tuple))
    else:
        good = isinstance(name, str) and name in _PYTHON and len(parts) == 2
    if not good:
        raise ValueError(
            f"expected a condition such as [gt, [column, price], [value, 100]], found {document!r}"
        )
    if name == "in":
        parts = [parts[0], *parts[1]]
    if name not in ("column", "value", "time"):
        for part in parts:
            check_expression(part)


def columns_in(document: Any) -> set[str]:
    """Return the names of the columns that an expression asks for."""
    name, *parts = document
    if name == "column":
        return {parts[0]}
    if name in ("value", "time"):
        return set()
    return set().union(*map(columns_in, parts[:1] if name == "in" else parts))


def evaluate(document: Any, row: Mapping[str, Any]) -> Any:  # noqa: PLR0911 - one for each kind
    """Return the value of an expression for one row, None where a part of it is missing."""
    name, *parts = document
    if name == "column":
        if parts[0] not in row:
            raise DataError(f"filter: there is no column {parts[0]!r}.{did_you_mean(parts[0], row)}")
        return row[parts[0]]
    if name == "value":
        return parts[0]
    if name == "time":
        return dt.datetime.fromisoformat(parts[0])
    values = [evaluate(part, row) for part in parts] if name != "in" else [evaluate(parts[0], row)]
    if name == "null":
        return values[0] is None
    if any(value is None for value in values):
        return None
    if name == "not":
        return not values[0]
    if name == "in":
        return values[0] in [evaluate(part, row) for part in parts[1]]
    return _PYTHON[name](*values)


def _value(value: object) -> list[Any]:
    if isinstance(value, (dt.datetime, dt.date)):
        return ["time", value.isoformat()]
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError(f"{value!r} can't be compared with: use is_null() for missing values")
    if isinstance(value, str) and any("\ud800" <= sign <= "\udfff" for sign in value):
        raise TypeError(f"{value!r} can't be compared with: it is no text that a file can have")
    if value is None or isinstance(value, (bool, int, float, str)):
        return ["value", value]
    raise TypeError(
        f"expected a number, text, a date or a column to compare with, found {type(value).__name__}"
    )


def quote_name(name: str) -> str:
    """Return the name of a column as SQL."""
    return '"' + name.replace('"', '""') + '"'


def quote_value(document: Any) -> str:
    """Return a value as SQL."""
    kind, value = document
    if kind == "time":
        zone = dt.datetime.fromisoformat(value).tzinfo is not None
        return f"{'TIMESTAMPTZ' if zone else 'TIMESTAMP'} {_text(value)}"
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return repr(value)
    return _text(str(value))


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
