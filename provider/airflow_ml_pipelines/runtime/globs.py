"""Matches paths against patterns: ``*``, ``?`` and ``[…]`` within a segment, ``**`` for any number of segments.

The same patterns as :mod:`airflow_ml_pipelines.core.locations` has, for any interpreter that a script runs in.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["glob_matcher", "has_magic", "split_glob"]


def has_magic(path: str) -> bool:
    """Return whether a path is a pattern."""
    return any(sign in path for sign in "*?[")


def split_glob(pattern: str) -> tuple[str, str]:
    """Return the folder before the first segment that is a pattern, and the rest."""
    segments = pattern.split("/")
    for index, segment in enumerate(segments):
        if has_magic(segment):
            return "/".join(segments[:index]), "/".join(segments[index:])
    return pattern, ""


def glob_matcher(pattern: str) -> Callable[[str], bool]:
    """Return a check for the paths that a pattern stands for."""
    segments = pattern.split("/")
    return lambda path: _matches(path.split("/"), segments)


def _matches(path: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_matches(path[start:], pattern[1:]) for start in range(len(path) + 1))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])
