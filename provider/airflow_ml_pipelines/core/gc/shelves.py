"""Finds what needs no tombstone: what is kept by digest and not named any more, old leases, and files half-written."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from airflow_ml_pipelines.core.gc.ledger import Digests
from airflow_ml_pipelines.core.gc.policy import DAY, QUIET_SECONDS
from airflow_ml_pipelines.core.gc.report import Item, Kind
from airflow_ml_pipelines.core.progress import advance
from airflow_ml_pipelines.core.stores.store import ObjectInfo, Store, is_unfinished

__all__ = ["find_old"]

_KINDS: dict[str, Kind] = {"snapshots": "snapshot", "manifests": "manifest"}

_LOOKED_AT = frozenset({"snapshots", "manifests", "leases", "runs", "reuse", "data"})
"""Where half-written files are found on the way, or are somebody else's."""


def find_old(store: Store, digests: Digests, began: float, older_than: float | None) -> Generator[Item]:
    """Yield what can be removed at once.

    :param digests: of the snapshots and manifests that are named.
    :param older_than: seconds after which records that were set aside go; None to leave them.
    """
    for shelf in ("snapshots", "manifests", "leases"):
        for info in store.walk(shelf, unfinished=True):
            advance(1, "objects")
            if is_unfinished(info.path):
                if info.modified < began - DAY:
                    yield _item("unfinished file", info, "its writer was killed")
            elif info.modified < began - QUIET_SECONDS:
                yield from _old(shelf, info, digests)
    yield from _unfinished_elsewhere(store, began)
    if older_than is not None:
        for info in store.walk("reuse/set-aside"):
            if info.modified < began - older_than:
                yield _item("set-aside record", info, "it was found damaged long ago")


def _unfinished_elsewhere(store: Store, began: float) -> Iterator[Item]:
    for folder in ("reuse/set-aside", *(name for name in store.folders() if name not in _LOOKED_AT)):
        for info in store.walk(folder, unfinished=True):
            if is_unfinished(info.path) and info.modified < began - DAY:
                yield _item("unfinished file", info, "its writer was killed")


def _old(shelf: str, info: ObjectInfo, digests: Digests) -> Iterator[Item]:
    if shelf == "leases":
        yield _item("lease", info, "nobody has renewed it for seven days")
    elif info.path.rpartition("/")[2].partition(".")[0] not in digests:
        yield _item(_KINDS[shelf], info, "no record and no run names it")


def _item(kind: Kind, info: ObjectInfo, reason: str) -> Item:
    return Item(action="remove", kind=kind, path=info.path, size=info.size, reason=reason)
