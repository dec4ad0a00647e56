"""Matches relative paths with the lines of ignore files, as git does.

Checked against git itself. (Of the packages that know these patterns, pathspec also matches what is *in* a folder that
matches; so ``!src/`` after ``build/`` brings ``src/build/`` back, which git leaves out.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_ml_pipelines.core.globs import translate

__all__ = ["IgnorePattern"]


@dataclass(frozen=True)
class IgnorePattern:
    """One line of an ignore file.

    :param negated: whether it takes back what lines before it said.
    :param only_folders: whether it means folders alone.
    :param anywhere: whether it means names in any folder, not paths.
    """

    negated: bool
    only_folders: bool
    anywhere: bool
    expression: re.Pattern[str]

    @classmethod
    def parse(cls, line: str) -> IgnorePattern | None:
        """Read a line, None for a comment, an empty line and a pattern that matches nothing."""
        text = _strip(line)
        if text.startswith("#"):
            return None
        negated = text.startswith("!")
        text = text.removeprefix("!")
        only_folders = text.endswith("/")
        text = text.removesuffix("/")
        anywhere = "/" not in text
        text = text.removeprefix("/")
        if not text:
            return None
        return cls(negated, only_folders, anywhere, re.compile(translate(text)))

    def matches(self, path: str, *, folder: bool) -> bool:
        """Return whether a path itself matches, not a folder that it is in."""
        if self.only_folders and not folder:
            return False
        return self.expression.match(path.rpartition("/")[2] if self.anywhere else path) is not None


def _strip(line: str) -> str:
    """Take the spaces off a line's end, but not one behind a backslash."""
    text = line.rstrip(" ")
    backslashes = len(text) - len(text.rstrip("\\"))
    return text + " " if backslashes % 2 and len(text) < len(line) else text
