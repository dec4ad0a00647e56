"""Reads the files with broken documents: each has cases of a title, a text, and what is said of it.

::

    === a field that there is not
    steps:
      train: {script: a.py, scrpt: b.py}
    !!! 2:25: steps.train.scrpt: unknown field. Did you mean 'script'? …

A line ``=== …`` begins a case, the lines that begin with ``!!!`` end it: all that is wrong, in its order, with line and
column. A message that ends with ``…`` goes on. Where a line can't be written as it is, ``\\t``, ``\\r``, ``\\0``, ``\\ufeff``
and the like are for characters, if the title ends with ``(escaped)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
_ESCAPE = re.compile(r"\\(?:[trn0\\]|x[0-9a-f]{2}|u[0-9a-f]{4})")


class Case(NamedTuple):
    """A text that is wrong.

    :param messages: with ``line:column: `` before each.
    """

    title: str
    text: str
    messages: list[str]

    def fits(self, found: Sequence[str]) -> bool:
        """Return whether the messages are those that are expected."""
        return len(found) == len(self.messages) and all(map(_fits, self.messages, found))


def read_cases(folder: str) -> list:
    """Return the cases of all files in a folder, as parameters of a test."""
    return [
        pytest.param(case, id=f"{file.stem}-{case.title}")
        for file in sorted((HERE / folder).glob("*.txt"))
        for case in _read(file)
    ]


def _read(file: Path) -> Iterator[Case]:
    for block in file.read_text("utf-8").split("=== ")[1:]:
        title, _, rest = block.partition("\n")
        lines = rest.split("\n")
        messages = [line.removeprefix("!!! ") for line in lines if line.startswith("!!! ")]
        text = "".join(f"{line}\n" for line in lines[: lines.index(f"!!! {messages[0]}")])
        if title.endswith(" (escaped)"):
            text = _ESCAPE.sub(lambda found: found[0].encode().decode("unicode_escape"), text)
        yield Case(title, text, messages)


def _fits(expected: str, found: str) -> bool:
    return found.startswith(expected[:-1]) if expected.endswith("…") else found == expected
