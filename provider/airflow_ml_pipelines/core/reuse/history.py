"""The latest keys of each step of each pipeline: what a new key is compared with to say why a step runs."""

from __future__ import annotations

import msgspec

from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import DocumentError, NotFoundError
from airflow_ml_pipelines.core.layout import history_path
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["LENGTH", "SCHEMA", "add_key", "add_new_key", "recent_keys"]

SCHEMA = 1
LENGTH = 20
"""How many keys of a step are remembered."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a step, the latest first."""

    schema: int = SCHEMA
    keys: tuple[str, ...]


def recent_keys(store: Store, pipeline: str, step: str) -> tuple[str, ...]:
    """Return the keys under which a step ran, or took the result of another one, the latest first."""
    try:
        data = store.get(history_path(pipeline, step))
        return read_document(data, History, what="history", schema=SCHEMA).keys
    except (NotFoundError, DocumentError):  # it only serves explanations
        return ()


def add_key(store: Store, pipeline: str, step: str, key: str) -> None:
    """Remember a key as the latest of a step; of two written at once one may be forgotten, which does no harm."""
    others = tuple(known for known in recent_keys(store, pipeline, step) if known != key)
    history = History(keys=(key, *others[: LENGTH - 1]))
    store.put(history_path(pipeline, step), write_document(history))


def add_new_key(store: Store, pipeline: str, step: str, key: str) -> None:
    """Remember a key as the latest of a step if it is not among those that are remembered."""
    if key not in recent_keys(store, pipeline, step):
        add_key(store, pipeline, step, key)
