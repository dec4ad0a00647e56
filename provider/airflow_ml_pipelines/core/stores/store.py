"""Stores: named bytes under one URL.

A path is relative to the store's root, with ``/`` between its segments. Writes are atomic: a reader sees the old
object, the new one, or none, never a part of one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from airflow_ml_pipelines.core.errors import InvalidPathError, StoreError
from airflow_ml_pipelines.core.files.walk import ASIDE

__all__ = ["CLOCK", "ObjectInfo", "Store", "check_path", "is_unfinished", "join", "probe_clock"]

CLOCK = "clock"
"""The folder in which a store is asked for its time; what a process left there that was killed is no harm."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store says of one object.

    :param path: relative to the store's root.
    :param size: in bytes.
    :param version: the store's own strong version (an ETag, a generation; a time stamp in ns on local stores):
        while it is the same, so are the bytes.
    :param modified: seconds since the epoch by the store's clock.
    """

    path: str
    size: int
    version: str
    modified: float


class Store(Protocol):
    """Named bytes under one URL. Every store passes the same contract tests."""

    url: str

    def get(self, path: str) -> bytes:
        """Return an object's bytes. :raises NotFoundError: where there is none."""

    def put(self, path: str, data: bytes) -> None:
        """Write or replace an object, atomically."""

    def create(self, path: str, data: bytes) -> bool:
        """Write an object that must not exist yet; of any number of writers at once, exactly one gets True.

        Where a server's answer was lost, an object with the same bytes is taken for the writer's own: who has to be the
        only one writes something that nobody else does.
        """

    def info(self, path: str) -> ObjectInfo | None:
        """Return what the store says of an object, None where there is none (or a folder)."""

    def walk(self, path: str = "", *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        """Yield every object below a folder, in no order; nothing where there is no such folder.

        :param unfinished: also what is being written at this moment, or was when its writer was killed
            (:func:`is_unfinished`).
        """

    def folders(self, path: str = "") -> list[str]:
        """Return the names of the folders in a folder, sorted; none where there is no such folder."""

    def delete(self, path: str) -> None:
        """Remove an object; one that is not there is no error."""

    def remove(self, path: str) -> None:
        """Remove every object below a folder, and the folder where a store has such."""

    def open(self, path: str) -> BinaryIO:
        """Open an object for reading. :raises NotFoundError: where there is none."""

    def upload(self, source: Path, path: str) -> None:
        """Copy a local file into the store, atomically, in bounded memory."""

    def download(self, path: str, target: Path) -> None:
        """Copy an object to a local file, in bounded memory. :raises NotFoundError: where there is none."""

    def local_path(self, path: str) -> Path | None:
        """Return where the object lies on this machine's file system, None for a store that is elsewhere."""

    @property
    def conditional(self) -> bool:
        """Whether :meth:`create` keeps its promise; elsewhere two writers at the same moment may both get True."""

    def clock(self) -> float:
        """Return the store's own present time, in seconds since the epoch."""


def check_path(path: str) -> str:
    """Return a path as stores know it (no leading ``./``, no empty segments).

    A last segment that begins with ``.~`` is taken, but what is written there is shown by no walk.

    :raises InvalidPathError: for an absolute path, one with ``..``, and one with a zero byte.
    """
    if "\0" in path or path.startswith("/") or ("\\" in path and os.sep == "\\"):
        raise InvalidPathError(f"{path!r} is not a path in a store: expected segments with '/' between them")
    segments = [segment for segment in path.split("/") if segment not in ("", ".")]
    if ".." in segments:
        raise InvalidPathError(f"{path!r} would leave the store: take the '..' out")
    return "/".join(segments)


def is_unfinished(path: str) -> bool:
    """Return whether an object is one that is being written, or was when its writer was killed."""
    return path.rpartition("/")[2].startswith(ASIDE)


def join(*parts: str) -> str:
    """Join paths with ``/``, leaving out empty ones."""
    return "/".join(part.strip("/") for part in parts if part.strip("/"))


def probe_clock(store: Store) -> float:
    """Return a store's present time: that of an object written now, which is removed again.

    :raises StoreError: where the store does not say when an object was written.
    """
    probe = f"{CLOCK}/{ASIDE}{os.getpid()}-{secrets.token_hex(6)}"
    store.put(probe, b"")
    try:
        info = store.info(probe)
    finally:
        store.delete(probe)
    if info is None or not info.modified:
        raise StoreError(f"{store.url} does not say when an object was written: leases can't be kept there")
    return info.modified
