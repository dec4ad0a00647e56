"""Finds what lies at a location of a store: a file, a folder, or the files that a glob matches."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from pathlib import Path

from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.store import Store, check_path

__all__ = ["Found", "find", "glob_base", "glob_matcher", "is_glob"]

_SIGNS = "*?["


class Found:
    """What lies at a location.

    :param base: the folder that the files' relative paths begin at.
    :param kind: ``file``, ``folder`` or ``glob``.
    """

    def __init__(self, store: Store, path: str, kind: str, base: str, files: list[str] | None) -> None:
        self.store = store
        self.path = path
        self.kind = kind
        self.base = base
        self._files = files

    @property
    def files(self) -> list[str]:
        """The paths of the files in the store, sorted; a folder is listed when they are first asked for."""
        if self._files is None:
            self._files = sorted(info.path for info in self.store.walk(self.path))
        return self._files

    @property
    def local(self) -> Path | None:
        """Where the file or the folder (of a glob: its base) lies on this machine, None for another store."""
        return self.store.local_path(self.base if self.kind == "glob" else self.path)

    def relative(self, path: str) -> str:
        """Return the path of a file relative to the base."""
        return path[len(self.base) + 1 :] if self.base else path


def find(store: Store, path: str) -> Found:
    """Return what lies at a path or matches a glob.

    :raises DataError: where there is nothing; the text names what the nearest folder has.
    """
    wanted = check_path(path.lstrip("/"))
    if is_glob(wanted):
        base, matches = glob_base(wanted), glob_matcher(wanted)
        files = sorted(info.path for info in store.walk(base) if matches(info.path))
        if not files:
            raise DataError(f"no file matches {path!r} in {store.url}")
        return Found(store, wanted, "glob", base, files)
    if wanted and store.info(wanted) is not None:
        return Found(store, wanted, "file", wanted.rpartition("/")[0], [wanted])
    if _is_local_folder(store, wanted):
        return Found(store, wanted, "folder", wanted, None)
    files = sorted(info.path for info in store.walk(wanted))
    if not files:
        raise DataError(f"there is nothing at {path!r} in {store.url}{_nearby(store, wanted)}")
    return Found(store, wanted, "folder", wanted, files)


def is_glob(path: str) -> bool:
    """Return whether a path has ``*``, ``?`` or ``[``."""
    return any(sign in path for sign in _SIGNS)


def glob_base(pattern: str) -> str:
    """Return the folder above the first segment of a glob that has a sign."""
    plain = []
    for part in pattern.split("/"):
        if is_glob(part):
            break
        plain.append(part)
    return "/".join(plain)


def glob_matcher(pattern: str) -> Callable[[str], bool]:
    """Return a check for a glob in which ``*`` stays within a segment and ``**`` spans any number of them."""
    wanted = pattern.split("/")

    def matches(parts: list[str], patterns: list[str]) -> bool:
        if not patterns:
            return not parts
        if patterns[0] == "**":
            return any(matches(parts[start:], patterns[1:]) for start in range(len(parts) + 1))
        return bool(parts) and fnmatch.fnmatchcase(parts[0], patterns[0]) and matches(parts[1:], patterns[1:])

    return lambda name: matches(name.split("/"), wanted)


def _is_local_folder(store: Store, path: str) -> bool:
    """Return whether there is a folder with a file in it, as that is what a folder is on other stores."""
    local = store.local_path(path)
    return local is not None and local.is_dir() and any(True for _ in store.walk(path))


def _nearby(store: Store, path: str) -> str:
    """Say what there is instead, by the first segments of the folder above."""
    folder = path.rpartition("/")[0]
    skip = len(folder) + 1 if folder else 0
    names = sorted(
        {info.path[skip:].partition("/")[0] for _, info in zip(range(1000), store.walk(folder), strict=False)}
    )
    return f"; there are: {', '.join(names[:10])}" if names else ""
