"""Keeps what is stored by digest from being removed while it is relied on: only old objects ever are."""

from __future__ import annotations

import time

from airflow_ml_pipelines.core.errors import NotFoundError
from airflow_ml_pipelines.core.store import Store

__all__ = ["freshen"]

_FRESH_SECONDS = 24 * 3600.0


def freshen(store: Store, path: str) -> bool:
    """Return whether an object is there, after writing it anew where it is older than a day."""
    info = store.info(path)
    if info is None:
        return False
    if time.time() - info.modified > _FRESH_SECONDS:
        try:
            store.put(path, store.get(path))
        except NotFoundError:
            return False
    return True
