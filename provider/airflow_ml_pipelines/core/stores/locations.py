"""Finds what lies at a location of a store: a file, a folder, or the files that a glob matches.

In a glob ``*``, ``?`` and ``[…]`` stay within a segment, and ``**`` spans any number of segments.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice, takewhile
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.globs import compile_glob, glob_matcher, is_glob, split_glob
from airflow_ml_pipelines.core.stores.store import ObjectInfo, Store, check_path, join

__all__ = ["Found", "GlobRules", "common_folders", "find", "known_path", "split_url"]

_SHOWN = 10
_LOOKED_AT = 1000
_HTTP = ("http://", "https://")


class Found:
    """What lies at a location.

    :param kind: ``file``, ``folder`` or ``glob``.
    :param base: the folder that the files' relative paths begin at.
    :param objects: the files; None for a folder that is listed when they are first asked for.
    """

    def __init__(
        self, store: Store, path: str, kind: str, base: str, objects: Sequence[ObjectInfo] | None = None
    ) -> None:
        self.store = store
        self.path = path
        self.kind = kind
        self.base = base
        self._objects = objects

    def __repr__(self) -> str:
        return f"Found({self.store!r}, {self.path!r}, {self.kind!r})"

    @cached_property
    def objects(self) -> list[ObjectInfo]:
        """What the store says of the files, sorted by path."""
        found = self.store.walk(self.path) if self._objects is None else self._objects
        return sorted(found, key=lambda info: info.path)

    @property
    def files(self) -> list[str]:
        """The paths of the files in the store, sorted."""
        return [info.path for info in self.objects]

    @property
    def local(self) -> Path | None:
        """Where the file or the folder (of a glob: its base) lies on this machine, None for another store."""
        return self.store.local_path(self.base if self.kind == "glob" else self.path)

    @property
    def where(self) -> str:
        """The location as it is named in errors."""
        return f"{self.path!r} in {self.store.url}"

    def relative(self, path: str) -> str:
        """Return the path of a file relative to the base."""
        return path[len(self.base) + 1 :] if self.base else path


def find(store: Store, path: str) -> Found:
    """Return what lies at a path or matches a glob. What is there by that very name comes before a glob.

    :raises DataError: where there is nothing; the text names what the nearest folder has.
    """
    wanted = check_path(path.lstrip("/"))
    info = store.info(wanted) if wanted else None
    if info is not None:
        return Found(store, wanted, "file", wanted.rpartition("/")[0], [info])
    if store.url.lower().startswith(_HTTP):  # to list a web server is to follow its links
        raise DataError(f"there is nothing at {join(store.url, path)}")
    local = store.local_path(wanted)
    if is_glob(wanted) and not (local is not None and local.is_dir()):
        base, matches = split_glob(wanted)[0], glob_matcher(wanted)
        objects = [info for info in store.walk(base) if matches(info.path)]
        if not objects:
            raise DataError(f"no file matches {path!r} in {store.url}{_nearby(store, base)}")
        return Found(store, wanted, "glob", base, objects)
    if local is not None:
        # a folder without a file is none, as on other stores
        found = Found(store, wanted, "folder", wanted) if any(True for _ in store.walk(wanted)) else None
    else:
        objects = list(store.walk(wanted))
        found = Found(store, wanted, "folder", wanted, objects) if objects else None
    if found is None:
        raise DataError(
            f"there is nothing at {path!r} in {store.url}{_nearby(store, wanted.rpartition('/')[0])}"
        )
    return found


def common_folders(found: Iterable[Found]) -> dict[str, str]:
    """Return, for each store's URL, the folder that locations have in common: what files of several are named below."""
    bases: dict[str, list[list[str]]] = {}
    for location in found:
        bases.setdefault(location.store.url, []).append(location.base.split("/") if location.base else [])
    return {url: "/".join(_common(folders)) for url, folders in bases.items()}


def _common(paths: list[list[str]]) -> list[str]:
    least, most = min(paths), max(paths)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(least, most, strict=False))
    return [segment for segment, _ in same]


def split_url(url: str) -> tuple[str, str]:
    """Return the URL of the store that a file, a folder or a glob lies in, and the path there.

    >>> split_url("s3://bucket/data/2024-*/part.csv")
    ('s3://bucket/data', '2024-*/part.csv')
    """
    scheme, separator, rest = url.rstrip("/").partition("://")
    query = ""
    if (scheme + separator).lower() in _HTTP:  # whose "?" begins the query, and which can't be listed
        rest, mark, text = rest.partition("?")
        query = mark + text
        base, _, path = rest.rpartition("/")
    else:
        path = split_glob(rest)[1] if is_glob(rest) else rest.rpartition("/")[2]
        base = rest[: len(rest) - len(path)].rstrip("/")
    if not base and scheme not in ("file", "memory"):  # the whole of a bucket, or of a site
        return f"{scheme}{separator}{path}", ""
    if scheme == "file":
        path = os.fsdecode(unquote_to_bytes(path))
    return f"{scheme}{separator}{base or '/'}", path + query


def known_path(store: Store, path: str, *, of_url: bool = False) -> str:
    """Return the path that people know a file by, from ``/``: on its datastore, or in its address.

    :param of_url: whether it was named by a URL of its own, which :func:`split_url` has split, and not on a datastore.

    >>> known_path(open_store("https://example.org/sales/DE"), "day.csv?download=1")
    '/sales/DE/day.csv'
    >>> known_path(open_store("s3://bucket/sales/DE"), "day.csv", of_url=True)
    '/sales/DE/day.csv'
    """
    if store.url.lower().startswith(_HTTP):
        return unquote(urlsplit(join(store.url, path)).path)
    if not of_url:
        return "/" + path
    local = store.local_path(path)
    if local is not None:
        return "/" + local.as_posix().lstrip("/")
    return "/" + join(store.url.partition("://")[2].partition("/")[2], path)


class GlobRules:
    """The files that a glob matches, as rules for a walk from its base.

    :param pattern: relative to the base.
    """

    names: frozenset[str] = frozenset()
    endings: tuple[str, ...] = ()

    def __init__(self, pattern: str) -> None:
        self.key = f"glob:{pattern}"
        self._file = compile_glob(pattern).match
        segments = pattern.split("/")
        self._deep = "**" in segments
        plain = segments[: segments.index("**")] if self._deep else segments[:-1]
        self._folders = [compile_glob("/".join(plain[: depth + 1])).match for depth in range(len(plain))]

    def enters(self, folder: str) -> bool:
        depth = folder.count("/")
        if depth < len(self._folders):
            return self._folders[depth](folder) is not None
        return self._deep  # what leads there was entered

    def takes(self, file: str) -> bool:
        return self._file(file) is not None


def _nearby(store: Store, folder: str) -> str:
    """Say what there is instead, in the nearest folder that has something."""
    while True:
        skip = len(folder) + 1 if folder else 0
        names = {info.path[skip:].partition("/")[0] for info in islice(store.walk(folder), _LOOKED_AT)}
        if names:
            more = ", …" if len(names) > _SHOWN else ""
            return (
                f"; {f'in {folder!r} ' if folder else ''}there are: {', '.join(sorted(names)[:_SHOWN])}{more}"
            )
        if not folder:
            return ""
        folder = folder.rpartition("/")[0]
