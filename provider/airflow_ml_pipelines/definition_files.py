"""Finds the files with pipeline definitions in a folder, and says what a pipeline is called without reading its YAML."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

__all__ = [
    "IGNORE_FILE",
    "SUFFIXES",
    "Heads",
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

_EXTENDS_LINE = re.compile(rb"^extends:[ \t]*([\"']?)([^\"'#\r\n\0]+?)\1[ \t]*(?:#.*)?\r?$", re.MULTILINE)

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


class Heads:
    """What definitions say of themselves at the margin: names, and the files that they extend.

    A file that did not change is read once.
    """

    def __init__(self) -> None:
        self._known: dict[Path, _Head] = {}
        self._last: dict[Path, _Head] = {}

    def read(self, files: Iterable[Path]) -> None:
        """Take over what changed in files."""
        self._last, self._known = self._known, {}
        for file in files:
            self._head(file)

    def taken(self, files: Iterable[Path]) -> dict[Path, Path]:
        """Return the definitions whose name one before them has already, and that one."""
        first: dict[str, Path] = {}
        taken = {}
        for file in files:
            name = self._head(file).name
            if name is not None and first.setdefault(name, file) != file:
                taken[file] = first[name]
        return taken

    def modified(self, file: Path) -> int:
        """Return when a definition, or a file that it extends, was last changed; in nanoseconds since the epoch."""
        latest, seen = 0, set()
        current: Path | None = file
        while current is not None and current not in seen:
            seen.add(current)
            head = self._head(current)
            latest = max(latest, head.modified)
            current = head.extends
        return latest

    def _head(self, file: Path) -> _Head:
        head = self._known.get(file)
        if head is None:
            head = self._known[file] = self._read(file)
        return head

    def _read(self, file: Path) -> _Head:
        try:
            status = file.stat()
        except OSError:
            return _Head(0, 0, None, None)
        head = self._last.get(file)
        if head is not None and (head.modified, head.size) == (status.st_mtime_ns, status.st_size):
            return head
        return _Head(status.st_mtime_ns, status.st_size, name_in(file), _extends_in(file))


class _Head(NamedTuple):
    modified: int
    size: int
    name: str | None
    extends: Path | None


def _extends_in(file: Path) -> Path | None:
    """Return the file that a definition extends, as far as that can be told without reading it as YAML."""
    try:
        found = _EXTENDS_LINE.search(file.read_bytes())
    except OSError:
        return None
    return Path(os.path.normpath(file.parent / os.fsdecode(found[2]))) if found else None


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
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    if ignore_syntax() == "regexp":
        patterns = []
        for line in lines:
            with suppress(re.error):  # which Airflow leaves out as well
                patterns += [re.compile(text)] if (text := re.sub(r"\s*#.*", "", line)) else []
        return lambda path: any(pattern.search(path) for pattern in patterns)
    from pathspec import GitIgnoreSpec

    rules = GitIgnoreSpec.from_lines(lines)
    return lambda path: bool(rules.match_file(path))
