r"""Matches relative paths with git's patterns.

In a pattern ``*`` and ``?`` stand for any characters or one but never for a ``/``, ``[a-z]``, ``[!a]`` and
``[[:digit:]]`` for one of some characters, ``**`` between slashes for any number of folders, and ``\`` takes the next
character as it is. A pattern that is not complete (``[a``, ``a\``) matches nothing, as in git.

Checked against git itself. (Of the packages that know these patterns, pathspec also matches what is *in* a folder that
matches; so ``!src/`` after ``build/`` brings ``src/build/`` back, which git leaves out.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["MAGIC", "IgnorePattern", "translate"]

MAGIC: Final = frozenset("*?[")
"""The characters that make a path a pattern."""

_NEVER = "(?!)"
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r" \t\n\r\f\v",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
# the second branch is a bracket that is never closed
_BRACKET = re.compile(r"\[(?P<not>[!^]?)(?P<items>\]?(?:\[:[a-z]*:\]|\\.|[^\]\\])*)\]|\[", re.DOTALL)
_ITEM = re.compile(r"\[:(?P<class>[a-z]*):\]|(?P<low>\\.|.)(?:-(?P<high>\\.|[^\]]))?", re.DOTALL)
_TOKEN = re.compile(
    r"(?P<folders>(?<![^/])\*{2,}/)|(?P<rest>(?<![^/])\*{2,}\Z)|(?P<stars>\*+)|(?P<one>\?)", re.DOTALL
)


def translate(pattern: str) -> str:
    """Return the regular expression that a whole path matches where it matches a pattern."""
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        if token is not None:
            parts.append(
                {"folders": "(?:.*/)?", "rest": ".+", "stars": "[^/]*", "one": "[^/]"}[token.lastgroup or ""]
            )
            position = token.end()
        elif pattern[position] == "[":
            bracket = _BRACKET.match(pattern, position)
            assert bracket is not None  # the second branch
            parts.append(_bracket(bracket))
            position = bracket.end()
        elif pattern[position] == "\\":
            escaped = pattern[position + 1 : position + 2]
            parts.append(re.escape(escaped) or _NEVER)
            position += 2
        else:
            parts.append(re.escape(pattern[position]))
            position += 1
    return "(?s:" + "".join(parts) + r")\Z"


def _bracket(bracket: re.Match[str]) -> str:
    items = bracket["items"]
    if items is None:
        return _NEVER
    ranges: list[str] = []
    for item in _ITEM.finditer(items):
        if item["class"] is not None:
            if item["class"] not in _CLASSES:
                return _NEVER
            ranges.append(_CLASSES[item["class"]])
            continue
        low = item["low"][-1]
        high = item["high"][-1] if item["high"] else low
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if not ranges:
        return "[^/]" if bracket["not"] else _NEVER
    return f"(?!/)[{'^' if bracket['not'] else ''}{''.join(ranges)}]"


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
