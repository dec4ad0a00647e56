"""Which data belongs to an attempt alone, so that it can be removed with it.

Destinations that the user named belong to the user, and what lies in an ``outputs`` folder that other workspaces may
write to as well, without this workspace's id above it, may be anybody's: neither is ever removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec

from airflow_ml_pipelines.core import layout
from airflow_ml_pipelines.core.documents import read_document
from airflow_ml_pipelines.core.errors import DocumentError, NotFoundError, WorkspaceError
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["Owned"]

_JOB_SCHEMA = 1 << 30
"""Of a job only fields are read that every version has."""


class _Workspace(msgspec.Struct):
    datastores: dict[str, str] = {}


class _Output(msgspec.Struct):
    store: str
    path: str


class _Job(msgspec.Struct):
    workspace: _Workspace
    outputs: dict[str, _Output] = {}


class _Sized(Protocol):
    datastore: str
    path: str
    size: int


class Owned:
    """Knows the folders of a workspace's attempts on its datastores."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._alone = frozenset(name for name in workspace.datastores() if workspace.is_own(name))
        self._identity = workspace.find_identity()

    def folders(self, attempt: str) -> list[str]:
        """Return the folders on datastores that may be an attempt's.

        :param attempt: its folder under the workspace's root.
        """
        own = [layout.owned_folder(attempt)]
        return [*own, layout.owned_folder(attempt, self._identity)] if self._identity else own

    def size(self, attempt: str, outputs: Iterable[_Sized]) -> int:
        """Return the bytes of those outputs that lie in folders that their attempt owns."""
        try:
            folders = self.folders(attempt)
        except ValueError:  # no folder of an attempt
            return 0
        return sum(output.size for output in outputs if self._has(folders, output.datastore, output.path))

    def _has(self, folders: list[str], datastore: str, path: str) -> bool:
        if path.startswith(folders[0] + "/"):
            return datastore in self._alone
        return len(folders) > 1 and path.startswith(folders[1] + "/")

    def places(self, attempt: str) -> Iterator[tuple[Store, str]]:
        """Yield the folders that an attempt was given, with the datastores that they are on.

        A datastore that is no longer known is left out.
        """
        path = f"{attempt}/job.json"
        try:
            job = read_document(self._workspace.store.get(path), _Job, what=path, schema=_JOB_SCHEMA)
        except (NotFoundError, DocumentError):  # it was killed before it was told where to write
            return
        names = {url: name for name, url in job.workspace.datastores.items()}
        folders = self.folders(attempt)
        found = {
            (names[output.store], folder)
            for output in job.outputs.values()
            for folder in folders
            if output.store in names
            and output.path.startswith(folder + "/")
            and self._has(folders, names[output.store], output.path)
        }
        for name, folder in sorted(found):
            try:
                yield self._workspace.datastore(name), folder
            except WorkspaceError:
                continue
