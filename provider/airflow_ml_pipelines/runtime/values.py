"""Checks the values that scripts log: numbers and texts, of Python, numpy and the like."""

from __future__ import annotations

import contextlib
from typing import Any

__all__ = ["cell", "check_name", "plain_value", "scalar", "scalar_list"]


def check_name(name: Any) -> str:
    """Return a name. :raises TypeError: where it is none."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"a metric, tag or property needs a name, found {name!r}")
    return name


def plain_value(value: Any) -> Any:
    """Return a value of numpy and the like as Python's own."""
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    for convert in ("item", "tolist"):
        if hasattr(value, convert):
            with contextlib.suppress(ValueError, TypeError, RuntimeError):
                return getattr(value, convert)()
    import numbers

    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Number) and not isinstance(value, numbers.Complex):
        return float(value)  # type: ignore[arg-type]  # decimal.Decimal
    if isinstance(value, numbers.Real):
        return float(value)
    raise TypeError(f"{value!r} is no number and no text")


def scalar(value: Any, method: str, name: str) -> Any:
    """Return a number or text as Python's own. :raises TypeError: for anything else."""
    with contextlib.suppress(TypeError):
        plain = plain_value(value)
        if isinstance(plain, bool):
            return plain
        if isinstance(plain, str):
            return str.__str__(plain)  # of an enum's member the value, not the member's name
        for kind in (int, float):
            if isinstance(plain, kind):
                return kind(plain)
    instead = ": use log_list" if isinstance(value, (list, tuple)) else ""
    raise TypeError(f"{method}({name!r}, …) takes a number or text, found {type(value).__name__}{instead}")


def scalar_list(value: Any, method: str, name: str) -> list[Any]:
    """Return a list of numbers and texts, None among them. :raises TypeError: for anything else."""
    items = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(items, (str, bytes)) or not hasattr(items, "__iter__"):
        raise TypeError(f"{method}({name!r}, …) takes a list, found {type(value).__name__}")
    return [None if item is None else scalar(item, method, name) for item in items]


def cell(value: Any, method: str, name: str) -> Any:
    """Return what stands in a table: a number, text, None or a list of them. :raises TypeError: for anything else."""
    is_list = (
        not isinstance(value, (str, bytes)) and hasattr(value, "__iter__") and getattr(value, "ndim", 1) != 0
    )
    if value is None:
        return None
    return scalar_list(value, method, name) if is_list else scalar(value, method, name)
