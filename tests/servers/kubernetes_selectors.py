"""Which objects a request means: selectors of labels and of fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_SET = re.compile(r"(?P<name>[\w./-]+)\s+(?P<how>in|notin)\s+\((?P<values>[^)]*)\)")
_EQUAL = re.compile(r"(?P<name>[\w./-]+)\s*(?P<how>!=|==?)\s*(?P<value>[\w.-]*)")
_SPLIT = re.compile(r",(?![^(]*\))")


def matches_labels(selector: str, labels: Mapping[str, str]) -> bool:
    """Return whether labels are those of a selector. :raises ValueError: where it is none."""
    return all(_label(item.strip())(labels) for item in _SPLIT.split(selector) if item.strip())


def _label(text: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.fullmatch(text):
        values = {value.strip() for value in found["values"].split(",")}
        return lambda labels: (labels.get(found["name"]) in values) == (found["how"] == "in")
    if found := _EQUAL.fullmatch(text):
        return lambda labels: (labels.get(found["name"]) == found["value"]) == (found["how"] != "!=")
    if re.fullmatch(r"!?\s*[\w./-]+", text):
        return lambda labels: (text.lstrip("! ") in labels) != text.startswith("!")
    raise ValueError(f"unable to parse requirement: {text!r}")


def matches_fields(selector: str, document: Mapping[str, Any]) -> bool:
    """Return whether the fields of an object are those of a selector. :raises ValueError: where it is none."""
    for item in filter(None, selector.split(",")):
        found = _EQUAL.fullmatch(item)
        if found is None:
            raise ValueError(f"invalid field selector: {item!r}")
        value: Any = document
        for name in found["name"].split("."):
            value = value.get(name, "") if isinstance(value, Mapping) else ""
        if (str(value) == found["value"]) == (found["how"] == "!="):
            return False
    return True
