"""The ``${{ … }}`` bindings of a pipeline definition: how text names inputs, outputs, parameters and other steps.

The grammar::

    text      = { literal | binding }
    binding   = "${{" { space } reference { space } "}}"
    reference = "inputs."     name
              | "outputs."    name
              | "parameters." name
              | "steps."      name ".outputs." name
    name      = ( letter | digit | "_" ) { letter | digit | "_" | "-" }

A binding may stand inside other text (``--input=${{ inputs.images }}``). Where text is to have ``${{`` itself, its
dollar sign is doubled: ``$${{`` is the literal ``${{``, and ``$$${{ inputs.x }}`` is a dollar sign and a binding. Dollar
signs elsewhere are not touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from airflow_ml_pipelines.core.errors import DefinitionError

__all__ = [
    "Binding",
    "BindingError",
    "escape",
    "format_segments",
    "parse",
]

_MARK = re.compile(r"(\$+)\{\{")
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
_REFERENCE = re.compile(rf"(inputs|outputs|parameters)\.({_NAME})|steps\.({_NAME})\.outputs\.({_NAME})")
_TRAILING_DOLLARS = re.compile(r"\$+\Z")
_FORMS = "inputs.<name>, outputs.<name>, parameters.<name> or steps.<step>.outputs.<name>"


class BindingError(DefinitionError):
    """A binding that can't be read.

    :param position: the index of the character in the text at which it goes wrong.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


class Binding(NamedTuple):
    """A reference in text.

    :param kind: what is named; ``steps`` is an output of another step.
    :param name: the name of the input, output or parameter.
    :param step: the id of the other step, for ``steps``.
    :param position: the index in the text at which the binding begins.
    """

    kind: Literal["inputs", "outputs", "parameters", "steps"]
    name: str
    step: str = ""
    position: int = 0

    def __str__(self) -> str:
        """Return the binding as it is written."""
        path = (
            f"steps.{self.step}.outputs.{self.name}" if self.kind == "steps" else f"{self.kind}.{self.name}"
        )
        return "${{" + path + "}}"


def parse(text: str) -> tuple[str | Binding, ...]:
    """Return the literal texts and bindings that text is made of; no empty literals, no two in a row.

    :raises BindingError: where a binding is not closed, or names nothing that can be named.
    """
    if "${{" not in text:
        return (text,) if text else ()
    segments: list[str | Binding] = []
    literal = ""
    position = 0
    while mark := _MARK.search(text, position):
        dollars = len(mark[1])
        literal += text[position : mark.start()] + "$" * (dollars // 2)
        position = mark.end()
        if dollars % 2 == 0:
            literal += "{{"
            continue
        start = position - 3
        end = text.find("}}", position)
        if end < 0:
            raise BindingError(
                "`${{` is never closed: write `${{ … }}`, or `$${{` for the characters themselves", start
            )
        if literal:
            segments.append(literal)
            literal = ""
        segments.append(_read(text[position:end], start))
        position = end + 2
    literal += text[position:]
    if literal:
        segments.append(literal)
    return tuple(segments)


def _read(inside: str, start: int) -> Binding:
    found = _REFERENCE.fullmatch(inside.strip())
    if found is None:
        raise BindingError(f"`${{{{{inside}}}}}` names nothing: expected {_FORMS}", start)
    if found[1]:
        return Binding(found[1], found[2], position=start)  # type: ignore[arg-type]
    return Binding("steps", found[4], found[3], start)


def format_segments(segments: Iterable[str | Binding]) -> str:
    """Return the text that :func:`parse` reads as these segments."""
    text = ""
    for segment in segments:
        if isinstance(segment, Binding):
            text = _TRAILING_DOLLARS.sub(lambda run: run[0] * 2, text)
            text += str(segment)
        else:
            text += escape(segment)
    return text


def escape(text: str) -> str:
    """Return the text that :func:`parse` reads as this literal."""
    return _MARK.sub(lambda mark: mark[1] * 2 + "{{", text) if "${{" in text else text
