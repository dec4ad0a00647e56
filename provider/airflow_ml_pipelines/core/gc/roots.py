"""What is kept whatever its age: each root says what it needs, and nothing else has to know of it.

A new kind of thing that needs old data is one more function in :data:`ROOTS`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

from airflow_ml_pipelines.core.documents import read_document
from airflow_ml_pipelines.core.gc.policy import QUIET_SECONDS
from airflow_ml_pipelines.core.globs import split_glob
from airflow_ml_pipelines.core.keeping.pins import find_pins
from airflow_ml_pipelines.core.layout import numbered, run_folder
from airflow_ml_pipelines.core.publishing.drafts import DraftDocument
from airflow_ml_pipelines.core.publishing.published import read_status
from airflow_ml_pipelines.core.stores.store import ObjectInfo, Store, join
from airflow_ml_pipelines.core.workspaces.registry import FOLDERS, SCHEMA, DatasetRecord, PublishedDocument

__all__ = ["ROOTS", "DataAt", "Digest", "Finder", "Kept", "Run"]

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


def pinned_runs(store: Store, _began: float) -> Iterator[Root]:
    """Yield the runs that somebody wants to keep."""
    for pin in find_pins(store):
        yield Run(run_folder(pin.pipeline, pin.run))


def registered_datasets(store: Store, _began: float) -> Iterator[Root]:
    """Yield the data of every version of every dataset."""
    for info in store.walk(FOLDERS[DatasetRecord]):
        what = f"dataset {info.path}"
        dataset = read_document(store.get(info.path), DatasetRecord, what=what, schema=SCHEMA)
        for location in dataset.data.locations:
            if location.datastore is not None:
                yield DataAt(split_glob(join(location.path))[0])


def published_pipelines(store: Store, began: float) -> Iterator[Root]:
    """Yield the snapshots of published pipelines: every digest that one of them names.

    Those that were deleted need none: their runs name their own snapshots, from the moment in which they were planned.
    Runs that were waiting to be planned may have been for as long as a silent run counts as one that goes on.
    """
    infos = {info.path: info for info in store.walk(FOLDERS[PublishedDocument])}
    for path in filter(numbered, infos):
        place = path.removesuffix(".json")
        status = infos.get(f"{place}.status.json")
        gone = status is not None and status.modified < began - QUIET_SECONDS
        if not (gone and read_status(store, place) == "Deleted"):
            yield from _digests(store, path)


def drafts(store: Store, began: float) -> Iterator[Root]:
    """Yield the snapshots of drafts: those of the last state, and of states that were the last one lately."""
    states: dict[str, list[ObjectInfo]] = {}
    for info in store.walk("drafts"):
        if numbered(info.path):
            states.setdefault(info.path.rpartition("/")[0], []).append(info)
    for found in states.values():
        found.sort(key=lambda info: numbered(info.path))
        for state, following in zip_longest(found, found[1:]):
            if following is not None and following.modified < began - QUIET_SECONDS:
                continue
            if (
                following is None
                and state.modified < began - QUIET_SECONDS
                and _is_deleted(store, state.path)
            ):
                continue
            yield from _digests(store, state.path)


def _is_deleted(store: Store, path: str) -> bool:
    return read_document(store.get(path), DraftDocument, what=path, schema=SCHEMA).deleted


def _digests(store: Store, path: str) -> Iterator[Digest]:
    for digest in _DIGEST.findall(store.get(path)):
        yield Digest(digest.decode())


Finder = Callable[[Store, float], Iterator[Root]]
"""Finds roots, from a workspace's root and the moment in which a clean-up began."""

ROOTS: tuple[Finder, ...] = (
    pinned_runs,
    registered_datasets,
    published_pipelines,
    drafts,
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
    def of(cls, store: Store, began: float, roots: Iterable[Finder] = ROOTS) -> Kept:
        """Ask every root."""
        kept = cls()
        for find in roots:
            for root in find(store, began):
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
