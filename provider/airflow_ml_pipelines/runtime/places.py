"""Reads and writes files where they lie, from within a script: on this machine, or where fsspec can reach.

What is not on this machine needs fsspec in the script's own environment, and credentials that it finds there. A script
that gets its inputs by ``as_mount()`` or ``as_download()`` needs neither: the launcher copies them.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.globs import glob_matcher, is_glob, split_glob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "DataFile",
    "copy_from",
    "copy_to",
    "folder_names",
    "is_remote",
    "join_place",
    "list_part",
    "read_bytes",
]


class DataFile(NamedTuple):
    """A file of a dataset.

    :param place: a local path or a URL.
    :param path: relative to the folder or pattern that it was found by.
    :param label: ``/`` and its path on the datastore.
    """

    place: str
    path: str
    label: str


def is_remote(place: str) -> bool:
    """Return whether a place is not on this machine's file system."""
    return "://" in place and not place.startswith("file://")


def local_path(place: str) -> str:
    """Return the path of a place on this machine."""
    return unquote(urlsplit(place).path) if place.startswith("file://") else place


def join_place(place: str, path: str) -> str:
    """Return a place below another."""
    if not path:
        return place
    base = place if is_remote(place) else local_path(place)
    return f"{base.rstrip('/')}/{path.lstrip('/')}"


def read_bytes(place: str) -> bytes:
    """Return a file's bytes.

    :raises FileNotFoundError: where there is none.
    :raises DataError: where it can't be reached.
    """
    if not is_remote(place):
        with open(local_path(place), "rb") as file:
            return file.read()
    return _remote(place, lambda system, path: bytes(system.cat_file(path)))  # type: ignore[no-any-return]


def folder_names(place: str) -> list[str]:
    """Return the names in a folder, none where there is no such folder. :raises DataError: where it can't be reached."""
    try:
        if not is_remote(place):
            return sorted(os.listdir(local_path(place)))

        def names(system: Any, path: str) -> list[str]:
            system.invalidate_cache()
            return list(system.ls(path, detail=False))

        found = _remote(place, names)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name.rstrip("/").rpartition("/")[2] for name in found)


def copy_from(place: str, target: str) -> None:
    """Copy a file to a local path whose folder exists. :raises DataError: where it can't be reached."""
    if not is_remote(place):
        shutil.copyfile(local_path(place), target)
    else:
        _remote(place, lambda system, path: system.get_file(path, target))


def copy_to(source: str, place: str) -> None:
    """Copy a local file to a place, making the folders. :raises DataError: where it can't be reached."""
    if is_remote(place):

        def put(system: Any, path: str) -> None:
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.put_file(source, path)

        _remote(place, put)
        return
    target = local_path(place)
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    shutil.copyfile(source, target)


def list_part(part: Mapping[str, str]) -> list[DataFile]:
    """Return the files of a part of a dataset, sorted by path.

    :param part: ``place``, ``kind`` (``file``, ``folder``, ``glob``, or ``auto`` to find out) and ``label``.
    :raises DataError: where nothing is there.
    """
    place, kind, label = part["place"], part.get("kind", "auto"), part.get("label", "")
    if kind == "auto":
        kind = "file" if _is_file(place) else "glob" if is_glob(place) else "folder"
    if kind == "file":
        return [DataFile(place, place.rpartition("/")[2], label)]
    base, pattern = split_glob(place) if kind == "glob" else (place, "")
    matches = glob_matcher(pattern) if pattern else None
    top = split_glob(label)[0] if kind == "glob" else label
    files = [
        DataFile(join_place(base, path), path, f"{top.rstrip('/')}/{path}")
        for path in sorted(_walk(base))
        if matches is None or matches(path)
    ]
    if not files:
        raise DataError(f"there is no file {'that matches' if pattern else 'in'} {place}")
    return files


def _is_file(place: str) -> bool:
    if not is_remote(place):
        return os.path.isfile(local_path(place))
    return bool(_remote(place, lambda system, path: system.isfile(path)))


def _walk(place: str) -> Iterable[str]:
    if not is_remote(place):
        folder = local_path(place)
        for top, _, names in os.walk(folder, followlinks=True):
            prefix = os.path.relpath(top, folder).replace(os.sep, "/")
            for name in names:
                yield name if prefix == "." else f"{prefix}/{name}"
        return

    def find(system: Any, path: str) -> list[str]:
        top = path.rstrip("/") + "/"
        return [name[len(top) :] for name in system.find(path) if name.startswith(top)]

    yield from _remote(place, find)


def _remote(place: str, action: Callable[[Any, str], Any]) -> Any:
    scheme = place.partition("://")[0]
    how = (
        "add it to the step's environment, or take the input as_mount() or as_download(), which needs neither"
    )
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(place)
    except ImportError as error:
        package = getattr(error, "name", None) or f"fsspec with support for {scheme}://"
        raise DataError(
            f"{place} can't be reached from the script: {package} is not installed; {how}"
        ) from None
    except ValueError as error:
        raise DataError(f"{place} can't be reached from the script: {error}") from None
    try:
        return action(system, path)
    except FileNotFoundError:
        raise
    except Exception as error:  # every file system has errors of its own
        raise DataError(
            f"{place} can't be read or written from the script: {type(error).__name__}: {error}"
        ) from error
