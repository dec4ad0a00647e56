"""Pins: runs that are kept, with all that they made and used, until the pin is taken out again.

::

    pins/<pipeline>/<run>.json
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.keeping.tombstones import claim
from airflow_ml_pipelines.core.layout import segment
from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["FOLDER", "SCHEMA", "Pin", "find_pins", "pin_run", "unpin_run"]

SCHEMA = 1
FOLDER = "pins"


class Pin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That a run is kept.

    :param user: who wants it.
    :param when: seconds since the epoch.
    """

    schema: int = SCHEMA
    pipeline: str
    run: str
    user: str
    when: float


def pin_run(folder: RunFolder, user: str) -> Pin:
    """Keep a run, with the results that its steps made or took.

    :raises WorkspaceError: where one of these was removed already.
    """
    pin = Pin(pipeline=folder.pipeline, run=folder.run, user=user, when=time.time())
    folder.store.put(_path(folder), write_document(pin))
    steps = folder.steps().values()
    lost = claim(folder.store, {folder.path, *(step.folder for step in steps if step.ended_well)})
    if lost:
        raise WorkspaceError(
            f"run {folder.run!r} is pinned, and not all of it is there any more; removed were "
            f"the data of {', '.join(sorted(lost))}"
        )
    return pin


def unpin_run(folder: RunFolder) -> None:
    """Take the pin of a run out. :raises WorkspaceError: where it has none."""
    if folder.store.info(_path(folder)) is None:
        known = ", ".join(sorted(f"{pin.pipeline}/{pin.run}" for pin in find_pins(folder.store))) or "none"
        raise WorkspaceError(f"run {folder.run!r} of {folder.pipeline!r} is not pinned. There are: {known}.")
    folder.store.delete(_path(folder))


def find_pins(store: Store) -> Iterator[Pin]:
    """Yield every pin, in no order.

    :raises DocumentError: where one can't be read: what it keeps would not be known.
    """
    for info in store.walk(FOLDER):
        yield read_document(store.get(info.path), Pin, what=f"pin {info.path}", schema=SCHEMA)


def _path(folder: RunFolder) -> str:
    return f"{FOLDER}/{segment(folder.pipeline)}/{segment(folder.run)}.json"
