"""Notebooks as Databricks exports them: source with cells, or Jupyter's JSON."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass
from typing import Literal

from airflow_ml_pipelines.core.errors import DefinitionError

__all__ = ["HEADER", "Cell", "included", "is_notebook", "join_path", "read_cells"]

HEADER = "# Databricks notebook source"
"""The first line of a Python notebook in source form."""

_SEPARATOR = re.compile(r"^# COMMAND -+[ \t]*$", re.MULTILINE)
_MAGIC = "# MAGIC"
_PERCENT = re.compile(r"%(\w+)[ \t]*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook.

    :param kind: ``python``, or the name of the magic that it begins with, such as ``run`` or ``sql``.
    :param line: of the file, at which it begins, counted from 1.
    """

    kind: str
    text: str
    line: int


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
                _cell("".join(item["source"]), 1)
                for item in json.loads(text)["cells"]
                if item["cell_type"] == "code"
            ]
    except (ValueError, KeyError, TypeError) as error:
        raise DefinitionError(f"notebook {path} can't be read: {type(error).__name__}: {error}") from None
    cells, line = [], 1
    for part in _SEPARATOR.split(text.replace("\r\n", "\n")):
        cells.append(_cell(part, line))
        line += part.count("\n")
    return cells


def included(source: bytes, path: str) -> list[str]:
    """Return what a notebook runs by ``%run``, as it is written there."""
    return [cell.text for cell in read_cells(source, path) if cell.kind == "run"]


def join_path(notebook: str, other: str) -> str:
    """Return the path of a notebook that another one names by ``%run``."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(notebook), other))


def _cell(text: str, line: int) -> Cell:
    lines = text.split("\n")
    magic = [item[len(_MAGIC) :].removeprefix(" ") for item in lines if item.startswith(_MAGIC)]
    body = "\n".join(magic) if magic else text
    found = _PERCENT.fullmatch(body.strip())
    if found is None:
        return Cell("python", text, line)
    kind, rest = found.groups()
    if kind == "run":
        words = rest.split()
        rest = words[0].strip("\"'") if words else ""
    return Cell(kind, rest, line)
