"""What runs are to have: ``max_depth=4``, ``accuracy>0.9``, ``team``."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from airflow_ml_pipelines.core.errors import ParameterError

__all__ = ["Condition", "Kind", "read_condition"]

Kind = Literal["parameter", "tag", "metric"]

_FORM = re.compile(
    r"\s*(?P<name>[^=<>!]+?)\s*(?:(?P<operator><=|>=|!=|=|<|>)\s*(?P<value>.*?)\s*)?", re.DOTALL
)
_LONGEST = 500


class Condition(NamedTuple):
    """A value that runs are to have.

    :param operator: one of ``= != < <= > >=``, "" where it is enough that there is one of the name.
    """

    kind: Kind
    name: str
    operator: str = ""
    value: str = ""

    @property
    def number(self) -> float | None:
        """The value as a number, None where it is none."""
        try:
            return float(self.value)
        except ValueError:
            return None


def read_condition(kind: Kind, text: str) -> Condition:
    """Return the condition that somebody wrote.

    :raises ParameterError: where it is none.
    """
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    shown = text if len(text) <= 60 else f"{text[:60]}…"
    if found is None:
        raise ParameterError(f"{kind}: expected a condition such as {_EXAMPLES[kind]}, found {shown!r}")
    condition = Condition(kind, found["name"], found["operator"] or "", found["value"] or "")
    if condition.operator in ("<", "<=", ">", ">=") and condition.number is None:
        raise ParameterError(f"{kind}: expected a number after {condition.operator} in {shown!r}")
    return condition


_EXAMPLES = {"parameter": "max_depth=4", "tag": "team or team=vision", "metric": "accuracy>0.9"}
