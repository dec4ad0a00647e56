"""The registered datasets of a workspace."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from airflow_ml_pipelines.core.errors import WorkspaceError, did_you_mean
from airflow_ml_pipelines.core.keeping.tombstones import claim
from airflow_ml_pipelines.core.layout import owner_of
from airflow_ml_pipelines.core.spec import Data
from airflow_ml_pipelines.core.stores.credentials import check_url
from airflow_ml_pipelines.core.stores.store import Store, join
from airflow_ml_pipelines.core.workspaces.registry import (
    DatasetRecord,
    add_version,
    find_latest,
    find_versions,
    read_version,
)

__all__ = ["Datasets"]


class Datasets:
    """Versions of datasets by their names.

    :param find_identity: returns what tells the workspace from any other, None where it has nothing yet.
    :param where: how an error calls the workspace.
    """

    def __init__(
        self, store: Callable[[], Store], find_identity: Callable[[], str | None], where: str
    ) -> None:
        self._store = store
        self._find_identity = find_identity
        self._where = where

    def all(self) -> Mapping[str, DatasetRecord]:
        """Return the latest version of each."""
        return MappingProxyType({item.name: item for item in find_latest(self._store(), DatasetRecord)})

    def versions(self, name: str) -> list[int]:
        """Return the versions of one, the oldest first; none where there is no such dataset."""
        return find_versions(self._store(), DatasetRecord, name)

    def get(self, name: str, version: str | int | None = None) -> DatasetRecord:
        """Return a version of one, the latest for None. :raises WorkspaceError: where there is none."""
        found = read_version(self._store(), DatasetRecord, name, version, self._where)
        if found is not None:
            return found
        raise WorkspaceError(
            f"there is no dataset {name!r} in {self._where}.{did_you_mean(name, self.all())}"
        )

    def register(self, name: str, data: Data, digest: str | None, **fields: Any) -> DatasetRecord:
        """Register data; return the version that it is, the latest one where that has the same data and digest.

        :param fields: further fields of the record.
        :raises WorkspaceError: where a URL has a secret in it, and where the data is being removed.
        """
        if not name:
            raise WorkspaceError("a dataset needs a name to be registered")
        for location in data.locations:
            if location.datastore is None:
                check_url(location.path, f"dataset {name!r}")
        self._claim(name, data)
        record = add_version(
            self._store(),
            DatasetRecord,
            name,
            same=lambda known: known.data == data and known.digest == digest,
            make=lambda number: DatasetRecord(
                name=name, version=number, data=data, digest=digest, created=time.time(), **fields
            ),
        )
        self._claim(name, data)  # now that others can see what it needs
        return record

    def _claim(self, name: str, data: Data) -> None:
        paths = [join(location.path) for location in data.locations if location.datastore is not None]
        identity = self._find_identity() if any(path.startswith("outputs/") for path in paths) else None
        owners = {owner for path in paths if (owner := owner_of(path, identity)) is not None}
        if lost := claim(self._store(), owners):
            raise WorkspaceError(
                f"dataset {name!r} can't be registered: its data is removed by `ml-pipelines gc`, since it was not used "
                f"for long ({', '.join(sorted(lost))}); make it again"
            )
