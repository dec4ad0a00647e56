"""Checks what reuse goes by: records and leases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_ml_pipelines.core import layout
from airflow_ml_pipelines.core.check.look import Finding, Look
from airflow_ml_pipelines.core.keys.key import digest_key
from airflow_ml_pipelines.core.reuse import lease, records
from airflow_ml_pipelines.core.reuse.lease import LeaseDocument
from airflow_ml_pipelines.core.reuse.records import Record, SetAside

__all__ = ["check_leases", "check_record", "check_records"]

_SET_ASIDE = "set-aside"


def check_records(look: Look) -> Iterator[Finding]:
    """Check the index: every record has its key, its attempt, and outputs that are as they were made."""
    for shard in look.store.folders("reuse"):
        for info in look.objects(f"reuse/{shard}"):
            if shard == _SET_ASIDE:
                look.document(info.path, SetAside, records.SCHEMA)
            elif (record := look.document(info.path, Record, records.SCHEMA)) is not None:
                _check_indexed(look, info.path, record)
                check_record(look, info.path, record)
        yield from look.take()


def check_record(look: Look, path: str, record: Record) -> None:
    """Check a record, wherever it lies."""
    if digest_key(record.document) != record.key:
        look.say("broken", path, "its key is not the digest of its key document")
    for name, output in record.outputs.items():
        look.output(path, name, output)


def _check_indexed(look: Look, path: str, record: Record) -> None:
    if path != layout.record_path(record.key):
        look.say("broken", path, f"it is the record of another key, {record.key}")
    made = f"{record.folder}/record.json"
    if look.store.info(made) is None:
        look.say("damaged", path, f"the attempt that made it, {record.folder}, has no record")
    elif record.accepted is not None:
        own = look.document(made, Record, records.SCHEMA)
        if own is not None and own.outputs != record.outputs:
            look.say("broken", path, "its accepted result is not what its attempt made")
    for name, output in record.outputs.items():
        if look.store.info(layout.manifest_path(output.digest)) is None:
            text = (
                f"output {name!r}: manifest {output.digest} is not kept, so a difference to it names no files"
            )
            look.say("note", path, text)


def check_leases(look: Look) -> Iterator[Finding]:
    """Check the leases: numbered, readable, and of each key the highest one is held or was released."""
    for shard in look.store.folders("leases"):
        by_key: dict[str, dict[int, str]] = {}
        for info in look.objects(f"leases/{shard}"):
            folder, _, name = info.path.rpartition("/")
            key, number = folder.rpartition("/")[2], name.removesuffix(".json")
            if folder != layout.lease_folder(key) or not number.isdecimal():
                look.say("broken", info.path, "it is no numbered lease of a key")
                continue
            by_key.setdefault(key, {})[int(number)] = info.path
        for key, numbered in by_key.items():
            _check_lease(look, key, numbered)
        yield from look.take()


def _check_lease(look: Look, key: str, numbered: Mapping[int, str]) -> None:
    documents = {
        number: look.document(path, LeaseDocument, lease.SCHEMA) for number, path in numbered.items()
    }
    highest = max(numbered)
    document = documents.pop(highest)
    if document is not None and not document.released and lease.find_holder(look.store, key) is None:
        text = f"{document.owner} holds it and gives no sign of life; another may take it over"
        look.say("note", numbered[highest], text)
    for number in documents:
        look.say("note", numbered[number], f"lease {highest} of the same key came after it")
