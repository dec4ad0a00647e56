"""Checks what is kept by digest or by name: snapshots, manifests, histories, registrations, and what is left over."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

import msgspec

from airflow_ml_pipelines.core import layout
from airflow_ml_pipelines.core.check.look import Finding, Look
from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.files.manifest import SCHEMA as MANIFEST_SCHEMA
from airflow_ml_pipelines.core.keeping import fresh, pins
from airflow_ml_pipelines.core.reuse import history
from airflow_ml_pipelines.core.reuse.history import History
from airflow_ml_pipelines.core.stores.store import CLOCK, is_unfinished
from airflow_ml_pipelines.core.transfer import journal
from airflow_ml_pipelines.core.workspaces import identity, registry
from airflow_ml_pipelines.core.workspaces.registry import (
    FOLDERS,
    DatasetRecord,
    DefaultsDocument,
    EnvironmentDocument,
)

__all__ = [
    "check_histories",
    "check_manifests",
    "check_others",
    "check_registered",
    "check_snapshots",
]

_PUBLISHED = ("dag-views", "drafts", "endpoints", "endpoint-names", "schedules", "watches")
_KNOWN = frozenset(
    {
        CLOCK,
        "data",
        "history",
        "leases",
        "manifests",
        pins.FOLDER,
        "reuse",
        "runs",
        "snapshots",
        journal.FOLDER,
        *_PUBLISHED,
        *FOLDERS.values(),
    }
)


class _FileList(msgspec.Struct):
    schema: int
    digest: str
    single: bool
    files: list[tuple[str, int, str, int, str]]


def check_snapshots(look: Look) -> Iterator[Finding]:
    """Check that each snapshot is a whole archive of the files that its list has."""
    found = {info.path for info in look.objects("snapshots")}
    for path in sorted(found):
        stem, _, kind = path.rpartition(".")
        if kind == "zip":
            _check_archive(look, path)
            if f"{stem}.json" not in found:
                look.say("note", path, "its list is missing; the next run with these files writes it")
        elif kind != "json":
            look.say("note", path, "nothing that this version knows")
        elif (manifest := look.manifest(path)) is not None and stem != f"snapshots/{manifest.digest}":
            look.say("broken", path, f"it is the list of another snapshot, {manifest.digest}")
        yield from look.take()


def _check_archive(look: Look, path: str) -> None:
    try:
        with look.store.open(path) as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except FileNotFoundError:
        return
    except (zipfile.BadZipFile, OSError) as error:
        look.say("broken", path, f"it is no whole archive: {error}")
        return
    listing = path.removesuffix(".zip") + ".json"
    manifest = look.manifest(listing)
    if manifest is not None and names != [entry.path for entry in manifest]:
        look.say("broken", path, "it has not the files of its list")


def check_manifests(look: Look) -> Iterator[Finding]:
    """Check that each list of files is kept under its own digest.

    That of an input is not always the digest of a manifest: files of object stores are told by their versions, and data
    of several locations has one list.
    """
    for shard in look.store.folders("manifests"):
        for info in look.objects(f"manifests/{shard}"):
            found = look.document(info.path, _FileList, MANIFEST_SCHEMA)
            if found is not None and info.path != layout.manifest_path(found.digest):
                look.say("broken", info.path, f"it is another manifest, {found.digest}")
        yield from look.take()


def check_histories(look: Look) -> Iterator[Finding]:
    """Check that histories can be read. That a key of one has no record any more is nothing to speak of."""
    for info in look.objects("history"):
        look.document(info.path, History, history.SCHEMA)
    yield from look.take()


def check_registered(look: Look) -> Iterator[Finding]:
    """Check what code has registered."""
    for kind, folder in FOLDERS.items():
        for info in look.objects(folder):
            if info.path.endswith(".status.json"):
                look.json(info.path)
                continue
            document: object = look.document(info.path, kind, registry.SCHEMA)
            if isinstance(document, DatasetRecord):
                _check_dataset(look, info.path, document)
            elif isinstance(document, EnvironmentDocument):
                name, version = document.environment.name, document.environment.version
                if info.path != f"{folder}/{layout.segment(name)}/{version}.json":
                    look.say("broken", info.path, f"it is version {version} of environment {name!r}")
    if look.store.info(identity.PATH) is not None:
        look.document(identity.PATH, identity.WorkspaceDocument, identity.SCHEMA)
    if look.store.info(fresh.REMOVING) is not None:
        look.document(fresh.REMOVING, fresh.RemovalDocument, fresh.SCHEMA)
    if look.store.info("defaults.json") is not None:
        look.document("defaults.json", DefaultsDocument, registry.SCHEMA)
    yield from look.take()


def _check_dataset(look: Look, path: str, dataset: DatasetRecord) -> None:
    name, version = dataset.name, dataset.version
    if path != f"{FOLDERS[DatasetRecord]}/{layout.segment(name)}/{version}.json":
        look.say("broken", path, f"it is version {version} of dataset {name!r}")
    for location in dataset.data.locations:
        if location.datastore is None:
            continue
        try:
            look.workspace.datastore_spec(location.datastore)
        except WorkspaceError:
            look.say("damaged", path, f"datastore {location.datastore!r} is no longer known")


def check_others(look: Look) -> Iterator[Finding]:
    """Check pins, journals of transfers and what comes of publishing; name half-written files, and folders that this version does not know."""
    store = look.store
    for info in look.objects(pins.FOLDER):
        look.document(info.path, pins.Pin, pins.SCHEMA)
    for info in look.objects(journal.FOLDER):
        look.document(info.path, journal.JournalPart, journal.SCHEMA)
    for folder in _PUBLISHED:
        for info in look.objects(folder):
            look.json(info.path)
    for folder in store.folders():
        if folder not in _KNOWN:
            look.say("note", folder, "nothing that this version knows")
        for info in store.walk(folder, unfinished=True) if folder != "data" else ():
            if is_unfinished(info.path):
                look.say("note", info.path, "what a process left that was killed while it wrote")
        yield from look.take()
