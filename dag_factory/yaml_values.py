"""Makes values of YAML text, by the rules of YAML 1.2, and keeps every complaint with its place."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from dag_factory.yaml_positions import MERGE, Found, merged_nodes, span

__all__ = ["FLOAT", "Builder", "compose"]

_LARGEST = 100_000
_PREFIX = "tag:yaml.org,2002:"
_TEXT, _INT, _FLOAT = f"{_PREFIX}str", f"{_PREFIX}int", f"{_PREFIX}float"
_BOOL, _NULL = f"{_PREFIX}bool", f"{_PREFIX}null"
_READ: dict[str, Callable[[str], Any]] = {
    _INT: lambda text: int(text, 0),
    _FLOAT: float,
    _BOOL: lambda text: {"true": True, "false": False}[text.lower()],
}
_NEST = {"": {"steps": "steps"}, "step": {"arguments": "arguments"}}
"""Which place in the document a key leads to, as far as it matters for reading values."""


def compose(text: str) -> Any:
    loader = _loader_class()(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
"""A number of YAML 1.2 that is no whole number."""

_PLAIN = re.compile(
    r"(?P<null>~|null|Null|NULL|)|(?P<bool>true|True|TRUE|false|False|FALSE)|(?P<merge><<)|"
    rf"(?P<int>[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+)|(?P<float>{FLOAT.pattern})"
)


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

    return type("PipelineLoader", (base,), {"resolve": resolve})


class Builder:
    """Makes values of YAML nodes."""

    def __init__(self) -> None:
        self.found: list[Found] = []
        self._known: dict[tuple[int, str], tuple[Any, int]] = {}
        self._open: set[int] = set()
        self._size = 0

    def build(self, node: Any, place: str) -> Any:
        if node.id == "scalar":
            self._size += 1
            return self._scalar(node, place)
        key = (id(node), place)
        if key in self._known:
            value, size = self._known[key]
            self._size += size
            return value
        if id(node) in self._open:
            self._complain(node, "an anchor that has itself in it")
            return None
        if self._size > _LARGEST:
            self._complain(node, f"aliases make more than {_LARGEST} values of this file")
            return None
        self._open.add(id(node))
        before = self._size
        value = self._mapping(node, place) if node.id == "mapping" else self._sequence(node, place)
        self._open.discard(id(node))
        self._known[key] = (value, self._size - before)
        return value

    def _sequence(self, node: Any, place: str) -> list[Any]:
        self._check_tag(node, f"{_PREFIX}seq")
        return [self.build(item, "argument" if place == "arguments" else "-") for item in node.value]

    def _mapping(self, node: Any, place: str) -> dict[str, Any]:
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
            values[key] = self.build(value_node, _place(place, key))
        for source in merged_nodes(node):
            if source.id != "mapping":
                self._complain(source, "expected an alias of a mapping after `<<:`")
                continue
            for key, value in self.build(source, place).items():
                values.setdefault(key, value)
        return values

    def _scalar(self, node: Any, place: str) -> Any:
        tag, text = node.tag, node.value
        if tag in (_TEXT, MERGE) or (place == "argument" and tag in _READ):
            return text
        if tag == _NULL:
            return None
        try:
            return _READ[tag](text)
        except (KeyError, ValueError):
            self._check_tag(node, "")
            return text

    def _check_tag(self, node: Any, expected: str) -> None:
        if node.tag != expected:
            shown = node.tag.replace(_PREFIX, "!!")
            self._complain(node, f"the tag {shown!r} means nothing here: leave it out")

    def _complain(self, node: Any, message: str) -> None:
        self.found.append(span(node, message))


def _place(place: str, key: str) -> str:
    return "step" if place == "steps" else _NEST.get(place, {}).get(key, "-")


def _key_message(node: Any) -> str:
    if node.id == "scalar":
        return f"expected text as a key, found {node.value or 'nothing'}: put it in quotes"
    return f"expected text as a key, found a {node.id}: text that begins with `{{` or `[` needs quotes"
