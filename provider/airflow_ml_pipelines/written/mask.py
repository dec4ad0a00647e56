"""Hides what may be a secret in the lines that an error shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from airflow_ml_pipelines.core.stores.credentials import mask_url
from airflow_ml_pipelines.written.positions import scalars
from airflow_ml_pipelines.written.problems import Path

__all__ = ["mask_lines"]

_FIELD = re.compile(r"[\"']?([\w.-]+)[\"']?[ \t]*:(?=[ \t]|$)")


def mask_lines(lines: list[str], root: Any, is_secret: Callable[[Path], bool]) -> list[str]:
    """Return the lines of a text with a ``*`` for each character that may be of a secret.

    :param root: the tree of the text; None where it is no YAML, so that secrets are found by the look of the lines.
    """
    masked = _mask_by_look(lines, is_secret) if root is None else _mask_by_tree(lines, root, is_secret)
    return [mask_url(line, keep_length=True) for line in masked]


def _mask_by_tree(lines: list[str], root: Any, is_secret: Callable[[Path], bool]) -> list[str]:
    masked = list(lines)
    for path, node in scalars(root):
        if not is_secret(path):
            continue
        start, end = node.start_mark, node.end_mark
        for number in range(start.line, min(end.line, len(lines) - 1) + 1):
            first = start.column if number == start.line else 0
            last = end.column if number == end.line else len(lines[number])
            masked[number] = _hide(masked[number], first, last)
    return masked


def _mask_by_look(lines: list[str], is_secret: Callable[[Path], bool]) -> list[str]:
    masked = []
    above: list[tuple[int, str]] = []  # the fields that a line is in, going by its indentation
    for line in lines:
        indent = len(line) - len(line.lstrip(" \t-"))
        if line.strip():
            above = [(column, name) for column, name in above if column < indent]
        first = 0 if is_secret(tuple(name for _, name in above)) else None
        for field in _FIELD.finditer(line):
            if first is None and is_secret((*(name for _, name in above), field[1])):
                first = field.end()
        masked.append(line if first is None else _hide(line, first, len(line)))
        if field_here := _FIELD.match(line, indent):
            above.append((indent, field_here[1]))
    return masked


def _hide(line: str, first: int, last: int) -> str:
    return line[:first] + re.sub(r"\S", "*", line[first:last]) + line[last:]
