"""Where an output of a run lies."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dag_factory._check import checked
from dag_factory.datastores.datastore import Datastore

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.runs.folder import OutputDocument
    from dag_factory.workspace import Workspace

__all__ = ["PortDataReference"]


class PortDataReference:
    """Where an output of a run lies."""

    def __init__(self, workspace: Workspace, document: OutputDocument) -> None:
        self._workspace = workspace
        self._document = document
        self.datastore_name = document.datastore
        self.path_on_datastore = document.path

    def __repr__(self) -> str:
        return f"PortDataReference({self.datastore_name!r}, {self.path_on_datastore!r})"

    @property
    def datastore(self) -> Datastore:
        """The datastore that it lies on."""
        return Datastore(self._workspace, self.datastore_name)

    @checked
    def download(
        self,
        local_path: str | os.PathLike[str],
        overwrite: bool | None = None,
        show_progress: bool | None = None,
    ) -> int:
        """Download its files; each keeps its path on the datastore, below a local folder.

        :param overwrite: whether to replace local files; they are left as they are otherwise.
        :return: how many files were downloaded.
        """
        return self.datastore.download(
            local_path, self.path_on_datastore, overwrite=bool(overwrite), show_progress=bool(show_progress)
        )
