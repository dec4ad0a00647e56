"""Notebooks as Databricks exports them: source with cells, or Jupyter's JSON."""

from __future__ import annotations

import ast
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from airflow_ml_pipelines.core.errors import DefinitionError

__all__ = ["HEADER", "Cell", "called", "included", "is_notebook", "join_path", "read_cells", "split_sql"]

HEADER = "# Databricks notebook source"
"""The first line of a Python notebook in source form."""

_SEPARATOR = re.compile(r"^# COMMAND -+[ \t]*$", re.MULTILINE)
_MAGIC = "# MAGIC"
_PERCENT = re.compile(r"%(\w+)[ \t]*(.*)", re.DOTALL)
_QUOTED = r"\"[^\"]*\"|'[^']*'|"
_RUN = re.compile(rf"({_QUOTED}[^\s\"']\S*)((?:\s+\$\w+\s*=\s*(?:{_QUOTED}[^\s\"']\S*))*)\s*")
_GIVEN = re.compile(rf"\$(\w+)\s*=\s*({_QUOTED}[^\s\"']\S*)")
_SQL = re.compile(
    r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|;|[^'\"`;/-]+|.", re.DOTALL
)


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook.

    :param kind: ``python``, or the name of the magic that it begins with, such as ``run`` or ``sql``.
    :param text: the code, the text or the SQL; of ``run`` the path.
    :param line: of the file, at which it begins, counted from 1.
    :param given: the widgets that a ``run`` sets.
    """

    kind: str
    text: str
    line: int
    given: Mapping[str, str] = field(default_factory=dict)


def is_notebook(source: bytes, path: str) -> Literal["source", "jupyter"] | None:
    """Return in which form a file is a notebook, None where it is none."""
    if path.endswith(".ipynb"):
        return "jupyter"
    return "source" if source.lstrip(b"\xef\xbb\xbf").startswith(HEADER.encode()) else None


def read_cells(source: bytes, path: str) -> list[Cell]:
    """Return the cells of a notebook. :raises DefinitionError: where it is none."""
    try:
        text = source.decode("utf-8-sig")
        if is_notebook(source, path) == "jupyter":
            return [
                _cell("".join(item["source"]), 1, path)
                for item in json.loads(text)["cells"]
                if item["cell_type"] == "code"
            ]
    except (ValueError, KeyError, TypeError) as error:
        raise DefinitionError(f"notebook {path} can't be read: {type(error).__name__}: {error}") from None
    cells, line = [], 1
    for part in _SEPARATOR.split(text.replace("\r\n", "\n")):
        cells.append(_cell(part, line, path))
        line += part.count("\n")
    return cells


def included(source: bytes, path: str) -> list[str]:
    """Return what a notebook runs by ``%run``, as it is written there."""
    return [cell.text for cell in read_cells(source, path) if cell.kind == "run"]


def called(source: bytes, path: str) -> list[str]:
    """Return what a notebook runs by ``dbutils.notebook.run``, where the path is written there."""
    found = []
    for cell in read_cells(source, path):
        if cell.kind != "python":
            continue
        try:
            tree = ast.parse(cell.text)
        except (SyntaxError, ValueError, RecursionError):
            continue
        found += [name for node in ast.walk(tree) if (name := _called(node)) is not None]
    return found


def _called(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call) or ast.unparse(node.func) != "dbutils.notebook.run":
        return None
    given = [*node.args[:1], *(item.value for item in node.keywords if item.arg == "path")]
    if given and isinstance(given[0], ast.Constant) and isinstance(given[0].value, str):
        return given[0].value
    return None


def split_sql(text: str) -> Iterator[str]:
    """Yield the statements of SQL, which semicolons part; a script (``BEGIN … END``) is one."""
    parts = [""]
    for piece in _SQL.findall(text):
        if piece == ";" and not text.lstrip().upper().startswith("BEGIN"):
            parts.append("")
        else:
            parts[-1] += piece
    for part in parts:
        if _SQL.sub(lambda found: "" if found[0].startswith(("--", "/*")) else found[0], part).strip():
            yield part


def join_path(notebook: str, other: str) -> str:
    """Return the path of a notebook that another one names by ``%run``."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(notebook), other))


def _cell(text: str, line: int, path: str) -> Cell:
    lines = text.split("\n")
    magic = [item[len(_MAGIC) :].removeprefix(" ") for item in lines if item.startswith(_MAGIC)]
    body = "\n".join(magic) if magic else text
    found = _PERCENT.fullmatch(body.strip())
    if found is None:
        return Cell("python", text, line)
    kind, rest = found.groups()
    line += next(number for number, item in enumerate(lines) if item.startswith(_MAGIC if magic else "%"))
    if kind == "run":
        named = _RUN.fullmatch(rest.strip())
        if named is None:
            raise DefinitionError(
                f'notebook {path}, line {line}: %run {rest.strip()}: expected a notebook\'s path, and $name="value" for its widgets'
            )
        given = {name: value.strip("\"'") for name, value in _GIVEN.findall(named[2])}
        return Cell(kind, named[1].strip("\"'"), line, given)
    return Cell(kind, rest, line)
