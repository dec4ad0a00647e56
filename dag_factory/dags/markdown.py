"""Writes Markdown in which text from elsewhere stays text: no markup, no HTML, no cell or fence of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["closed", "code", "fence", "plain", "table"]

_MARKUP = re.compile(r"[\\`*\[\]|~#]|(?<![^\W_])_|_(?![^\W_])|^[-+=:]")
"""What means something: a sign within a line, an underscore at the edge of a word, what begins a list or a rule."""

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")


def plain(text: str) -> str:
    """Return text in one line, with everything escaped that could mean something in Markdown or HTML."""
    text = " ".join(text.split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", _MARKUP.sub(r"\\\g<0>", text))


def code(text: str) -> str:
    """Return text as code in a line; as plain text where it has what a table takes for the end of a cell."""
    text = " ".join(text.split())
    if not text or "|" in text:
        return plain(text)
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in (text[0], text[-1]) else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table.

    :param rows: of Markdown, as :func:`plain` and :func:`code` return it.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def fence(text: str, language: str) -> str:
    """Return text as a block of code."""
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def closed(text: str) -> str:
    """Return Markdown of somebody else with the end of a block of code or comment that it leaves open."""
    mark = ""
    for line in text.splitlines():
        found = _FENCE.match(line)
        if found is None:
            continue
        if not mark:
            mark = found[1]
        elif found[1].startswith(mark) and not found[2].strip():
            mark = ""
    if mark:
        return f"{text.rstrip()}\n{mark}"
    return f"{text.rstrip()} -->" if text.rfind("<!--") > text.rfind("-->") else text.rstrip()
