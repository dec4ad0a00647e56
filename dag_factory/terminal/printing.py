"""Prints results: tables and colours for people, one JSON document for machines.

rich draws the tables. It is imported when the first one is drawn, so a command that draws none does not pay for it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

__all__ = ["moment_text", "paint", "print_json", "print_line", "print_table", "shows_colours"]

_STYLES = {
    "failed": "red",
    "error": "red",
    "broken": "red",
    "canceled": "yellow",
    "warning": "yellow",
    "damaged": "yellow",
    "depends": "yellow",
    "reused": "cyan",
    "reuse": "cyan",
    "finished": "green",
    "ok": "green",
    "running": "blue",
}
_PIPE = 1_000_000
_CONTROL = dict.fromkeys((*range(32), *range(127, 160))) | dict.fromkeys(b"\n\t", " ")


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO | None = None) -> None:
    """Print rows under a head with aligned columns; a cell that is the word of a status has its colour.

    On a terminal the widest columns are wrapped to its width; elsewhere a row is a line, however long. Nothing is cut.
    """
    from io import StringIO

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    stream = stream or sys.stdout
    colours = shows_colours(stream)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold" if colours else "")
    for title in head:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell.translate(_CONTROL), _STYLES.get(cell.lower(), "")) for cell in row))
    drawn = StringIO()
    Console(
        file=drawn,
        width=None if stream.isatty() else _PIPE,
        force_terminal=colours,
        force_jupyter=False,
        no_color=not colours,
        color_system="standard" if colours else None,
        legacy_windows=False,
    ).print(table)
    stream.writelines(f"{line.rstrip()}\n" for line in drawn.getvalue().splitlines())


def print_json(document: Any, stream: TextIO | None = None) -> None:
    """Print what ``--json`` asks for: one document.

    :param document: a struct or dict with a ``schema``, as everything that is stored has.
    """
    from airflow_ml_pipelines.core.documents import write_document

    (stream or sys.stdout).write(write_document(document).decode())


def print_line(text: str, status: str = "", stream: TextIO | None = None) -> None:
    """Print a line in the colour of a status."""
    stream = stream or sys.stdout
    stream.write(paint(text, status, stream) + "\n")


def paint(text: str, status: str, stream: TextIO) -> str:
    """Return text in the colour of a status where a stream shows colours."""
    style = _STYLES.get(status.lower())
    if style is None or not shows_colours(stream):
        return text
    from rich.style import Style

    return Style.parse(style).render(text)


def shows_colours(stream: TextIO) -> bool:
    """Return whether what is written there may have colours: a terminal's, or where ``FORCE_COLOR`` is set.

    ``NO_COLOR`` comes first.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def moment_text(seconds: float) -> str:
    """Return a moment as people here read it.

    :param seconds: since the epoch.
    """
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
