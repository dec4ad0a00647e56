"""Makes values of YAML text, by the rules of YAML 1.2, and keeps every complaint with its place.

``yes``, ``on``, ``3:20`` and ``2026-01-31`` are text, ``1e-3`` is a number, and so a number with leading zeros is text.
Text stays text in every reader of YAML that way, but for a value that may be of any type: there, what YAML 1.1 takes
for something else has to be written so that nobody has to guess (:mod:`~airflow_ml_pipelines.written.traps`).
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import Any

from airflow_ml_pipelines.written.positions import MERGE, Found, merged_nodes, span
from airflow_ml_pipelines.written.traps import explain_ambiguity

__all__ = ["ANYTHING", "AS_WRITTEN", "DEEPEST", "FLOAT", "SELF", "Builder", "Places", "compose"]

ANYTHING = "anything"
"""A place whose values, and all below it, may be of any type."""

AS_WRITTEN = "as written"
"""A place whose values are text as it is written: ``1.10`` stays that."""

SELF = ""
"""The key under which :data:`Places` say what a single value at that place itself is."""

DEEPEST = 100
"""How many levels of lists and mappings a text may have."""

Places = dict[str, Any] | str | None
"""What matters about the values below a place: a marker for all of them, or by the key, ``*`` for any key."""

_LARGEST = 100_000
_SAFE = 1_000
_PREFIX = "tag:yaml.org,2002:"
_TEXT, _INT, _FLOAT = f"{_PREFIX}str", f"{_PREFIX}int", f"{_PREFIX}float"
_BOOL, _NULL = f"{_PREFIX}bool", f"{_PREFIX}null"


def _read_int(text: str) -> int:
    value = int(text, 0)
    if not -(2**63) <= value < 2**63:
        raise ValueError
    return value


def _read_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


_READ: dict[str, Callable[[str], Any]] = {
    _INT: _read_int,
    _FLOAT: _read_float,
    _BOOL: lambda text: {"true": True, "false": False}[text.lower()],
}

FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
"""A number of YAML 1.2 that is no whole number."""

_PLAIN = re.compile(
    r"(?P<null>~|null|Null|NULL|)|(?P<bool>true|True|TRUE|false|False|FALSE)|(?P<merge><<)|"
    rf"(?P<int>[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+)|(?P<float>{FLOAT.pattern})"
)


def compose(text: str) -> Any:
    """Return the tree of nodes that text holds, None where it holds nothing.

    :raises yaml.YAMLError: where the text is no YAML, more than one document, or nested so deeply that reading it
        would use up the stack of this process.
    """
    if text.count("[") + text.count("{") > _SAFE or max(map(len, text.split("\n"))) > _SAFE:
        _check_depth(text)
    loader = _loader_class()(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _check_depth(text: str) -> None:
    """Refuse what the parser, which calls itself for each level, would crash on."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=_loader_class()):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _SAFE:
                raise yaml.MarkedYAMLError(None, None, "it is nested too deeply", event.start_mark)  # type: ignore[arg-type]
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


@functools.lru_cache(maxsize=4096)
def _plain_tag(text: str) -> str:
    """Return the tag of a value without quotes, by the rules of YAML 1.2."""
    found = _PLAIN.fullmatch(text)
    return f"{_PREFIX}{found.lastgroup}" if found else _TEXT


@functools.cache
def _loader_class() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    collections = {yaml.SequenceNode: f"{_PREFIX}seq", yaml.MappingNode: f"{_PREFIX}map"}

    def resolve(_self: Any, kind: Any, value: str, implicit: tuple[bool, bool]) -> str:
        if kind is yaml.ScalarNode:
            return _plain_tag(value) if implicit[0] else _TEXT
        return collections[kind]

    return type("WrittenLoader", (base,), {"resolve": resolve})


class Builder:
    """Makes values of YAML nodes.

    :ivar found: what is wrong with keys, tags and anchors.
    """

    def __init__(self) -> None:
        self.found: list[Found] = []
        self._known: dict[tuple[int, int], tuple[Any, int]] = {}
        self._open: set[int] = set()
        self._size = 0

    def build(self, node: Any, places: Places = None) -> Any:
        """Return the value of a node; complaints go to ``found``."""
        if node.id == "scalar":
            self._size += 1
            return self._scalar(node, places)
        key = (id(node), id(places))
        if key in self._known:
            value, size = self._known[key]
            self._size += size
            return value
        if id(node) in self._open:
            self._complain(node, "an anchor that has itself in it")
            return None
        if len(self._open) > DEEPEST:
            self._complain(node, f"it is nested more than {DEEPEST} levels deep")
            return None
        if self._size > _LARGEST:
            self._complain(node, f"aliases make more than {_LARGEST} values of this file")
            return None
        self._open.add(id(node))
        before = self._size
        value = self._mapping(node, places) if node.id == "mapping" else self._sequence(node, places)
        self._open.discard(id(node))
        self._known[key] = (value, self._size - before)
        return value

    def _sequence(self, node: Any, places: Places) -> list[Any]:
        self._check_tag(node, f"{_PREFIX}seq")
        below = _below(places, "*")
        return [self.build(item, below) for item in node.value]

    def _mapping(self, node: Any, places: Places) -> dict[str, Any]:
        self._check_tag(node, f"{_PREFIX}map")
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == MERGE:
                continue
            if key_node.id != "scalar" or key_node.tag != _TEXT:
                self._complain(key_node, _key_message(key_node))
                continue
            key = key_node.value
            if key in lines:
                self._complain(key_node, f"{key!r} is there twice: first in line {lines[key] + 1}")
                continue
            lines[key] = key_node.start_mark.line
            values[key] = self.build(value_node, _below(places, key))
        for source in merged_nodes(node):
            if source.id != "mapping":
                self._complain(source, "expected an alias of a mapping after `<<:`")
                continue
            for key, value in (self.build(source, places) or {}).items():
                values.setdefault(key, value)
        return values

    def _scalar(self, node: Any, places: Places) -> Any:
        tag, text = node.tag, node.value
        kind = places.get(SELF) if type(places) is dict else places
        if tag in (_TEXT, MERGE) or (kind == AS_WRITTEN and tag in _READ):
            if kind == ANYTHING and not node.style:
                self._check_ambiguity(node)
            return text
        if tag == _NULL:
            return None
        if tag not in _READ:
            self._check_tag(node, "")
            return text
        try:
            return _READ[tag](text)
        except (KeyError, ValueError):
            kind = tag.removeprefix(_PREFIX)
            fits = _PLAIN.fullmatch(text) is not None
            self._complain(
                node,
                "a number that is too large: as text it needs quotes" if fits else f"{text!r} is no {kind}",
            )
            return None

    def _check_ambiguity(self, node: Any) -> None:
        message = explain_ambiguity(node.value)
        if message is not None:
            self._complain(node, message)

    def _check_tag(self, node: Any, expected: str) -> None:
        if node.tag != expected:
            shown = node.tag.replace(_PREFIX, "!!")
            self._complain(node, f"the tag {shown!r} means nothing here: leave it out")

    def _complain(self, node: Any, message: str) -> None:
        self.found.append(span(node, message))


def _below(places: Places, key: str) -> Places:
    if type(places) is dict:  # several times faster than asking for a Mapping, for each value of each file
        return places.get(key) or places.get("*")
    return places


def _key_message(node: Any) -> str:
    if node.id == "scalar":
        return f"expected text as a key, found {node.value or 'nothing'}: put it in quotes"
    if node.id == "mapping" and node.flow_style:
        return "expected text as a key, found a mapping: text that begins with `{` needs quotes, and a binding is `${{ … }}`"
    kind = "list" if node.id == "sequence" else "mapping"
    return f"expected text as a key, found a {kind}: text that begins with `{{` or `[` needs quotes"
