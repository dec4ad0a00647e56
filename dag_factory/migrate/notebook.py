"""Reads the code of a Jupyter notebook as one module, and puts a module back into its cells."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from airflow_ml_pipelines.core.errors import DefinitionError

__all__ = ["Cell", "Notebook"]

# lines of IPython stand in the module as comments, with all that they have
_IPYTHON: Final = re.compile(r"^(\s*)([%!?].*|[\w.]+\?{1,2})$", re.MULTILINE)
_HIDDEN: Final = re.compile(r"^(\s*)pass  # ipython:(.*)$", re.MULTILINE)
_MARK: Final = "# ipython:cell"

_LAYOUTS: Final[tuple[dict[str, Any], ...]] = (
    {"indent": 1, "ensure_ascii": False},
    {"indent": 1},
    {"indent": 2, "ensure_ascii": False},
    {"indent": 2},
    {"indent": 4, "ensure_ascii": False},
    {"indent": 4},
    {"ensure_ascii": False},
    {},
)


@dataclass(frozen=True)
class Cell:
    """A cell of Python.

    :param number: which of the notebook's cells it is, from 1.
    :param line: of the module that it begins with, from 1.
    """

    number: int
    line: int


class Notebook:
    """A notebook.

    Cells that are no Python (other languages, files that are written, broken syntax) are left out of the module.

    :ivar cells: those in the module.
    :ivar module: their code, one after the other.
    :raises DefinitionError: where the text is no notebook of format 4.
    """

    def __init__(self, text: str, file: str) -> None:
        try:
            self._document = json.loads(text)
            self._sources = [cell["source"] for cell in self._document["cells"]]
            kinds = [cell["cell_type"] for cell in self._document["cells"]]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise DefinitionError(
                f"{file}: expected a Jupyter notebook of format 4 (JSON with `cells`)"
            ) from None
        self._text = text
        self.cells: list[Cell] = []
        pieces: list[str] = []
        line = 1
        for number, (kind, source) in enumerate(zip(kinds, self._sources, strict=True), 1):
            code = _hide(_joined(source)) if kind == "code" else None
            if code is None:
                continue
            self.cells.append(Cell(number, line + 1))
            pieces.append(f"{_MARK}\n{code}\n")
            line += pieces[-1].count("\n")
        self.module = "".join(pieces)

    def find(self, line: int) -> tuple[Cell, int]:
        """Return the cell that a line of the module is in, and which line of the cell it is."""
        cell = max((cell for cell in self.cells if cell.line <= line), key=lambda item: item.line)
        return cell, line - cell.line + 1

    def source(self, number: int) -> str:
        """Return the code of a cell, as it is in the notebook."""
        return _joined(self._sources[number - 1])

    def changed(self, module: str) -> tuple[str, dict[int, str]]:
        """Return the notebook's text with the code of a module, and the code of the cells that changed by their numbers.

        :param module: the notebook's own, changed within its cells.
        """
        texts = [piece[1:-1] for piece in re.split(f"^{re.escape(_MARK)}$", module, flags=re.MULTILINE)[1:]]
        assert len(texts) == len(self.cells)
        changes: dict[int, str] = {}
        for cell, text in zip(self.cells, texts, strict=True):
            code = _HIDDEN.sub(r"\1\2", text)
            if code == self.source(cell.number):
                continue
            changes[cell.number] = code
            source = self._sources[cell.number - 1]
            self._document["cells"][cell.number - 1]["source"] = (
                code if isinstance(source, str) else code.splitlines(keepends=True)
            )
        return self._written(), changes

    def _written(self) -> str:
        end = "\n" if self._text.endswith("\n") else ""
        before = json.loads(self._text)
        for layout in _LAYOUTS:
            if json.dumps(before, **layout) + end == self._text:
                return json.dumps(self._document, **layout) + end
        return json.dumps(self._document, **_LAYOUTS[0]) + end


def _joined(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)


def _hide(code: str) -> str | None:
    """Return code with the lines of IPython hidden; None for what is no Python."""
    if _MARK in code or _HIDDEN.search(code):
        return None
    first = code.lstrip().split("\n", 1)[0]
    if first.startswith("%%") and first.split()[0] not in ("%%time", "%%timeit", "%%capture"):
        return None
    hidden = _IPYTHON.sub(r"\1pass  # ipython:\2", code)
    try:
        ast.parse(hidden)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return hidden
