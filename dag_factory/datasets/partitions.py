"""Writes a table into folders by the values of some of its columns."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow_ml_pipelines.core.errors import DataError, DefinitionError
from dag_factory._check import expect, kind_of
from dag_factory.datastores.datastore import Datastore
from dag_factory.ports.data import DataPath

if TYPE_CHECKING:
    import airflow_ml_pipelines.core.workspaces.workspace as core
    from airflow_ml_pipelines.core.spec import Data

__all__ = ["write_partitions"]

_NAME = re.compile(r"\w+")
_MISSING = "__HIVE_DEFAULT_PARTITION__"
_TYPES = {
    "BIGINT": "long",
    "INTEGER": "long",
    "DOUBLE": "double",
    "BOOLEAN": "boolean",
    "TIMESTAMP": "datetime",
}
"""Those of columns whose values are more than text when they are read from a path again."""


def write_partitions(
    where: str,
    workspace: core.Workspace | None,
    data: Data,
    keys: Sequence[str],
    target: tuple[Datastore, str] | DataPath,
    *,
    show_progress: bool,
) -> tuple[Data, Datastore]:
    """Write a table as Parquet files in folders such as ``Country=DE/Year=2024``; return the data that they are, and where.

    :raises DataError: where there is no data, a value can't be the name of a folder, or the target is not empty.
    """
    from airflow_ml_pipelines.core.spec import Data, Location
    from dag_factory.datasets.fetch import open_table
    from dag_factory.ports.tables import tabular_format

    datastore, folder = _open_target(where, target)
    if not keys:
        raise DefinitionError(f"{where}(partition_keys=…): expected one column at least")
    for key in keys:
        expect(f"{where}(partition_keys=…)", key, str, what="the name of a column")
        if not _NAME.fullmatch(key):
            raise DefinitionError(f"{where}: {key!r} has other signs than letters, digits and '_'")
    if next(iter(datastore.store.walk(folder)), None) is not None:
        raise DataError(
            f"{where}: {folder!r} on datastore {datastore.name!r} has files: give an empty folder"
        )
    with tempfile.TemporaryDirectory(prefix="partitions-") as made:
        with open_table(workspace, data) as table:
            columns = table.columns
            table.write_partitions(f"{made}/written", keys)
        _name_folders(where, Path(made, "written"), Path(made, "named"))
        datastore.upload(f"{made}/named", folder, show_progress=show_progress)
    form = "".join(f"/{key}={{{key}}}" for key in keys) + "/*.parquet"
    types = {key: _TYPES[columns[key]] for key in keys if columns[key] in _TYPES}
    tabular = tabular_format(where, format="parquet", partition_format=form, set_column_types=types or None)
    return Data(locations=(Location(datastore=datastore.name, path=folder),), tabular=tabular), datastore


def _open_target(where: str, target: Any) -> tuple[Datastore, str]:
    if isinstance(target, DataPath) and target.workspace is not None:
        return Datastore(target.workspace, target.datastore_name), target.path_on_datastore.strip("/")
    if isinstance(target, tuple) and len(target) == 2 and isinstance(target[0], Datastore):
        return target[0], str(target[1]).strip("/")
    raise TypeError(
        f"{where}(target=…): expected (datastore, folder), or a DataPath with a Datastore; found {kind_of(target)}"
    )


def _name_folders(where: str, source: Path, target: Path) -> None:
    """Move files to folders that have their values as they are, and not encoded."""
    for file in sorted(source.rglob("*.parquet")):
        parts = [unquote(part) for part in file.relative_to(source).parts[:-1]]
        for part in parts:
            key, _, value = part.partition("=")
            if value in ("", _MISSING) or "/" in value or "\0" in value:
                found = "a missing value" if value == _MISSING else f"the value {value!r}"
                raise DataError(f"{where}: column {key!r} has {found}, which can't be the name of a folder")
        place = target.joinpath(*parts)
        place.mkdir(parents=True, exist_ok=True)
        os.rename(file, place / file.name)
