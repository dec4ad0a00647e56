"""Finds where in YAML text a problem is, and says in plain words what keeps text from being YAML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from dag_factory.problems import Problem

__all__ = ["MERGE", "Found", "explain", "locate", "merged_nodes", "span"]

MERGE = "tag:yaml.org,2002:merge"
"""The tag of the key ``<<``."""


class Found(NamedTuple):
    """A problem and where in the text it is; lines and columns from 0."""

    line: int
    column: int
    length: int
    message: str


def span(node: Any, message: str, offset: int | None = None) -> Found:
    start, end = node.start_mark, node.end_mark
    length = end.column - start.column if end.line == start.line else 1
    if offset is not None and node.id == "scalar" and start.line == end.line:
        shift = offset + (1 if node.style in ("'", '"') else 0)
        if shift < length:
            return Found(start.line, start.column + shift, length - shift, message)
    return Found(start.line, start.column, max(1, length), message)


def locate(root: Any, problem: Problem) -> Found:
    """Return a problem with the position of the part of its path that is in the document."""
    message = str(problem)
    node, key, missing = root, None, False
    for part in problem.path:
        found = _child(node, part)
        if found is None:
            missing = True
            break
        key, node = found
    if node is None or (node is root and problem.path == ()):
        return Found(0, 0, 1, message)
    if key is not None and (problem.at_key or (missing and node.id != "scalar") or _is_block(node)):
        return span(key, message)
    if node is root:
        return Found(0, 0, 1, message)
    return span(node, message, problem.offset)


def _is_block(node: Any) -> bool:
    """Whether a node spans several lines, so that its key is the better place to point at."""
    return bool(node.end_mark.line != node.start_mark.line or node.start_mark.index == node.end_mark.index)


def _child(node: Any, part: str | int) -> tuple[Any, Any] | None:
    if node is None or node.id == "scalar":
        return None
    if node.id == "sequence":
        if isinstance(part, int) and part < len(node.value):
            item = node.value[part]
            return (item, item)
        return None
    for key_node, value_node in node.value:
        if key_node.id == "scalar" and key_node.value == str(part):
            return (key_node, value_node)
    for source in merged_nodes(node):
        found = _child(source, part)
        if found is not None:
            return found
    return None


def merged_nodes(node: Any) -> Iterator[Any]:
    for key_node, value_node in node.value:
        if key_node.tag == MERGE:
            yield from value_node.value if value_node.id == "sequence" else (value_node,)


# --- text that is no YAML -----------------------------------------------------------------------------------------


def explain(error: Any, text: str) -> Found:
    """Return what is wrong with text that is no YAML, in words that help."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        position = getattr(error, "position", None)
        before = text[:position] if isinstance(position, int) else ""
        line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
        return Found(line, column, 1, f"this is no YAML: {getattr(error, 'reason', None) or error}")
    lines = text.splitlines()
    line, column = mark.line, mark.column
    if line >= len(lines):  # the end of the text
        line = max(0, len(lines) - 1)
        column = len(lines[line]) if lines else 0
    shown = lines[line] if lines else ""
    binding = shown.find("${{")
    blank = shown[: len(shown) - len(shown.lstrip())]
    if 0 <= binding <= column + 1 and shown[:binding].rstrip()[-1:] in ("[", "{", ",", ":"):
        column, message = binding, 'inside of [ ] and { } a `${{ … }}` needs quotes: "${{ … }}"'
    elif "\t" in blank:
        column, message = blank.index("\t"), "a tab in the indentation: YAML takes spaces only"
    else:
        message = _message(error, shown[column : column + 1])
    return Found(line, column, 3 if column == binding else 1, message)


def _message(error: Any, character: str) -> str:
    problem = error.problem or ""
    if "cannot start any token" in problem and character:
        return f"text that begins with `{character}` needs quotes"
    if "mapping values are not allowed" in problem:
        return "a `:` where no field can be: the indentation is wrong, or text with `: ` in it needs quotes"
    if "undefined alias" in problem:
        return "an alias of an anchor that does not exist above it"
    context = f"{error.context}: " if error.context else ""
    start = (
        f" (it begins in line {error.context_mark.line + 1})" if error.context and error.context_mark else ""
    )
    return f"this is no YAML: {context}{problem}{start}"
