"""Removes what a tombstone was on until its time had come.

Everything is done so that it can be done again: whoever is killed half-way leaves a tombstone that says so, and the next
clean-up goes on from there.
"""

from __future__ import annotations

import time

import msgspec

from airflow_ml_pipelines.core.gc.owned import Owned
from airflow_ml_pipelines.core.keeping.tombstones import read_tombstone, tombstone_path, write_tombstone
from airflow_ml_pipelines.core.reuse.records import forget_record
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["remove_result", "remove_run"]


def remove_result(store: Store, owned: Owned, attempt: str, keys: list[str]) -> bool:
    """Remove the data of an attempt; return False where somebody uses it again.

    :param keys: those whose records name it.
    """
    tombstone = read_tombstone(store, attempt)
    if tombstone is None:
        return False
    if tombstone.removed is None:
        tombstone = msgspec.structs.replace(tombstone, removed=time.time())
        write_tombstone(store, attempt, tombstone)
    for key in keys:
        forget_record(store, key, attempt)
    store.remove(f"{attempt}/manifests")
    for datastore, folder in owned.places(attempt):
        datastore.remove(folder)
    write_tombstone(store, attempt, msgspec.structs.replace(tombstone, done=True))
    return True


def remove_run(store: Store, owned: Owned, run: str, attempts: list[str]) -> bool:
    """Remove a run's folder; return False where somebody uses it again.

    :param attempts: the folders of its attempts.
    """
    tombstone = read_tombstone(store, run)
    if tombstone is None:
        return False
    if tombstone.removed is None:
        write_tombstone(store, run, msgspec.structs.replace(tombstone, removed=time.time()))
    places = {
        (datastore.url, folder.rsplit("/", 2)[0]): datastore
        for attempt in attempts
        for datastore, folder in owned.places(attempt)
    }
    # without run.json it is no run any more; its tombstone goes last
    for name in ("run.json", "plan.json", "result.json", "failed.json", "airflow.json"):
        store.delete(f"{run}/{name}")
    store.remove(f"{run}/steps")
    for info in list(store.walk(run, unfinished=True)):
        if info.path != tombstone_path(run):
            store.delete(info.path)
    store.delete(tombstone_path(run))
    store.remove(run)
    for (_, outputs), datastore in places.items():  # folders that are empty by now, where a store has such
        if not any(True for _ in datastore.walk(outputs)):
            datastore.remove(outputs)
    return True
