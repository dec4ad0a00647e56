"""Opens the stores that a job names, each once."""

from __future__ import annotations

from collections.abc import Callable

from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.runtime.job import Job

__all__ = ["Stores"]


class Stores:
    """The stores of a job.

    :param opener: opens the store at a URL. It is asked for the workspace's root and its datastores by their own URLs,
        so that it may know the credentials that belong to these.
    """

    def __init__(self, job: Job, opener: Callable[[str], Store]) -> None:
        self._opener = opener
        self._open: dict[str, Store] = {}
        known = {job.workspace.root, *job.workspace.datastores.values()}
        self._known = sorted(known, key=len, reverse=True)

    def open(self, url: str) -> Store:
        """Return the store at a URL. :raises StoreError: where it can't be opened."""
        if url not in self._open:
            self._open[url] = self._opener(url)
        return self._open[url]

    def is_known(self, url: str) -> bool:
        """Return whether a URL is that of the root or a datastore, and not one that data was named by itself."""
        return url in self._known

    def locate(self, url: str) -> tuple[Store, str]:
        """Return the store that a URL lies in, and the path there.

        :raises StoreError: where the store can't be opened.
        """
        for base in self._known:
            if url.startswith(base.rstrip("/") + "/"):
                return self.open(base), url[len(base.rstrip("/")) + 1 :]
        base, _, name = url.rstrip("/").rpartition("/")
        store = self.open(url if name else base)
        return store, ""
