"""Journals of transfers: which files a place was given, so that the next transfer to it brings only what is missing.

A journal lies under the workspace's root, in numbered parts: each is written once and names the files that were copied
since the part before. A part that is ``whole`` begins anew. A process that is killed loses no more than the files of the
last seconds, which are copied again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

import msgspec

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import DocumentError, NotFoundError
from airflow_ml_pipelines.core.layout import numbered
from airflow_ml_pipelines.core.stores.store import Store, join

__all__ = ["FOLDER", "SCHEMA", "Entry", "Journal", "JournalPart", "NoJournal", "StoredJournal", "place_key"]

SCHEMA = 1

FOLDER = "transfers"
"""Where journals lie under the workspace's root."""

_SECONDS = 2.0
_FILES = 5_000


class Entry(NamedTuple):
    """A file that was copied.

    :param source: the version that its store gave it.
    :param size: in bytes.
    :param digest: of its content.
    :param version: what the store that it was copied to gave it, "" where that was not asked.
    """

    source: str
    size: int
    digest: str
    version: str


class JournalPart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a journal.

    :param place: what the files lie under, for people.
    :param whole: whether the parts before no longer count.
    :param files: by name, in no order.
    """

    schema: int = SCHEMA
    place: str
    whole: bool = False
    files: tuple[tuple[str, Entry], ...]


class Journal(Protocol):
    """Knows what a place was given."""

    def read(self) -> Mapping[str, Entry]:
        """Return what was copied, by name."""

    def add(self, name: str, entry: Entry) -> None:
        """Take a file that was copied; it is written down with others."""

    def flush(self) -> None:
        """Write down what was taken."""

    def replace(self, entries: Mapping[str, Entry]) -> None:
        """Write down that these files are there, and no others."""


class NoJournal:
    """Of a place that no other transfer will find again."""

    def read(self) -> Mapping[str, Entry]:
        return {}

    def add(self, name: str, entry: Entry) -> None:
        pass

    def flush(self) -> None:
        pass

    def replace(self, entries: Mapping[str, Entry]) -> None:
        pass


class StoredJournal:
    """The journal of a place. One transfer at a time writes it, which may be several processes.

    :param store: the workspace's root.
    :param key: see :func:`place_key`.
    :param place: how people call the place.
    """

    def __init__(self, store: Store, key: str, place: str) -> None:
        self._store = store
        self._folder = f"{FOLDER}/{key[:2]}/{key}"
        self._place = place
        self._new: dict[str, Entry] = {}
        self._written = time.monotonic()

    def read(self) -> Mapping[str, Entry]:
        found: dict[str, Entry] = {}
        for number in sorted(self._numbers()):
            try:
                data = self._store.get(self._path(number))
                part = read_document(data, JournalPart, what=self._path(number), schema=SCHEMA)
            except NotFoundError:
                continue
            except DocumentError:  # what it says is not known to be there: it is copied again
                continue
            if part.whole:
                found.clear()
            found.update(part.files)
        return found

    def add(self, name: str, entry: Entry) -> None:
        self._new[name] = entry
        if len(self._new) >= _FILES or time.monotonic() - self._written >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._new:
            number = max(self._numbers(), default=0) + 1
            while not self._store.create(self._path(number), self._part(self._new.items())):
                number += 1  # another share of the same transfer was quicker
            self._new = {}
        self._written = time.monotonic()

    def replace(self, entries: Mapping[str, Entry]) -> None:
        before = self._numbers()
        number = max(before, default=0) + 1
        self._store.put(self._path(number), self._part(entries.items(), whole=True))
        self._new = {}
        for number in before:
            self._store.delete(self._path(number))

    def _part(self, entries: Iterable[tuple[str, Entry]], *, whole: bool = False) -> bytes:
        return write_document(JournalPart(place=self._place, whole=whole, files=tuple(entries)))

    def _numbers(self) -> set[int]:
        return {number for info in self._store.walk(self._folder) if (number := numbered(info.path))}

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number}.json"


def place_key(store: Store, path: str) -> str:
    """Return what a place is known by: its store and its path there, whatever the datastore is called."""
    return digest_document("ml-pipelines/transfer/1", join(store.url, path))
