"""Keeps what is stored by digest from being removed while it is relied on.

Whoever relies on an object that is older than a day writes it anew; a clean-up removes old ones alone. So that none is
written anew in the very moment in which it is removed, each side says what it does before it looks at what the other
one did: the clean-up lists in ``removing.json`` what it is about to remove, then looks how old that is; the other writes
the object, then looks whether it is on the list, and if so waits until the list is gone and looks what is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import msgspec

from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import NotFoundError
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["REMOVING", "SCHEMA", "RemovalDocument", "freshen", "removing"]

SCHEMA = 1
REMOVING = "removing.json"

_FRESH_SECONDS = 24 * 3600.0
_REMOVAL_SECONDS = 30.0
_STALE_SECONDS = 120.0
_PAUSE = 0.1


class RemovalDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a clean-up is about to remove."""

    schema: int = SCHEMA
    paths: tuple[str, ...]


def freshen(store: Store, path: str) -> bool:
    """Return whether an object is there, after writing it anew where it is older than a day."""
    info = store.info(path)
    if info is None:
        return False
    if time.time() - info.modified <= _FRESH_SECONDS:
        return True
    try:
        store.put(path, store.get(path))
    except NotFoundError:
        return False
    if not _is_being_removed(store, path):
        return True
    while _is_being_removed(store, path):
        time.sleep(_PAUSE)
    return store.info(path) is not None


@contextmanager
def removing(store: Store, paths: Collection[str]) -> Iterator[Callable[[], bool]]:
    """Say what is about to be removed, for as long as the block runs.

    Give a function that returns whether there is time left: the list of a clean-up that was killed counts for two
    minutes, so nothing may be removed by a list that is nearly as old.
    """
    store.put(REMOVING, write_document(RemovalDocument(paths=tuple(paths))))
    began = time.monotonic()
    try:
        yield lambda: time.monotonic() - began < _REMOVAL_SECONDS
    finally:
        store.delete(REMOVING)


def _is_being_removed(store: Store, path: str) -> bool:
    info = store.info(REMOVING)
    if info is None or store.clock() - info.modified > _STALE_SECONDS:
        return False
    try:
        data = store.get(REMOVING)
    except NotFoundError:
        return False
    return path in read_document(data, RemovalDocument, what=REMOVING, schema=SCHEMA).paths
