"""Removes what a tombstone was on until its time had come.

Everything is done so that it can be done again: whoever is killed half-way leaves a tombstone that says so, and the next
clean-up goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from airflow_ml_pipelines.core.documents import read_document
from airflow_ml_pipelines.core.errors import DocumentError, NotFoundError, WorkspaceError
from airflow_ml_pipelines.core.layout import owned_folder
from airflow_ml_pipelines.core.records import forget_record
from airflow_ml_pipelines.core.store import Store
from airflow_ml_pipelines.core.tombstones import read_tombstone, tombstone_path, write_tombstone
from airflow_ml_pipelines.core.workspace import Workspace

__all__ = ["owned_stores", "remove_result", "remove_run"]

_JOB_SCHEMA = 1 << 30
"""Of a job only fields are read that every version has."""


class _Workspace(msgspec.Struct):
    datastores: dict[str, str] = {}


class _Output(msgspec.Struct):
    store: str
    path: str


class _Job(msgspec.Struct):
    workspace: _Workspace
    outputs: dict[str, _Output] = {}


def owned_stores(workspace: Workspace, attempt: str) -> Iterator[tuple[str, Store]]:
    """Yield the datastores on which an attempt was given a folder of its own, by name.

    Destinations that the user named belong to the user. A datastore that is no longer known is left out.

    :param attempt: its folder under the workspace's root.
    """
    path = f"{attempt}/job.json"
    try:
        job = read_document(workspace.store.get(path), _Job, what=path, schema=_JOB_SCHEMA)
    except (NotFoundError, DocumentError):  # it was killed before it was told where to write
        return
    below = owned_folder(attempt) + "/"
    names = {url: name for name, url in job.workspace.datastores.items()}
    found = {names.get(output.store) for output in job.outputs.values() if output.path.startswith(below)}
    for name in sorted(name for name in found if name is not None):
        try:
            yield name, workspace.datastore(name)
        except WorkspaceError:
            continue


def remove_result(workspace: Workspace, attempt: str, keys: list[str]) -> bool:
    """Remove the data of an attempt; return False where somebody uses it again.

    :param keys: those whose records name it.
    """
    store = workspace.store
    tombstone = read_tombstone(store, attempt)
    if tombstone is None:
        return False
    if tombstone.removed is None:
        tombstone = msgspec.structs.replace(tombstone, removed=time.time())
        write_tombstone(store, attempt, tombstone)
    for key in keys:
        forget_record(store, key, attempt)
    store.remove(f"{attempt}/manifests")
    for _, datastore in owned_stores(workspace, attempt):
        datastore.remove(owned_folder(attempt))
    write_tombstone(store, attempt, msgspec.structs.replace(tombstone, done=True))
    return True


def remove_run(workspace: Workspace, run: str, attempts: list[str]) -> bool:
    """Remove a run's folder; return False where somebody uses it again.

    :param attempts: the folders of its attempts.
    """
    store = workspace.store
    tombstone = read_tombstone(store, run)
    if tombstone is None:
        return False
    if tombstone.removed is None:
        write_tombstone(store, run, msgspec.structs.replace(tombstone, removed=time.time()))
    datastores = {
        name: datastore for attempt in attempts for name, datastore in owned_stores(workspace, attempt)
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
    for datastore in datastores.values():  # folders that are empty by now, where a store has such
        outputs = f"outputs/{run.removeprefix('runs/')}"
        if not any(True for _ in datastore.walk(outputs)):
            datastore.remove(outputs)
    return True
