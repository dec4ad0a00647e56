"""Says in plain words what keeps text from being YAML."""

from __future__ import annotations

import re
from typing import Any

from airflow_ml_pipelines.written.positions import Found
from airflow_ml_pipelines.written.values import DEEPEST

__all__ = ["explain", "split_lines"]

_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_NO_YAML = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)  # nor a byte order mark in the middle
_BINDING = 'inside of [ ] and { } a `${{ … }}` needs quotes: "${{ … }}"'
_ESCAPE = "in double quotes `\\` begins an escape: put text with `\\` in it in single quotes"
_ALIAS = "text that begins with `*` needs quotes; without them it is an alias"
_CLOSES = "there is nothing that this closes"
_MESSAGES = (
    ("it is nested", f"it is nested more than {DEEPEST} levels deep"),
    (
        "mapping values are not allowed",
        "a `:` where no field can be: the indentation is wrong, the field above lacks its `:`, or text needs quotes",
    ),
    ("undefined alias", f"an alias of an anchor that does not exist above it: {_ALIAS}"),
    ("expected alphabetic or numeric", _ALIAS),
    ("unknown escape character", _ESCAPE),
    ("hexdecimal number", _ESCAPE),
    ("Unicode character escape", "no character has this number"),
    ("found another document", "a file has one document: take out what begins with this `---`"),
    ("expected <document start>", "expected the end of the file: it has one document"),
    (
        "did not find expected key",
        "no field can begin here: the indentation is wrong, or text above has quotes in the middle",
    ),
    ("expected '-' indicator", "expected `- `, as for the items above, or another indentation"),
    ("block sequence entries are not", "a `- ` where no list can be: begin the list in a line of its own"),
    ("undefined tag handle", "text that begins with `!` needs quotes"),
    ("unknown directive name", "text that begins with `%` needs quotes"),
    ("expected node content", _CLOSES),
)
_FROM_BEGIN = (
    ("could not find expected ':'", "expected a field, `name: value`, found text alone"),
    ("quoted scalar", "a quote that is never closed"),
    ("flow sequence", "a `[` that is never closed, or lacks a `,`"),
    ("flow mapping", "a `{` that is never closed, or lacks a `,`"),
)
_CLOSING = {"flow sequence": "]", "flow mapping": "}"}


def split_lines(text: str) -> list[str]:
    """Return the lines of a text as YAML counts them."""
    return _BREAK.split(text)


def explain(error: Any, text: str) -> Found:
    """Return what is wrong with text that is no YAML, in words that help."""
    lines = split_lines(text)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return _unreadable(error, text)
    line, column = mark.line, mark.column
    if not any(shown.strip() for shown in lines[line:]):  # the end of the text
        line = max((number for number, shown in enumerate(lines) if shown.strip()), default=0)
        column = len(lines[line])
    shown = lines[line]
    binding = shown.find("${{")
    blank = shown[: len(shown) - len(shown.lstrip())]
    if 0 <= binding <= column + 1 and shown[:binding].rstrip()[-1:] in ("[", "{", ",", ":"):
        return Found(line, binding, 3, _BINDING)
    if "\t" in blank:
        return Found(line, blank.index("\t"), 1, "a tab in the indentation: YAML takes spaces only")
    return _explain_at(error, line, column, shown)


def _explain_at(error: Any, line: int, column: int, shown: str) -> Found:
    problem, context, begin = error.problem or "", error.context or "", error.context_mark
    character = shown[column : column + 1]
    message = next((text for part, text in _MESSAGES if part in problem), None)
    if "cannot start any token" in problem and character:
        shown = f"`{character}`" if character != "`" else "a backtick"
        message = f"text that begins with {shown} needs quotes"
    elif "expected key" in problem and character in ("]", "}"):
        message = _CLOSES
    elif message == _CLOSES and character not in ("]", "}"):
        message = "a value is missing here, or the end of a `[` or `{`"
    elif begin and not message:
        closing = next((sign for part, sign in _CLOSING.items() if part in context), None)
        if closing and begin.line == line and character:
            message = f"expected `,` or `{closing}` before this"
        else:
            message = next((text for part, text in _FROM_BEGIN if part in f"{context}: {problem}"), None)
            line, column = (begin.line, begin.column) if message else (line, column)
    if not message:
        where = f" (it begins in line {begin.line + 1})" if context and begin else ""
        message = f"this is no YAML: {f'{context}: ' if context else ''}{problem}{where}"
    return Found(line, column, 1, message)


def _unreadable(error: Any, text: str) -> Found:
    """Return what is wrong with characters that YAML does not have."""
    found = _NO_YAML.search(text)
    message = f"this is no YAML: {getattr(error, 'reason', None) or error}"
    if found is not None:
        shown = f"the character U+{ord(found[0]):04X} can't be in YAML"
        message = f"{shown}: take it out, or write it as an escape in double quotes"
    before = split_lines(text[: found.start()] if found else "")
    return Found(len(before) - 1, len(before[-1]), 1, message)
