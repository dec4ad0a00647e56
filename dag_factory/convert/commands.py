"""Turns the command of a job into a script and its arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Command", "CommandError", "read_command"]

_BINDING = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)
_OPERATOR = re.compile(r"[;&|<>`]|\$\(|\$[A-Za-z_{(]|\n")
_PYTHON = re.compile(r"(?:.*/)?python(?:3(?:\.\d+)?)?")
_MARK = "\ue000{}\ue001"  # from a range of characters that mean nothing to anybody
_MARKED = re.compile("\ue000(\\d+)\ue001")


class CommandError(Exception):
    """A command that no script and arguments can stand for."""


class Command(NamedTuple):
    """What a step runs.

    :param arguments: texts and, for ``${{ … }}``, what is in the braces: ``("--in=", ("inputs.x",))`` and the like.
    """

    script: str
    arguments: list[list[str | tuple[str]]]


def read_command(text: str, is_given: Callable[[str], bool]) -> Command:
    """Return what a command runs.

    :param is_given: tells whether an input has a value; the parts in ``$[[…]]`` whose inputs have none are left out.
    :raises CommandError: where it needs a shell, or runs something else than a Python script.
    """
    bindings: list[str] = []

    def mark(found: re.Match[str]) -> str:
        bindings.append(found[1])
        return _MARK.format(len(bindings) - 1)

    def choose(found: re.Match[str]) -> str:
        names = [
            name
            for kind, _, name in (inner.partition(".") for inner in _BINDING.findall(found[1]))
            if kind == "inputs"
        ]
        return found[1] if all(map(is_given, names)) else ""

    line = _BINDING.sub(mark, _OPTIONAL.sub(choose, text)).replace("\\\n", " ").strip()
    outside = re.sub(r"'[^']*'", "", line)
    if found := _OPERATOR.search(re.sub(r'"[^"$`]*"', "", outside)):
        shown = "several lines" if found[0] == "\n" else f"`{found[0].strip('{(')}`"
        raise CommandError(f"it has {shown}, which needs a shell: put what it does into a script")
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise CommandError(f"it can't be read: {error}") from None
    if not words or not _PYTHON.fullmatch(words[0]):
        raise CommandError(f"it runs {words[0] if words else 'nothing'!r}, and a step runs a Python script")
    words = words[2:] if words[1:2] == ["-u"] else words[1:]
    script, *rest = words or [""]
    if script.startswith("-"):
        raise CommandError(f"it runs `python {script}`, and a step runs a script by its path")
    if not script.endswith(".py") or _MARKED.search(script):
        raise CommandError(f"{_shown(script, bindings)!r} is not the path of a Python script")
    return Command(script.removeprefix("./"), [_segments(word, bindings) for word in rest])


def _segments(word: str, bindings: list[str]) -> list[str | tuple[str]]:
    parts = _MARKED.split(word)
    segments = [(bindings[int(part)],) if place % 2 else part for place, part in enumerate(parts)]
    return [segment for segment in segments if segment]


def _shown(word: str, bindings: list[str]) -> str:
    return _MARKED.sub(lambda found: "${{" + bindings[int(found[1])] + "}}", word)
