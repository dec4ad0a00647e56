"""Finds the files with pipeline definitions in a folder, and says what a pipeline is called without reading its YAML."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = [
    "IGNORE_FILE",
    "SUFFIXES",
    "Names",
    "find_pipeline_files",
    "ignore_syntax",
    "name_in",
    "pipeline_name",
]

SUFFIXES: Final = (".pipeline.yaml", ".pipeline.yml")
"""How the names of files with pipelines end."""

IGNORE_FILE: Final = ".airflowignore"

_NAME_LINE = re.compile(rb"^name:[ \t]*([\"']?)([A-Za-z0-9_.-]+)\1[ \t]*(?:#.*)?\r?$", re.MULTILINE)
_MAY_BE_NAME = re.compile(rb"^(?:name[ \t]*:|<<|[^\s#A-Za-z_])", re.MULTILINE)
"""A line at the margin that may give the name in another way: a field in quotes, ``{``, ``<<``, ``? name``."""

_Rules = Callable[[str], bool]


def find_pipeline_files(folder: Path) -> list[Path]:
    """Return the definitions in a folder and below, in the order of their paths.

    Hidden files and folders are left out, and what a ``.airflowignore`` in the folder or below names.
    """
    return sorted(_walk(folder, [], set()))


def pipeline_name(file: Path) -> str:
    """Return the name of a pipeline whose file does not say another."""
    return next((file.name.removesuffix(end) for end in SUFFIXES if file.name.endswith(end)), file.stem)


def name_in(file: Path) -> str | None:
    """Return the name that a definition has; None where that can't be told without reading it as YAML."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    if found := _NAME_LINE.search(data):
        return found[2].decode()
    return None if _MAY_BE_NAME.search(data) else pipeline_name(file)


class Names:
    """The names of definitions; a file that did not change is read once."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, int, str | None]] = {}

    def taken(self, files: Iterable[Path]) -> dict[Path, Path]:
        """Return the definitions whose name one before them has already, and that one."""
        known = {}
        first: dict[str, Path] = {}
        taken = {}
        for file in files:
            with suppress(FileNotFoundError):
                status = file.stat()
                entry = self._known.get(file)
                if entry is None or entry[:2] != (status.st_mtime_ns, status.st_size):
                    entry = (status.st_mtime_ns, status.st_size, name_in(file))
                known[file] = entry
                if entry[2] is not None and first.setdefault(entry[2], file) != file:
                    taken[file] = first[entry[2]]
        self._known = known
        return taken


def ignore_syntax() -> str:
    """Return the syntax of ``.airflowignore`` that Airflow is configured for: ``glob`` or ``regexp``.

    Where Airflow is not imported yet, as by the command line, its configuration is read without it.
    """
    configuration = sys.modules.get("airflow.configuration")
    if configuration is not None:
        return configuration.conf.get("core", "dag_ignore_file_syntax", fallback="glob") or "glob"
    if found := os.environ.get("AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX"):
        return found
    from configparser import ConfigParser, Error

    file = os.environ.get("AIRFLOW_CONFIG") or f"{os.environ.get('AIRFLOW_HOME') or '~/airflow'}/airflow.cfg"
    parser = ConfigParser(interpolation=None)
    with suppress(Error, OSError, UnicodeDecodeError):
        parser.read(os.path.expanduser(file), encoding="utf-8")
    return parser.get("core", "dag_ignore_file_syntax", fallback="glob") or "glob"


def _walk(folder: Path, ignored: list[tuple[Path, _Rules]], seen: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in seen:  # a link to a folder above
        return
    seen.add(real)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        if len(seen) == 1:
            raise
        return  # removed at this moment, or not to be read: Airflow leaves these out as well
    if any(entry.name == IGNORE_FILE for entry in entries):
        ignored = [*ignored, (folder, _read_rules(folder / IGNORE_FILE))]
    for entry in entries:
        is_folder = entry.is_dir()
        if not is_folder and not entry.name.endswith(SUFFIXES):
            continue
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        path = folder / entry.name
        ending = "/" if is_folder else ""
        if any(rules(path.relative_to(top).as_posix() + ending) for top, rules in ignored):
            continue
        if is_folder:
            yield from _walk(path, ignored, seen)
        else:
            yield path


def _read_rules(file: Path) -> _Rules:
    """Return what tells whether an ``.airflowignore`` names a path, in the syntax that Airflow is configured for."""
    lines = file.read_text(encoding="utf-8").splitlines()
    if ignore_syntax() == "regexp":
        patterns = []
        for line in lines:
            with suppress(re.error):  # which Airflow leaves out as well
                patterns += [re.compile(text)] if (text := re.sub(r"\s*#.*", "", line)) else []
        return lambda path: any(pattern.search(path) for pattern in patterns)
    from pathspec import GitIgnoreSpec

    rules = GitIgnoreSpec.from_lines(lines)
    return lambda path: bool(rules.match_file(path))
