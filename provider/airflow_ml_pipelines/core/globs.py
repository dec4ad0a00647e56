r"""Matches paths against wildcards, as git does.

In a pattern ``*`` and ``?`` stand for any characters or one but never for a ``/``, ``[a-z]``, ``[!a]``, ``[^a]`` and
``[[:digit:]]`` for one of some characters, ``**`` between slashes for any number of folders, and ``\`` takes the next
character as it is. A pattern that is not complete (``[a``, ``a\``) matches nothing, as in git.

Patterns of ignore files and globs of data are read here alone, so that they mean the same in a workspace and in a
script, whose environment may have an older Python.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compile_glob", "glob_matcher", "is_glob", "split_glob", "translate"]

_MAGIC = frozenset("*?[")
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


def is_glob(path: str) -> bool:
    """Return whether a path has ``*``, ``?`` or ``[``."""
    return not _MAGIC.isdisjoint(path)


def split_glob(pattern: str) -> tuple[str, str]:
    """Return the folder above the first segment of a glob that has a sign, and the rest."""
    segments = pattern.split("/")
    for index, segment in enumerate(segments):
        if is_glob(segment):
            return "/".join(segments[:index]), "/".join(segments[index:])
    return pattern, ""


def glob_matcher(pattern: str) -> Callable[[str], bool]:
    """Return a check for the paths that a glob of data stands for."""
    match = compile_glob(pattern).match
    return lambda path: match(path) is not None


def compile_glob(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a glob of data, in whose names a backslash is one."""
    return re.compile(translate(pattern.replace("\\", "\\\\")))


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
