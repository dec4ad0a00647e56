"""Opens the stores of a workspace, each once, with the credentials that its datastore names."""

from __future__ import annotations

import threading
from typing import Any

from airflow_ml_pipelines.core.databases.kinds import is_database
from airflow_ml_pipelines.core.errors import StoreError, WorkspaceError
from airflow_ml_pipelines.core.stores.connections import connection_options
from airflow_ml_pipelines.core.stores.credentials import (
    check_options,
    check_url,
    resolve_credentials,
    variable_name,
)
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces.named import spec_content
from airflow_ml_pipelines.core.workspaces.registry import DatastoreSpec

__all__ = ["OpenStores", "canonical_url", "checked_datastore", "datastore_options", "is_local_url"]


class OpenStores:
    """Stores that are open; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._stores: dict[bytes, Store] = {}

    def open(self, spec: DatastoreSpec, what: str) -> Store:
        """Return the store of a datastore.

        :param what: how an error calls it.
        :raises WorkspaceError: where it can't be opened, or is a database.
        """
        key = spec_content(spec)
        if is_database(spec.url):
            raise WorkspaceError(
                f"{what} is a database and has no files: ask it with Dataset.Tabular.from_sql_query, or with `query:`"
            )
        with self._lock:
            store = self._stores.get(key)
            if store is None:
                try:
                    store = open_store(spec.url, **datastore_options(spec, what))
                except StoreError as error:
                    raise WorkspaceError(f"{what} can't be opened: {error}") from error
                self._stores[key] = store
            return store


def checked_datastore(spec: DatastoreSpec) -> DatastoreSpec:
    """Return a datastore. :raises WorkspaceError: where it has a secret in it."""
    what = f"datastore {spec.name!r}"
    check_url(spec.url, what)
    check_options(spec.options, what)
    for option, reference in spec.credentials.items():
        variable_name(reference, f"{what}, credential {option!r}")
    return spec


def datastore_options(spec: DatastoreSpec, what: str) -> dict[str, Any]:
    """Return what opens a datastore. It has secrets.

    :raises WorkspaceError: where a connection or variable is missing.
    """
    options = connection_options(spec.connection, what, spec.url) if spec.connection else {}
    return {**options, **spec.options, **resolve_credentials(spec.credentials, what)}


def is_local_url(url: str) -> bool:
    """Return whether a URL or path is one of this machine."""
    return "://" not in url or url.startswith("file://")


def canonical_url(url: str) -> str:
    """Return the one form of a store's URL, without opening it."""
    return open_store(url).url if is_local_url(url) else url.rstrip("/")
