"""Migrates files: finds them, says what would change, and changes them."""

from __future__ import annotations

import difflib
import os
import tempfile
import tokenize
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.written.excerpt import show_excerpt
from airflow_ml_pipelines.written.source import Finding
from dag_factory.migrate.notebook import Notebook
from dag_factory.migrate.rewrite import Place, Rewritten, rewrite_module

__all__ = ["Migration", "find_sources", "migrate_file", "write_migration"]

_SUFFIXES: Final = (".py", ".ipynb")
_LEFT_OUT: Final = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})


class Migration(NamedTuple):
    """What becomes of a file.

    :param text: its new text; None where it stays as it is.
    :param diff: what changes, as a unified diff.
    :param findings: what has no counterpart.
    :param is_step: it is the script of a step, which runs as it is.
    """

    file: Path
    text: str | None
    diff: str
    findings: tuple[Finding, ...]
    is_step: bool


def find_sources(paths: Sequence[str | Path]) -> list[Path]:
    """Return the modules and notebooks that paths name, in their order, without those of environments and hidden folders.

    :raises DefinitionError: where there is no such file, or it is no module and no notebook.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            found |= dict.fromkeys(sorted(_walk(path)))
        elif not path.exists():
            raise DefinitionError(f"there is no {path}")
        elif path.suffix not in _SUFFIXES:
            raise DefinitionError(f"{path}: expected a folder, a .py or an .ipynb")
        else:
            found[path] = None
    return list(found)


def migrate_file(file: Path) -> Migration | None:
    """Return what becomes of a module or notebook; None for one that has nothing to do with the SDK.

    :raises DefinitionError: where it can't be read.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DefinitionError(f"{file}: {error.strerror}") from None
    if b"azureml" not in data:
        return None
    try:
        text = data.decode(_encoding(file, data))
    except UnicodeDecodeError as error:
        raise DefinitionError(
            f"{file}: expected {error.encoding}, found byte {data[error.start]:#04x}"
        ) from None
    if file.suffix == ".ipynb":
        return _migrate_notebook(file, text)
    rewritten = _rewrite(file, text)
    if rewritten.text == text and not rewritten.places and not rewritten.is_step:
        return None
    lines = text.split("\n")
    findings = tuple(_finding(str(file), place, lines) for place in rewritten.places)
    return Migration(
        file,
        None if rewritten.text == text else rewritten.text,
        _diff(str(file), text, rewritten.text),
        findings,
        rewritten.is_step,
    )


def write_migration(migration: Migration) -> None:
    """Put a file's new text in its place, all or nothing; its mode and encoding stay.

    :raises DefinitionError: where it can't be written.
    """
    if migration.text is None:
        return
    file = Path(os.path.realpath(migration.file))
    try:
        data = migration.text.encode(_encoding(file, file.read_bytes()))
        number, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with os.fdopen(number, "wb") as stream:
                stream.write(data)
            os.chmod(name, file.stat().st_mode & 0o7777)
            os.replace(name, file)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise DefinitionError(f"{migration.file}: it could not be written: {error.strerror}") from None


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in _LEFT_OUT
            and not os.path.exists(os.path.join(place, name, "pyvenv.cfg"))
        ]
        for name in names:
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                yield Path(place, name)


def _encoding(file: Path, data: bytes) -> str:
    if file.suffix == ".ipynb":
        return "utf-8"
    try:
        return tokenize.detect_encoding(BytesIO(data).readline)[0]
    except SyntaxError as error:
        raise DefinitionError(f"{file}: {error.msg}") from None


def _rewrite(file: Path, text: str) -> Rewritten:
    try:
        return rewrite_module(text)
    except SyntaxError as error:
        place = Place(error.lineno or 1, error.offset or 1, 1, f"expected Python 3: {error.msg}")
        raise DefinitionError(str(_finding(str(file), place, text.split("\n")))) from None
    except (ValueError, RecursionError, MemoryError):
        raise DefinitionError(f"{file}: it is nested too deeply to be read, or has null bytes") from None


def _migrate_notebook(file: Path, text: str) -> Migration | None:
    notebook = Notebook(text, str(file))
    rewritten = _rewrite(file, notebook.module)
    if rewritten.text == notebook.module and not rewritten.places:
        return None
    new, changes = notebook.changed(rewritten.text)
    diffs = [
        _diff(f"{file}:cell {number}", notebook.source(number), code) for number, code in changes.items()
    ]
    findings = []
    for place in rewritten.places:
        cell, line = notebook.find(place.line)
        lines = notebook.source(cell.number).split("\n")
        findings.append(_finding(f"{file}:cell {cell.number}", place._replace(line=line), lines))
    return Migration(file, new if changes else None, "".join(diffs), tuple(findings), is_step=False)


def _finding(file: str, place: Place, lines: Sequence[str]) -> Finding:
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    return Finding(
        file,
        place.line,
        place.column,
        place.length,
        place.message,
        show_excerpt(line, place.line, place.column - 1, place.length),
    )


def _diff(name: str, old: str, new: str) -> str:
    pieces = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), name, name, n=1
    )
    return "".join(
        piece if piece.endswith("\n") else f"{piece}\n\\ No newline at end of file\n" for piece in pieces
    )
