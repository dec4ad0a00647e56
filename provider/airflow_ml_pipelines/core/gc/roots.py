"""What is kept whatever its age: each root says what it needs, and nothing else has to know of it.

A new kind of thing that needs old data is one more function in :data:`ROOTS`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from airflow_ml_pipelines.core.documents import read_document
from airflow_ml_pipelines.core.globs import split_glob
from airflow_ml_pipelines.core.layout import run_folder
from airflow_ml_pipelines.core.pins import find_pins
from airflow_ml_pipelines.core.registry import FOLDERS, SCHEMA, DatasetRecord, PublishedDocument
from airflow_ml_pipelines.core.store import Store, join

__all__ = ["ROOTS", "DataAt", "Digest", "Kept", "Run"]

_DIGEST = re.compile(rb'"([0-9a-f]{64})"')


@dataclass(frozen=True)
class Run:
    """A run, with the results that its steps made or took.

    :param path: its folder.
    """

    path: str


@dataclass(frozen=True)
class DataAt:
    """Data below a path of a datastore, or in a folder above."""

    path: str


@dataclass(frozen=True)
class Digest:
    """A snapshot or a manifest."""

    digest: str


Root = Run | DataAt | Digest


def pinned_runs(store: Store) -> Iterator[Root]:
    """Yield the runs that somebody wants to keep."""
    for pin in find_pins(store):
        yield Run(run_folder(pin.pipeline, pin.run))


def registered_datasets(store: Store) -> Iterator[Root]:
    """Yield the data of every version of every dataset."""
    for info in store.walk(FOLDERS[DatasetRecord]):
        what = f"dataset {info.path}"
        dataset = read_document(store.get(info.path), DatasetRecord, what=what, schema=SCHEMA)
        for location in dataset.data.locations:
            if location.datastore is not None:
                yield DataAt(split_glob(join(location.path))[0])


def published_pipelines(store: Store) -> Iterator[Root]:
    """Yield the snapshots of published pipelines and drafts: every digest that one of them names."""
    for folder in (FOLDERS[PublishedDocument], "drafts"):
        for info in store.walk(folder):
            for digest in _DIGEST.findall(store.get(info.path)):
                yield Digest(digest.decode())


ROOTS: tuple[Callable[[Store], Iterator[Root]], ...] = (
    pinned_runs,
    registered_datasets,
    published_pipelines,
)


@dataclass
class Kept:
    """What the roots keep.

    :raises DocumentError: where one can't be read: what it needs would not be known.
    """

    runs: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)
    _data: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, store: Store, roots: Iterable[Callable[[Store], Iterator[Root]]] = ROOTS) -> Kept:
        """Ask every root."""
        kept = cls()
        for find in roots:
            for root in find(store):
                if isinstance(root, Run):
                    kept.runs.add(root.path)
                elif isinstance(root, Digest):
                    kept.digests.add(root.digest)
                else:
                    kept._data.append(root.path + "/" if root.path else "")
        kept._data.sort()
        return kept

    @property
    def has_any_data(self) -> bool:
        """Whether any data is kept."""
        return bool(self._data)

    def has_data(self, folder: str) -> bool:
        """Return whether data in a folder of a datastore, or below it, is kept."""
        below = folder + "/"
        first = bisect_left(self._data, below)
        if first < len(self._data) and self._data[first].startswith(below):
            return True
        above = ["", *(below[: at + 1] for at, sign in enumerate(below) if sign == "/")]
        return any(self._is_there(path) for path in above)

    def _is_there(self, path: str) -> bool:
        at = bisect_left(self._data, path)
        return at < len(self._data) and self._data[at] == path
