"""Documents that change: every state is an object of its own, with the next number, made by exclusive create.

::

    <folder>/1.json   <folder>/2.json   …        the last one counts

Of any number of changes at once each is made to the state before it, so none is lost. On a store without exclusive
create (:attr:`~airflow_ml_pipelines.core.stores.store.Store.conditional`) one of two changes at the same moment may be.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import NotFoundError, StoreError, WorkspaceError
from airflow_ml_pipelines.core.layout import numbered
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["change_state", "find_states", "read_state", "update_state"]

_T = TypeVar("_T")
_SCHEMA = 1
_TRIES = 200
_PAUSE = 0.02


def read_state(store: Store, folder: str, kind: type[_T]) -> _T | None:
    """Return the last state of a document, None where there is none.

    :raises DocumentError: where it can't be read.
    """
    return _last(store, folder, kind)[1]


def change_state(store: Store, folder: str, kind: type[_T], change: Callable[[_T | None], _T]) -> _T:
    """Change a document; return its new state.

    :param change: returns the new state from the last one (None where there is none). It may be called several times,
        where others change the document at the same moment, and raises what the caller is to get.
    :raises StoreError: where others changed it all the time.
    """
    for _ in range(_TRIES):
        number, last = _last(store, folder, kind)
        document = change(last)
        if document == last or store.create(f"{folder}/{number + 1}.json", write_document(document)):
            return document
        time.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - lets others go first
    raise StoreError(f"{store.url}/{folder} was changed by others {_TRIES} times in a row: try again")


def update_state(store: Store, folder: str, kind: type[_T], change: Callable[[_T], _T], missing: str) -> _T:
    """Change a document that is there already; see :func:`change_state`.

    :param missing: the text of the error where it is not.
    :raises WorkspaceError: where it is not there.
    """

    def changed(last: _T | None) -> _T:
        if last is None:
            raise WorkspaceError(missing)
        return change(last)

    return change_state(store, folder, kind, changed)


def find_states(store: Store, top: str, kind: type[_T]) -> Iterator[_T]:
    """Yield the last state of every document whose folder is in a folder, in no order.

    :raises DocumentError: where one can't be read.
    """
    latest: dict[str, int] = {}
    for info in store.walk(top):
        folder = info.path.rpartition("/")[0]
        latest[folder] = max(numbered(info.path), latest.get(folder, 0))
    for folder, listed in latest.items():
        found = _last_from(store, folder, kind, listed)[1]
        if found is not None:
            yield found


def _last(store: Store, folder: str, kind: type[_T]) -> tuple[int, _T | None]:
    """Return the last state and its number; 0 and None where there is none."""
    listed = max((numbered(info.path) for info in store.walk(folder)), default=0)
    return _last_from(store, folder, kind, listed)


def _last_from(store: Store, folder: str, kind: type[_T], listed: int) -> tuple[int, _T | None]:
    """Return the last state and its number, from a number on: a listing may be a little old."""
    number, found = 0, None
    while True:
        following = max(listed, number + 1)
        path = f"{folder}/{following}.json"
        try:
            data = store.get(path)
        except NotFoundError:
            return number, found
        number, found = following, read_document(data, kind, what=f"{store.url}/{path}", schema=_SCHEMA)
