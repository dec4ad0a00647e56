"""Leases: of all who need the result of a key, one computes it and the others wait.

The leases of a key are numbered objects, each created exclusively. The highest number is the one that counts: it is
held until it is released (rewritten with ``released``) or expired (not rewritten for its ``seconds``, by the store's
clock alone). Taking the lease over is creating the next number, which only one writer can do. Numbers are never used
twice: the highest object stays when the lease ends, only lower ones are removed.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import DocumentError, NotFoundError, StoreError
from airflow_ml_pipelines.core.layout import lease_folder
from airflow_ml_pipelines.core.stores.store import ObjectInfo, Store

__all__ = ["SCHEMA", "Lease", "LeaseDocument", "acquire_lease", "attempt_key", "find_holder", "release_lease"]

SCHEMA = 1
_TRIES = 200


class LeaseDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a lease says of its holder.

    :param owner: pipeline, run and step; the same owner may take its lease again.
    :param seconds: how long the lease holds after it was last written.
    """

    owner: str
    seconds: float
    host: str = ""
    process: int = 0
    released: bool = False
    schema: int = SCHEMA


class Lease:
    """A lease that is held."""

    def __init__(self, store: Store, key: str, number: int, document: LeaseDocument) -> None:
        self.store = store
        self.key = key
        self.number = number
        self.document = document
        self.lost = False
        self.handed_on = False

    def beat(self) -> None:
        """Say that the holder is alive; notice where another took the lease over."""
        if max(_numbers(self.store, self.key), default=self.number) > self.number:
            self.lost = True
            return
        self.store.put(_path(self.key, self.number), write_document(self.document))

    def release(self) -> None:
        """End the lease, so that the next one need not wait for it to expire; not where it was handed on."""
        if not self.lost and not self.handed_on:
            released = msgspec.structs.replace(self.document, released=True)
            self.store.put(_path(self.key, self.number), write_document(released))

    def hand_on(self) -> None:
        """Leave it to another process of the same owner, which takes it again before it expires."""
        self.beat()
        self.handed_on = True

    @contextmanager
    def kept(self) -> Iterator[Lease]:
        """Beat in the background while the block runs, and release at its end.

        Where it can't be released it expires: what was done while it was held counts.
        """
        ended = threading.Event()

        def keep() -> None:
            while not ended.wait(self.document.seconds / 4) and not self.lost:
                with suppress(StoreError):  # a store that is away for a moment: the next beat may do
                    self.beat()

        thread = threading.Thread(target=keep, name=f"lease-{self.key[:8]}", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()
            with suppress(StoreError):
                self.release()


def acquire_lease(store: Store, key: str, owner: str, seconds: float) -> Lease | LeaseDocument:
    """Take the lease of a key, or return what its present holder says.

    An owner that already holds it gets it again.
    """
    document = LeaseDocument(owner=owner, seconds=seconds, host=socket.gethostname(), process=os.getpid())
    for _ in range(_TRIES):
        found = _highest(store, key)
        number = 0
        if found is not None:
            number, info, holder = found
            if holder is not None and not _free(store, info, holder):
                if holder.owner != owner:
                    return holder
                lease = Lease(store, key, number, document)
                lease.beat()
                if lease.lost:
                    continue
                return lease
        number += 1
        if not store.create(_path(key, number), write_document(document)):
            time.sleep(random.random() / 50)  # noqa: S311 - many at once need not look again at the same moment
            continue
        numbers = _numbers(store, key)
        if max(numbers) != number:  # numbered from a listing that others had gone beyond
            store.delete(_path(key, number))
            continue
        for lower in numbers - {number}:
            store.delete(_path(key, lower))
        return Lease(store, key, number, document)
    raise StoreError(
        f"could not take the lease of {key} in {store.url}: {_TRIES} others came first; try again"
    )


def attempt_key(folder: str) -> str:
    """Return the key of the lease that an attempt holds whose result has no key, so that it is known to be alive.

    :param folder: the attempt's.
    """
    return digest_document("ml-pipelines/attempt/1", folder)


def find_holder(store: Store, key: str) -> LeaseDocument | None:
    """Return what the present holder of a key's lease says, None where it is free."""
    found = _highest(store, key)
    if found is None:
        return None
    _, info, holder = found
    return None if holder is None or _free(store, info, holder) else holder


def release_lease(store: Store, key: str, owner: str) -> None:
    """End the lease that an owner holds, in the place of a process that was lost or told another to keep it."""
    found = _highest(store, key)
    if found is None:
        return
    number, _, holder = found
    if holder is not None and holder.owner == owner and not holder.released:
        Lease(store, key, number, holder).release()


def _free(store: Store, info: ObjectInfo, holder: LeaseDocument) -> bool:
    return holder.released or store.clock() - info.modified > holder.seconds


def _highest(store: Store, key: str) -> tuple[int, ObjectInfo, LeaseDocument | None] | None:
    for _ in range(_TRIES):
        number = max(_numbers(store, key), default=None)
        if number is None:
            return None
        path = _path(key, number)
        info = store.info(path)
        data: Any = None
        with suppress(NotFoundError):
            data = store.get(path)
        if info is None or data is None:
            continue  # a higher one came and this one was removed
        try:
            return number, info, read_document(data, LeaseDocument, what=f"lease {path}", schema=SCHEMA)
        except DocumentError:
            return number, info, None  # unreadable: nobody's
    return None


def _numbers(store: Store, key: str) -> set[int]:
    names = (info.path.rpartition("/")[2].removesuffix(".json") for info in store.walk(lease_folder(key)))
    return {int(name) for name in names if name.isdecimal()}


def _path(key: str, number: int) -> str:
    return f"{lease_folder(key)}/{number}.json"
