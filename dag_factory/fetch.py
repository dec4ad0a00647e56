"""Fetches the data of a dataset to this machine."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DataError, DefinitionError, WorkspaceError
from dag_factory.transfer import download_objects

if TYPE_CHECKING:
    import airflow_ml_pipelines.core.workspace as core
    from airflow_ml_pipelines.core.spec import Data
    from airflow_ml_pipelines.core.store import Store

__all__ = ["DataFile", "fetch_files", "list_files", "read_table"]


@dataclass(frozen=True)
class DataFile:
    """A file of a dataset.

    :param name: its path relative to the dataset.
    :param path: its path in the store.
    """

    name: str
    store: Store
    path: str


def list_files(workspace: core.Workspace | None, data: Data) -> list[DataFile]:
    """Return the files of a dataset, by location and path. :raises DataError: where a location has none."""
    from airflow_ml_pipelines.core.fingerprint import find_location

    def open_datastore(name: str | None) -> Store:
        if workspace is None:
            raise WorkspaceError(
                f"the dataset names the datastore {name!r} and no workspace: give the Datastore instead of its name"
            )
        return workspace.datastore(name)

    found = [find_location(location, open_datastore) for location in data.locations]
    return [DataFile(item.relative(path), item.store, path) for item in found for path in item.files]


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
    folder = Path(target) if target is not None else Path(tempfile.mkdtemp(prefix="dataset-"))
    items = [(file.store, file.path, folder / file.name) for file in files]
    there = [str(place) for _, _, place in items if place.exists()]
    if there and not overwrite:
        raise DataError(
            f"{there[0]} is there already: give overwrite=True to replace it, or another target_path"
        )
    download_objects(items, "the dataset", overwrite=True, show_progress=False)
    return [str(place) for _, _, place in items]


def read_table(workspace: core.Workspace | None, data: Data, on_error: str, out_of_range: str) -> Any:
    """Return the table of a dataset as a pandas data frame, read as a step's script reads it.

    :raises DataError: where there is no data.
    """
    from airflow_ml_pipelines.runtime.places import DataFile as TableFile
    from airflow_ml_pipelines.runtime.tables import read_tables

    for name, value in (("on_error", on_error), ("out_of_range_datetime", out_of_range)):
        if value != "null":
            raise DefinitionError(f"to_pandas_dataframe({name}=…): expected 'null', found {value!r}")
    table = data.tabular
    options = {name: getattr(table, name) for name in table.__struct_fields__} if table is not None else {}
    files = list_files(workspace, data)
    with tempfile.TemporaryDirectory(prefix="dataset-") as folder:
        found, missing = [], []
        for number, file in enumerate(files):
            local = file.store.local_path(file.path)
            place = local if local is not None else Path(folder, str(number))
            found.append(TableFile(str(place), file.name, f"/{file.path}"))
            if local is None:
                missing.append((file.store, file.path, place))
        download_objects(missing, "the dataset", overwrite=True, show_progress=False)
        return read_tables(found, options)
