"""Fetches the data of a dataset to this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_ml_pipelines.core.errors import DataError, WorkspaceError
from dag_factory.datastores.transfer import download_objects

if TYPE_CHECKING:
    import airflow_ml_pipelines.core.workspaces.workspace as core
    from airflow_ml_pipelines.core.spec import Data, TabularFormat
    from airflow_ml_pipelines.core.stores.locations import Found
    from airflow_ml_pipelines.core.stores.store import Store
    from airflow_ml_pipelines.runtime.table_engine import Table

__all__ = ["DataFile", "fetch_files", "find_folder", "list_files", "open_table", "refuse_same_names"]


@dataclass(frozen=True)
class DataFile:
    """A file of a dataset.

    :param name: its path relative to the dataset.
    :param path: its path in the store.
    :param datastore: the name of the datastore, None for the default one and for a URL of its own.
    :param of_url: whether it was named by a URL of its own.
    """

    name: str
    store: Store
    path: str
    datastore: str | None = None
    of_url: bool = False

    @property
    def address(self) -> str:
        """Its path on the datastore, or its URL."""
        return self.path if self.datastore is not None else f"{self.store.url.rstrip('/')}/{self.path}"

    @property
    def label(self) -> str:
        """The path that people know it by, from ``/``."""
        from airflow_ml_pipelines.core.stores.locations import known_path

        return known_path(self.store, self.path, of_url=self.of_url)


def list_files(workspace: core.Workspace | None, data: Data) -> list[DataFile]:
    """Return the files of a dataset, by location and path; each has the name that a step's script finds it by.

    :raises DataError: where a location has none.
    """
    from airflow_ml_pipelines.core.stores.locations import common_folders

    found = _find(workspace, data)
    skip = {url: len(top) + 1 if top else 0 for url, top in common_folders(found).items()}
    return [
        DataFile(path[skip[item.store.url] :], item.store, path, location.datastore, location.is_url)
        for location, item in zip(data.locations, found, strict=True)
        for path in item.files
    ]


def refuse_same_names(files: Iterable[DataFile]) -> None:
    """Refuse files that would lie at one place. :raises DataError: naming two of them."""
    known: dict[str, DataFile] = {}
    for file in files:
        other = known.setdefault(file.name, file)
        if (other.store.url, other.path) != (file.store.url, file.path):
            raise DataError(
                f"two files would be called {file.name!r}: {other.path!r} in {other.store.url} and {file.path!r} in "
                f"{file.store.url}; make two datasets of them"
            )


def find_folder(workspace: core.Workspace | None, data: Data) -> str | None:
    """Return the folder of this machine that the data is, None where it is something else."""
    found = _find(workspace, data)
    if len(found) != 1 or found[0].kind != "folder" or found[0].local is None:
        return None
    return str(found[0].local)


def _find(workspace: core.Workspace | None, data: Data) -> list[Found]:
    from airflow_ml_pipelines.core.keys.fingerprint import find_location
    from airflow_ml_pipelines.core.stores.open import open_store

    def open_datastore(name: str | None) -> Store:
        if workspace is None:
            raise WorkspaceError(
                f"the dataset names the datastore {name!r} and no workspace: give the Datastore instead of its name"
            )
        return workspace.datastore(name)

    open_url = open_store if workspace is None else workspace.open_url
    return [find_location(location, open_datastore, open_url) for location in data.locations]


def fetch_files(
    workspace: core.Workspace | None,
    data: Data,
    target: str | os.PathLike[str] | None,
    *,
    overwrite: bool,
    ignore_not_found: bool = False,
) -> list[str]:
    """Download the files of a dataset into a folder; return where each is now.

    :raises DataError: where there is no data, or a local file is in the way.
    """
    try:
        files = list_files(workspace, data)
    except DataError:
        if ignore_not_found:
            return []
        raise
    refuse_same_names(files)
    folder = Path(target) if target is not None else Path(tempfile.mkdtemp(prefix="dataset-"))
    items = [(file.store, file.path, folder / file.name) for file in files]
    there = [str(place) for _, _, place in items if place.exists()]
    if there and not overwrite:
        raise DataError(
            f"{there[0]} is there already: give overwrite=True to replace it, or another target_path"
        )
    download_objects(items, "the dataset", overwrite=True, show_progress=False)
    return [str(place) for _, _, place in items]


@contextmanager
def open_table(workspace: core.Workspace | None, data: Data) -> Iterator[Table]:
    """Give the table of a dataset, read as a step's script reads it.

    :raises DataError: where there is no data, or it can't be read as it is said to be.
    """
    from airflow_ml_pipelines.runtime.places import DataFile as TableFile
    from airflow_ml_pipelines.runtime.table_engine import Table

    with tempfile.TemporaryDirectory(prefix="dataset-") as folder:
        table = data.tabular
        if data.query is not None:
            data, table = _answer(workspace, data, Path(folder, "answer.parquet"))
        options = (
            {name: getattr(table, name) for name in table.__struct_fields__} if table is not None else {}
        )
        files = list_files(workspace, data)
        found, missing = [], []
        for number, file in enumerate(files):
            local = file.store.local_path(file.path)
            place = local if local is not None else Path(folder, str(number))
            found.append(TableFile(str(place), file.name, file.label))
            if local is None:
                missing.append((file.store, file.path, place))
        download_objects(missing, "the dataset", overwrite=True, show_progress=False)
        with Table(found, options) as opened:
            yield opened


def _answer(workspace: core.Workspace | None, data: Data, target: Path) -> tuple[Data, TabularFormat]:
    """Ask a query; return the data that its answer is."""
    from airflow_ml_pipelines.core.spec import Data, Location
    from airflow_ml_pipelines.core.steps.queries import ask, table_format

    if workspace is None:
        raise WorkspaceError("the query belongs to no workspace: give the Datastore instead of its name")
    ask(workspace, data, target)
    return Data(locations=(Location(path=target.as_uri()),)), table_format(data)
