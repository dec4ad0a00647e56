"""Shows a place in a text: the line, and marks below what is wrong."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["show_excerpt"]

_WIDEST = 140
_AROUND = 60


def show_excerpt(line: str, number: int, column: int, length: int) -> str:
    """Return a line with its number, and a line below it with a mark.

    :param number: the line's, from 1.
    :param column: where the mark begins, from 0.
    :param length: how many characters are marked.
    """
    length = max(1, min(length, len(line) - column))
    if len(line) > _WIDEST:
        line, column, length = _cut(line, column, length)
    blank = "".join(_blank(character) for character in line[:column])
    marks = "^" * max(1, sum(map(_width, line[column : column + length])))
    margin = " " * len(str(number))
    return f"  {number} | {_printable(line)}\n  {margin} | {blank}{marks}"


def _cut(line: str, column: int, length: int) -> tuple[str, int, int]:
    begin = max(0, column - _AROUND)
    end = min(len(line), begin + _WIDEST)
    head, tail = "…" if begin else "", "…" if end < len(line) else ""
    return f"{head}{line[begin:end]}{tail}", column - begin + len(head), min(length, end - column)


def _blank(character: str) -> str:
    return "\t" if character == "\t" else " " * _width(character)


def _width(character: str) -> int:
    if character == "\t" or character.isascii():
        return 1
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _printable(line: str) -> str:
    """Return a line without characters that a terminal takes for orders."""
    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\ufffd", line)
