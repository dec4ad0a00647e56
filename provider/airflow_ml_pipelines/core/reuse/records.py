"""Records: what a step made under a key, kept for every later run that has the same key.

A record is written once, after the outputs and their manifests are complete. The index ``reuse/<ab>/<key>.json`` holds
the latest record of a key as one small object that is replaced atomically, so a look-up is one read. A record whose
outputs are found damaged is set aside under its key with what was wrong, never silently deleted.

A record may also stand on somebody's word (``accepted``): it has the key and the key document of a step that never ran,
and the result of an earlier one with another key. It is only ever created, so what a step really made comes first.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import msgspec

from airflow_ml_pipelines.core import layout
from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import DocumentError, NotFoundError
from airflow_ml_pipelines.core.runs.folder import Acceptance, Origin, OutputDocument
from airflow_ml_pipelines.core.stores.store import Store

__all__ = [
    "SCHEMA",
    "Record",
    "SetAside",
    "create_record",
    "find_record",
    "forget_record",
    "set_aside",
    "write_record",
]

SCHEMA = 1


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step made under a key.

    :param document: the key document, so that a later difference can be named.
    :param folder: the attempt's folder under the workspace's root (logs, metrics, files).
    :param started: seconds since the epoch, as ``finished``.
    :param accepted: on whose word the result counts as that of the key; None where a step with this key made it.
    """

    schema: int = SCHEMA
    key: str
    document: dict[str, Any]
    origin: Origin
    folder: str
    outputs: dict[str, OutputDocument] = {}
    started: float
    finished: float
    git: dict[str, str] = {}
    accepted: Acceptance | None = None

    @property
    def seconds(self) -> float:
        """How long the step took."""
        return self.finished - self.started


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """A record that no longer counts."""

    schema: int = SCHEMA
    problems: tuple[str, ...]
    when: float
    record: msgspec.Raw


def find_record(store: Store, key: str) -> Record | None:
    """Return the record of a key, None where there is none.

    :raises DocumentError: where it can't be read (a newer version of this package may have written it).
    """
    path = layout.record_path(key)
    try:
        data = store.get(path)
    except NotFoundError:
        return None
    record = read_document(data, Record, what=f"record {path}", schema=SCHEMA)
    if record.key != key:
        raise DocumentError(f"record {path} is of another key, {record.key}")
    return record


def write_record(store: Store, record: Record) -> None:
    """Make a record the one that its key is looked up to."""
    data = write_document(record)
    store.put(f"{record.folder}/record.json", data)
    store.put(layout.record_path(record.key), data)


def create_record(store: Store, record: Record) -> bool:
    """Make a record the one that its key is looked up to, unless there is one; return whether there was none."""
    return store.create(layout.record_path(record.key), write_document(record))


def forget_record(store: Store, key: str, folder: str) -> None:
    """Take the record of a key out of the index, where it is still the one of an attempt whose data is removed."""
    with suppress(DocumentError):
        record = find_record(store, key)
        if record is not None and record.folder == folder:
            store.delete(layout.record_path(key))


def set_aside(store: Store, key: str, problems: tuple[str, ...]) -> str:
    """Take the record of a key out of the index, keeping it with what was wrong; return where it is kept now."""
    path = layout.record_path(key)
    try:
        data = store.get(path)
    except NotFoundError:
        return ""
    try:
        msgspec.json.decode(data)
    except msgspec.DecodeError:
        data = msgspec.json.encode(data.decode(errors="replace"))
    document = msgspec.json.encode(SetAside(problems=problems, when=time.time(), record=msgspec.Raw(data)))
    number = 1
    while not store.create(kept := f"{layout.set_aside_folder(key)}/{number}.json", document):
        number += 1
    store.delete(path)
    return kept
