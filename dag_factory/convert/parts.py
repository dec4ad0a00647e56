"""Reads the documents of Azure ML, and remembers which fields were read and what could not be carried over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.written.problems import Path as Place
from airflow_ml_pipelines.written.problems import Problem, describe_value
from airflow_ml_pipelines.written.read import build, open_layer
from airflow_ml_pipelines.written.source import Finding, Source

__all__ = ["Document", "Notes", "Part"]


class Notes:
    """What could not be carried over, and where it stands."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, Problem], Document] = {}

    def add(self, document: Document, place: Place, message: str, *, at_key: bool = False) -> None:
        """Add what could not be carried over from a place of a document; nothing twice."""
        self._found.setdefault((id(document.layer), Problem(place, message, at_key=at_key)), document)

    def findings(self) -> tuple[Finding, ...]:
        """Return all of it with files and lines, in their order."""
        found = [document.find(problem) for (_, problem), document in self._found.items()]
        return tuple(sorted(found, key=lambda item: (item.file, item.line, item.column)))


class Document:
    """A YAML file.

    :raises DefinitionError: where it can't be read, or is no mapping.
    """

    def __init__(self, file: Path, notes: Notes) -> None:
        self.file = file
        self.notes = notes
        self.layer = open_layer(file, DefinitionError)
        value = build(self.layer)
        source = Source([self.layer])
        source.refuse(
            [] if isinstance(value, dict) or self.layer.found else [Problem((), "expected a mapping")]
        )
        self.top = Part(self, (), value)

    def find(self, problem: Problem) -> Finding:
        """Return a problem with its place in the file."""
        return Source([self.layer]).find([problem])[0]


class Part:
    """A mapping in a document.

    :param place: where in the document it is.
    """

    def __init__(self, document: Document, place: Place, value: dict[str, Any]) -> None:
        self.document = document
        self.place = place
        self.value = value
        self._left = dict.fromkeys(value)

    @property
    def folder(self) -> Path:
        """The folder of the file, which paths in it are relative to."""
        return self.document.file.parent

    def take(self, name: str) -> Any:
        """Return the value of a field, None where there is none; it counts as read."""
        self._left.pop(name, None)
        return self.value.get(name)

    def text(self, name: str) -> str | None:
        """Return the text of a field; what is no text is noted."""
        value = self.take(name)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        self.note(f"expected text, found {describe_value(value)}", name)
        return None

    def part(self, name: str) -> Part | None:
        """Return the mapping of a field; what is none is noted."""
        value = self.take(name)
        if isinstance(value, dict):
            return self.below(name, value)
        if value is not None:
            self.note(f"expected a mapping, found {describe_value(value)}", name)
        return None

    def below(self, name: str, value: dict[str, Any]) -> Part:
        """Return a mapping that is the value of a field."""
        return Part(self.document, (*self.place, name), value)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield all fields; all count as read."""
        self._left.clear()
        yield from self.value.items()

    def note(self, message: str, *names: str, at_key: bool = False) -> None:
        """Note what could not be carried over.

        :param names: the field that it is about, and fields in that; the mapping itself for none.
        """
        self.document.notes.add(self.document, (*self.place, *names), message, at_key=at_key)

    def note_rest(self, reasons: dict[str, str]) -> None:
        """Note every field that was not read.

        :param reasons: by the names of fields: what to say besides.
        """
        for name in self._left:
            reason = reasons.get(name)
            self.note(f"not carried over{f': {reason}' if reason else ''}", name, at_key=True)
        self._left.clear()
