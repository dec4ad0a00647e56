"""Names the traps of YAML: what somebody wrote, what YAML makes of it, and how to write what was meant."""

from __future__ import annotations

import functools
import re
from typing import Any

__all__ = ["explain_ambiguity", "hint_for", "retell"]

_WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_GROUPED = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)+")
_OCTAL = re.compile(r"[-+]?0[0-7]+")
_PADDED = re.compile(r"[-+]?0[0-9]+")
_NUMBER = re.compile(r"[-+]?[1-9][0-9]*(?:\.[0-9]+)?|0(?:\.[0-9]+)?")
_SIXTIES = re.compile(r"[-+]?[0-9]+(?::[0-5]?[0-9])+")


def hint_for(expected: str, value: Any) -> str:
    """Return what else to say of a value that is not what was expected, empty for nothing.

    :param expected: ``a boolean``, ``a number`` or ``a duration``.
    """
    if not isinstance(value, str):
        return ""
    if expected == "a boolean":
        if value.lower() in ("true", "false"):
            return f": write {value.lower()}, without quotes"
        if value.lower() in ("true", "false"):
            return f": write {value.lower()}, without quotes"
        word = _WORDS.get(value.lower())
        return f": `{value}` is text in YAML 1.2, write {word}" if word else ""
    if expected == "a duration" and _SIXTIES.fullmatch(value):
        first, second = value.lstrip("+-").split(":")[:2]
        return f": write {first}h{second}m or {first}m{second}s, `{value}` is text in YAML 1.2"
    return _hint_for_number(value)


def _hint_for_number(text: str) -> str:
    if _SIXTIES.fullmatch(text):
        return f": `{text}` is {_base_60(text)} in YAML 1.1 alone"
    if _GROUPED.fullmatch(text):
        return f": write {text.replace('_', '')}"
    if _OCTAL.fullmatch(text):
        return f": write {int(text)}, or 0o{text.lstrip('+-0') or 0} for {int(text, 8)}"
    if _PADDED.fullmatch(text):
        return f": write {int(text)}"
    return f": write {text}, without quotes" if _NUMBER.fullmatch(text) else ""


def explain_ambiguity(text: str) -> str | None:
    """Return what is wrong with text without quotes that YAML 1.1 takes for something else, None where nothing is."""
    kind = _yaml_1_1_kind(text)
    if kind is None:
        return None
    word = _WORDS.get(text.lower())
    if word:
        return f"`{text}` is text in YAML 1.2 and {word} in YAML 1.1: write {word}, or {text!r} in quotes"
    if _SIXTIES.fullmatch(text):
        return f"`{text}` is text in YAML 1.2 and {_base_60(text)} in YAML 1.1: put it in quotes"
    hint = _hint_for_number(text)[2:]
    return f"`{text}` is text in YAML 1.2 and a number in YAML 1.1: {f'{hint}, or ' if hint else ''}put it in quotes"


def retell(written: str, message: str) -> str:
    """Return what is wrong with a value that had to be text, in the words of the file.

    :param written: the value as it stands in the file, ``3.10``.
    :param message: what is wrong with what YAML makes of it: ``expected text, found the number 3.1: put it …``.
    """
    said, _, _ = message.partition(": put it in quotes")
    if said.endswith(f" {written}"):
        return f'{said}: put it in quotes, "{written}"'
    before, _, value = said.partition(", found ")
    return f'{before}, found {written}, which YAML reads as {value}: put it in quotes, "{written}"'


def _base_60(text: str) -> int:
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    return sign * functools.reduce(lambda total, part: total * 60 + int(part), digits.split(":"), 0)


@functools.lru_cache(maxsize=1024)
def _yaml_1_1_kind(text: str) -> str | None:
    """Return what YAML 1.1 takes text without quotes for, None for text or a date."""
    import yaml

    for tag, pattern in yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], ()):
        if pattern.match(text):
            kind: str = tag.rpartition(":")[2]
            return kind if kind in ("bool", "int", "float") else None
    return None
