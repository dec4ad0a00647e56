"""The texts that a document was read from, and errors that show where in them something is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from airflow_ml_pipelines.core.errors import DefinitionError, MlPipelinesError
from airflow_ml_pipelines.core.stores.credentials import looks_secret
from airflow_ml_pipelines.written.excerpt import show_excerpt
from airflow_ml_pipelines.written.mask import mask_lines
from airflow_ml_pipelines.written.positions import Found, locate
from airflow_ml_pipelines.written.problems import Path as DocumentPath
from airflow_ml_pipelines.written.problems import Problem
from airflow_ml_pipelines.written.syntax import split_lines
from airflow_ml_pipelines.written.values import compose

__all__ = ["Finding", "Layer", "Source"]


_KEEPERS = (("options",), ("variables",), ("pip_options",))
"""Fields below which secrets are named; a single value in place of them is most likely one."""


class Finding(NamedTuple):
    """Something that is wrong, and where; line and column from 1.

    :param excerpt: the line with a mark; empty where there is none to show.
    """

    file: str
    line: int
    column: int
    length: int
    message: str
    excerpt: str = ""

    def __str__(self) -> str:
        """Return it as people read it, in one to three lines."""
        head = f"{self.file}:{self.line}:{self.column}: {self.message}"
        return f"{head}\n{self.excerpt}" if self.excerpt else head


class Layer:
    """A text that a document, or a part of it, was read from.

    :param file: None for text that is in no file.
    :ivar found: what is wrong with the text as YAML.
    """

    def __init__(self, text: str = "", file: Path | None = None) -> None:
        self.text = text
        self.file = file
        self.found: tuple[Found, ...] = ()

    def compose(self) -> Any:
        """Return the tree of nodes; None where there is none."""
        try:
            return compose(self.text)
        except Exception:  # noqa: BLE001 - without positions the problems still count
            return None


class Source:
    """What a document was read from. Never makes two documents different.

    :param layers: the file's own text, and those that it extends; none for what was made in code.
    :cvar error: what is raised for problems.
    """

    error: type[MlPipelinesError] = DefinitionError

    def __init__(self, layers: Sequence[Layer] = ()) -> None:
        self.layers = tuple(layers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source)

    __hash__ = None  # type: ignore[assignment]

    @property
    def file(self) -> Path | None:
        """The file; None where there is none."""
        return self.layers[0].file if self.layers else None

    @property
    def text(self) -> str:
        """The text of the file; empty where there is none."""
        return self.layers[0].text if self.layers else ""

    @property
    def folder(self) -> Path | None:
        """The folder of the file."""
        return self.file.parent if self.file else None

    @property
    def is_damaged(self) -> bool:
        """Whether something is wrong with a text as YAML."""
        return any(layer.found for layer in self.layers)

    def is_secret(self, path: DocumentPath) -> bool:
        """Return whether the value at a path may be a secret, which is never shown."""
        misplaced = path[-1:] in _KEEPERS or path[-2:-1] == ("url",)
        return misplaced or any(looks_secret(str(part)) for part in path)

    def refuse(self, problems: Iterable[Problem] = (), *, what: str = "") -> None:
        """Raise an error with all problems, with their positions in the text; do nothing where there are none.

        :param what: what the problems are of, where there is no text.
        :raises MlPipelinesError: its ``problems`` are those that were given, each once; its ``findings`` have places.
        """
        unique = tuple(dict.fromkeys(problems))
        if not unique and not self.is_damaged:
            return
        if self.layers:
            findings = self.find(unique)
            error = self.error("\n".join(map(str, findings)))
            error.findings = findings
        else:
            head = f"{what}: " if what else ""
            error = self.error("\n".join(f"{head}{problem}" for problem in unique))
        error.problems = unique
        raise error from None

    def find(self, problems: Iterable[Problem]) -> tuple[Finding, ...]:
        """Return problems with their places in the texts, in their order, and what is wrong with the texts as YAML."""
        roots = [layer.compose() for layer in self.layers]
        places = {(index, found) for index, layer in enumerate(self.layers) for found in layer.found}
        damaged = {(index, found.line, found.column) for index, found in places}
        located = (locate(roots, problem) for problem in problems)
        places |= {(index, at) for index, at in located if (index, at.line, at.column) not in damaged}
        shown = [
            mask_lines(split_lines(layer.text), root, self.is_secret)
            for layer, root in zip(self.layers, roots, strict=True)
        ]
        return tuple(self._show(self.layers[index], found, shown[index]) for index, found in sorted(places))

    def _show(self, layer: Layer, found: Found, lines: list[str]) -> Finding:
        name = str(layer.file) if layer.file else "<text>"
        excerpt, message = "", found.message
        if found.line < len(lines) and lines[found.line].strip():
            if message.endswith("found nothing") and " #" in lines[found.line][found.column :]:
                message += ": text after ` #` is a comment, unless it is in quotes"
            excerpt = show_excerpt(lines[found.line], found.line + 1, found.column, found.length)
        return Finding(name, found.line + 1, found.column + 1, found.length, message, excerpt)
