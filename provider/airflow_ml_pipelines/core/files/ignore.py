"""Which files of a source directory belong to its snapshot.

Git's patterns, from one file in the root of the directory: ``.amlignore``, which replaces ``.gitignore`` wholly even
where it is empty. Ignore files in sub-folders mean nothing. A step's own patterns come after the file's. What tools
leave behind (:data:`NAMES`, :data:`ENDINGS`, names that begin with ``.~``, virtual environments) never belongs to a
snapshot, whatever the patterns say.

The ignore files in the root do not belong to it either: no script reads them, and what they change of the snapshot shows
in the files that are left out. So a comment in one makes no step run again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.errors import SnapshotError
from airflow_ml_pipelines.core.files.wildmatch import IgnorePattern

__all__ = ["ENDINGS", "IGNORE_FILES", "NAMES", "IgnoreRules"]

IGNORE_FILES: Final = (".amlignore", ".gitignore")
"""The names of ignore files; the first that is there counts."""

NAMES: Final = frozenset(
    {
        ".DS_Store",
        ".git",
        ".hypothesis",
        ".ipynb_checkpoints",
        ".ml-pipelines",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".venv",
        "__pycache__",
        "pyvenv.cfg",  # so a folder that has one is a virtual environment
        "venv",
    }
)
"""Files and folders that never belong to a snapshot."""

ENDINGS: Final = (".pyc", ".swp", "~")
"""Endings of files and folders that never belong to a snapshot."""


@dataclass(frozen=True)
class IgnoreRules:
    """The rules of one source directory.

    :param patterns: git patterns, the later ones winning.
    """

    patterns: tuple[str, ...] = ()
    names: frozenset[str] = NAMES
    endings: tuple[str, ...] = ENDINGS

    @classmethod
    def read(cls, directory: Path, extra: Sequence[str] = ()) -> IgnoreRules:
        """Return the rules of a directory's ignore file, with more patterns after it.

        :raises SnapshotError: for an ignore file that can't be read.
        """
        for name in IGNORE_FILES:
            file = directory / name
            try:
                data = file.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise SnapshotError(f"ignore file {file} can't be read: {error.strerror}") from None
            lines = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n")
            return cls.of((*lines, *extra))
        return cls.of(extra)

    @classmethod
    def of(cls, lines: Iterable[str]) -> IgnoreRules:
        """Return the rules of lines. Comments and empty lines mean nothing."""
        kept = (line.removesuffix("\r") for line in lines)
        return cls(tuple(line for line in kept if IgnorePattern.parse(line) is not None))

    @cached_property
    def key(self) -> str:
        return digest_document("ml-pipelines/ignore/1", [self.patterns, sorted(self.names), self.endings])

    def enters(self, folder: str) -> bool:
        return not self._ignores(folder, folder=True)

    def takes(self, file: str) -> bool:
        return file not in IGNORE_FILES and not self._ignores(file, folder=False)

    def _ignores(self, path: str, *, folder: bool) -> bool:
        for pattern in self._parsed:
            if pattern.matches(path, folder=folder):
                return not pattern.negated
        return False

    @cached_property
    def _parsed(self) -> tuple[IgnorePattern, ...]:
        """The patterns, the one that wins first."""
        return tuple(filter(None, map(IgnorePattern.parse, reversed(self.patterns))))
