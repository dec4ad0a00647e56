"""Finds where in YAML text a part of a document stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from airflow_ml_pipelines.written.problems import Path, Problem, show_path
from airflow_ml_pipelines.written.traps import retell

__all__ = ["MERGE", "Found", "locate", "merged_nodes", "scalars", "span"]

MERGE = "tag:yaml.org,2002:merge"
"""The tag of the key ``<<``."""

_RETOLD = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool")}


class Found(NamedTuple):
    """A problem and where in a text it is; lines and columns from 0."""

    line: int
    column: int
    length: int
    message: str


def span(node: Any, message: str, offset: int | None = None) -> Found:
    """Return a problem with the place of a node.

    :param offset: the index in the node's text at which it is wrong.
    """
    start, end = node.start_mark, node.end_mark
    length = end.column - start.column if end.line == start.line else 1
    if offset is not None and node.id == "scalar" and start.line == end.line:
        shift = offset + (1 if node.style in ("'", '"') else 0)
        if shift < length:
            return Found(start.line, start.column + shift, length - shift, message)
    return Found(start.line, start.column, max(1, length), message)


def locate(roots: Sequence[Any], problem: Problem) -> tuple[int, Found]:
    """Return a problem with the position of the part of its path that is in a document.

    :param roots: the trees of the texts that the document is put together from; mappings are merged, what is in an
        earlier one goes before what is in a later one.
    :return: the index of the text, and the place in it.
    """
    layer, key, node, missing = _walk(roots, problem.path)
    message = str(problem)
    scalar = node is not None and not missing and node.id == "scalar" and not node.style
    if problem.as_text and scalar and node.tag in _RETOLD:
        message = f"{show_path(problem.path)}: {retell(node.value, problem.message)}"
    if node is None or (node is roots[layer] and (not problem.path or key is None)):
        return layer, Found(0, 0, 1, message)
    if key is not None and (problem.at_key or (missing and node.id != "scalar") or _is_block(node)):
        return layer, span(key, message)
    return layer, span(node, message, problem.offset)


def _walk(roots: Sequence[Any], path: Path) -> tuple[int, Any, Any, bool]:
    """Return the text, key and value to which as much of a path leads as there is, and whether that is not all."""
    merged = [(index, root) for index, root in enumerate(roots) if root is not None]
    layer, key, node = 0, None, roots[0]
    for part in path:
        found = [(index, *child) for index, parent in merged if (child := _child(parent, part))]
        if not found:
            return layer, key, node, True
        layer, key, node = found[0]
        merged = [(index, value) for index, _, value in takewhile(_is_mapping, found)] or [(layer, node)]
    return layer, key, node, False


def _is_mapping(found: tuple[int, Any, Any]) -> bool:
    return bool(found[2].id == "mapping")


def _is_block(node: Any) -> bool:
    """Whether a node spans several lines, so that its key is the better place to point at."""
    return bool(node.end_mark.line != node.start_mark.line or node.start_mark.index == node.end_mark.index)


def _child(node: Any, part: str | int) -> tuple[Any, Any] | None:
    if node.id == "sequence":
        if isinstance(part, int) and part < len(node.value):
            item = node.value[part]
            return (item, item)
        return None
    mappings, seen = [node], set[int]()
    while mappings:
        mapping = mappings.pop(0)
        if mapping.id != "mapping" or id(mapping) in seen:
            continue
        seen.add(id(mapping))
        for key_node, value_node in mapping.value:
            if key_node.id == "scalar" and key_node.value == str(part):
                return (key_node, value_node)
        mappings += merged_nodes(mapping)
    return None


def merged_nodes(node: Any) -> Iterator[Any]:
    """Yield the nodes that ``<<`` merges into a mapping."""
    for key_node, value_node in node.value:
        if key_node.tag == MERGE:
            yield from value_node.value if value_node.id == "sequence" else (value_node,)


def scalars(root: Any) -> Iterator[tuple[Path, Any]]:
    """Yield the single values of a tree, each once, with one of the paths that lead to it."""
    seen: set[int] = set()
    stack: list[tuple[Path, Any]] = [((), root)]
    while stack:
        path, node = stack.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if node.id == "scalar":
            yield path, node
        elif node.id == "sequence":
            stack += [((*path, index), item) for index, item in enumerate(node.value)]
        else:
            stack += [((*path, str(key.value)), value) for key, value in node.value]
