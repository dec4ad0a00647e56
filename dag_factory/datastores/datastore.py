"""Datastores: where data is kept, by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DataError
from dag_factory._check import checked, core_of, expect
from dag_factory.datastores.azure import AzureDatabases, AzureDatastores
from dag_factory.datastores.transfer import download_objects, upload_files
from dag_factory.ports.data import DataReference

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.stores.store import Store
    from dag_factory.workspace import Workspace

__all__ = ["Datastore"]


class Datastore(AzureDatastores, AzureDatabases):
    """A datastore of a workspace.

    :param workspace: the workspace.
    :param name: the datastore's name; the default one if left out.
    :raises WorkspaceError: where the workspace has none of that name.
    """

    @checked
    def __init__(self, workspace: Workspace, name: str | None = None) -> None:
        core = core_of("Datastore(workspace=…)", workspace)
        if name is not None:
            expect("Datastore(name=…)", name, str, what="the name of a datastore")
        spec = core.datastore_spec(name)
        super().__init__(workspace, spec.name)
        self.url = spec.url
        self._core = core

    def __repr__(self) -> str:
        return f"Datastore({self.name!r}, {self.url!r})"

    @classmethod
    @checked
    def get(cls, workspace: Workspace, datastore_name: str) -> Datastore:
        """Return a datastore by its name. :raises WorkspaceError: where there is none."""
        return cls(workspace, datastore_name)

    @classmethod
    @checked
    def get_default(cls, workspace: Workspace) -> Datastore:
        """Return the datastore that is used where none is named."""
        return cls(workspace)

    @classmethod
    @checked
    def register(
        cls,
        workspace: Workspace,
        datastore_name: str,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        connection: str | None = None,
        credentials: Mapping[str, str] | None = None,
    ) -> Datastore:
        """Register any store that fsspec knows as a datastore.

        :param url: such as ``s3://bucket/folder``, or a local folder.
        :param options: handed to fsspec; never secrets.
        :param connection: the id of an Airflow connection that has the credentials.
        :param credentials: options whose values are in environment variables: ``{"secret": "env:NAME"}``.
        :raises WorkspaceError: where a secret is in it, or the workspace file has a datastore of that name.
        """
        from airflow_ml_pipelines.core.workspaces.workspace import DatastoreSpec

        spec = DatastoreSpec(datastore_name, url, dict(options or {}), connection, dict(credentials or {}))
        core_of("Datastore.register(workspace=…)", workspace).register_datastore(spec)
        return cls(workspace, datastore_name)

    @property
    def store(self) -> Store:
        """The datastore, opened."""
        return self._core.datastore(self.name)

    @checked
    def upload_files(
        self,
        files: Sequence[str | os.PathLike[str]],
        relative_root: str | os.PathLike[str] | None = None,
        target_path: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Upload local files.

        :param relative_root: the folder from which on a file's path is kept; the nearest that all files are in if
            left out.
        :param target_path: the folder on the datastore; its root if left out.
        :param overwrite: whether to replace files that are there; they are left as they are otherwise.
        :raises DataError: where a file is missing.
        """
        if isinstance(files, str | os.PathLike):
            raise TypeError(
                f"Datastore.upload_files(files=…): expected a list of files; write [{str(files)!r}]"
            )
        paths = [Path(file) for file in files]
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            raise DataError(f"Datastore.upload_files: no such file: {', '.join(missing)} (in {Path.cwd()})")
        absolute = [os.path.abspath(path) for path in paths]
        if relative_root is None:
            root = os.path.commonpath([os.path.dirname(path) for path in absolute]) if absolute else ""
        else:
            root = os.path.abspath(relative_root)
        pairs = []
        for path in absolute:
            name = os.path.relpath(path, root).replace(os.sep, "/")
            if name.startswith("../"):
                raise DataError(f"Datastore.upload_files: {path} is not in relative_root {root}")
            pairs.append((Path(path), _join(target_path, name)))
        upload_files(self.store, pairs, self.name, overwrite=overwrite, show_progress=show_progress)
        return self.path(target_path)

    @checked
    def upload(
        self,
        src_dir: str | os.PathLike[str],
        target_path: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Upload a local folder with all that is in it.

        :param target_path: the folder on the datastore; its root if left out.
        :param overwrite: whether to replace files that are there; they are left as they are otherwise.
        :raises DataError: where there is no such folder.
        """
        source = Path(src_dir)
        if not source.is_dir():
            raise DataError(f"Datastore.upload: no such folder: {source} (in {Path.cwd()})")
        files = sorted(path for path in source.rglob("*") if path.is_file())
        pairs = [(path, _join(target_path, path.relative_to(source).as_posix())) for path in files]
        upload_files(self.store, pairs, self.name, overwrite=overwrite, show_progress=show_progress)
        return self.path(target_path)

    @checked
    def download(
        self,
        target_path: str | os.PathLike[str],
        prefix: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> int:
        """Download files; each keeps its path on the datastore, below a local folder.

        :param prefix: the folder or file on the datastore; all of it if left out.
        :param overwrite: whether to replace local files; they are left as they are otherwise.
        :return: how many files were downloaded.
        """
        store = self.store
        top = _join(prefix)
        found = store.info(top) if top else None
        paths = [found.path] if found is not None else [info.path for info in store.walk(top)]
        target = Path(target_path)
        pairs = [(store, path, target / path) for path in sorted(paths)]
        return download_objects(pairs, self.name, overwrite=overwrite, show_progress=show_progress)

    @checked
    def path(self, path: str | None = None, data_reference_name: str | None = None) -> DataReference:
        """Return a reference to a path on the datastore, for a step's ``inputs``."""
        return DataReference(self, data_reference_name, path)

    def as_mount(self) -> DataReference:
        """Return a reference to all of the datastore, as the data itself where it is a local folder."""
        return self.path().as_mount()

    @checked
    def as_download(self, path_on_compute: str | None = None) -> DataReference:
        """Return a reference to a copy of all of the datastore."""
        return self.path().as_download(path_on_compute)


def _join(*parts: str | None) -> str:
    return "/".join(part.strip("/") for part in parts if part and part.strip("/") not in ("", "."))
