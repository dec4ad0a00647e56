"""Tombstones: what is going to be removed says so itself, and whoever needs it again takes that back.

A tombstone is one object in the folder of an attempt (its data is to go) or of a run (all of it is)::

    runs/<pipeline>/<run>/tombstone.json
    runs/<pipeline>/<run>/steps/<step>/<attempt>/tombstone.json

It has the moment until which it can be taken back. Before that moment nobody removes anything; after it nobody but
:mod:`airflow_ml_pipelines.core.gc` touches it, and what was removed keeps its tombstone, so that the empty place is
never taken for an empty result. Both sides read the same clock, the store's own.

Why nobody reads data that vanishes is written down in :mod:`airflow_ml_pipelines.core.gc`. What readers owe is this:
write into the run's folder what is used, then :func:`claim` it, and only then use it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import NotFoundError
from airflow_ml_pipelines.core.stores.parallel import each
from airflow_ml_pipelines.core.stores.store import Store

__all__ = [
    "NAME",
    "SCHEMA",
    "Tombstone",
    "claim",
    "lift",
    "read_tombstone",
    "tombstone_path",
    "write_tombstone",
]

SCHEMA = 1
NAME = "tombstone.json"

MARGIN = 5.0
"""Seconds before its moment from which a tombstone stays: some stores know whole seconds only."""


class Tombstone(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is said of something that is to be removed.

    :param reason: why.
    :param placed: when it was written, by the store's clock; so are the others.
    :param until: from when on it is removed.
    :param removed: when its removal began, None before.
    :param done: whether its removal has ended.
    """

    schema: int = SCHEMA
    reason: str
    placed: float
    until: float
    removed: float | None = None
    done: bool = False


def tombstone_path(folder: str) -> str:
    """Return where the tombstone of an attempt or a run lies."""
    return f"{folder}/{NAME}"


def read_tombstone(store: Store, folder: str) -> Tombstone | None:
    """Return the tombstone of an attempt or a run, None where it has none.

    :raises DocumentError: where it can't be read.
    """
    path = tombstone_path(folder)
    try:
        data = store.get(path)
    except NotFoundError:
        return None
    return read_document(data, Tombstone, what=f"tombstone {path}", schema=SCHEMA)


def write_tombstone(store: Store, folder: str, tombstone: Tombstone) -> None:
    """Write the tombstone of an attempt or a run."""
    store.put(tombstone_path(folder), write_document(tombstone))


def claim(store: Store, folders: Iterable[str]) -> frozenset[str]:
    """Take back the tombstones of attempts and runs that are used again; return those that are lost.

    :param folders: which of them are used; a document in the folder of the run that uses them has to say so already.
    """
    wanted = sorted(set(folders))
    kept = each(store, lambda folder: _claim(store, folder), wanted)
    return frozenset(folder for folder, is_kept in zip(wanted, kept, strict=True) if not is_kept)


def _claim(store: Store, folder: str) -> bool:
    tombstone = read_tombstone(store, folder)
    return tombstone is None or lift(store, folder, tombstone)


def lift(store: Store, folder: str, tombstone: Tombstone) -> bool:
    """Take a tombstone back; return False where it is too late for that."""
    if tombstone.removed is not None or store.clock() > tombstone.until - MARGIN:
        return False
    store.delete(tombstone_path(folder))
    if store.clock() < tombstone.until:  # so whoever wants to remove the folder does not find it any more
        return True
    store.create(tombstone_path(folder), write_document(tombstone))
    return False
