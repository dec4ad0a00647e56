"""The files of a dataset: which of them, and files that a table is written into."""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_ml_pipelines.core.errors import DataError, DefinitionError, WorkspaceError, did_you_mean
from dag_factory._check import expect, kind_of

if TYPE_CHECKING:
    import pandas as pd

    import airflow_ml_pipelines.core.workspaces.workspace as core
    from airflow_ml_pipelines.core.spec import Data
    from airflow_ml_pipelines.runtime.expressions import Expression
    from dag_factory.datasets.fetch import DataFile
    from dag_factory.datastores.datastore import Datastore

__all__ = [
    "METADATA",
    "key_values",
    "matching",
    "partitioned",
    "select_files",
    "split_files",
    "write_frame",
    "write_table",
]

_TOLD = ("Size", "LastModifiedTime")
METADATA: Final = (*_TOLD, "Path")
"""What is known of every file, and a condition can be made of."""

_WRITTEN = "part-00000"


def select_files(
    workspace: core.Workspace | None, data: Data, choose: Callable[[list[DataFile]], list[DataFile]]
) -> Data:
    """Return the data that some of the files are.

    :raises DataError: where there is no data, or no file is left.
    """
    from airflow_ml_pipelines.core.spec import Data, Location
    from dag_factory.datasets.fetch import list_files

    files = choose(list_files(workspace, data))
    if not files:
        raise DataError("no file of the dataset is left: a dataset has one at least")
    places = tuple(Location(datastore=file.datastore, path=file.address) for file in files)
    return Data(locations=places, form="folder", partition_format=data.partition_format)


def split_files(
    files: list[DataFile], share: float, seed: int | None
) -> tuple[list[DataFile], list[DataFile]]:
    """Return the files that are taken with a probability, and the others; the same for the same seed and names."""
    expect("probability", share, int, float, what="a number from 0 to 1")
    if not 0 <= share <= 1:
        raise DefinitionError(f"expected a number from 0 to 1, found {share}")
    number = random.SystemRandom().randrange(2**31) if seed is None else seed
    sides: tuple[list[DataFile], list[DataFile]] = ([], [])
    for file in files:
        digest = hashlib.sha256(f"{number}:{file.name}".encode()).digest()
        sides[int.from_bytes(digest[:8], "big") >= share * 2**64].append(file)
    return sides


def matching(expression: Expression, files: list[DataFile], partition_format: str | None) -> list[DataFile]:
    """Return the files of which a condition is true.

    :param partition_format: the form of their paths, whose parts have names.
    :raises DataError: where the condition is on something that is not known of files, or a path is not of the form.
    """
    from airflow_ml_pipelines.runtime.expressions import columns_in, evaluate
    from airflow_ml_pipelines.runtime.table_options import partition_names

    wanted = columns_in(expression.document)
    known = (*partition_names(partition_format), *METADATA)
    for name in sorted(wanted.difference(known)):
        raise DataError(f"filter: there is no column {name!r}.{did_you_mean(name, known)}")
    asks = not wanted.isdisjoint(_TOLD)
    return [
        file
        for file, parts in partitioned(files, partition_format)
        if evaluate(expression.document, {"Path": "/" + file.name, **(_told(file) if asks else {}), **parts})
    ]


def partitioned(
    files: list[DataFile], partition_format: str | None
) -> Iterator[tuple[DataFile, dict[str, Any]]]:
    """Yield each file, with what the parts of its path say by their names.

    :raises DataError: where a path is not of the form.
    """
    from airflow_ml_pipelines.runtime.table_options import partition_pattern, path_values

    pattern = partition_pattern(partition_format)
    for file in files:
        yield file, {} if pattern is None else path_values(pattern, file.label)


def key_values(
    workspace: core.Workspace | None, data: Data, partition_format: str | None, names: list[str]
) -> list[dict[str, Any]]:
    """Return what some parts of the paths are, each combination once.

    :raises DataError: where there is no data, or a path is not of the form.
    """
    from airflow_ml_pipelines.runtime.table_options import partition_names
    from dag_factory.datasets.fetch import list_files

    known = partition_names(partition_format)
    for name in names:
        if name not in known:
            raise DefinitionError(
                f"get_partition_key_values: there is no {name!r}.{did_you_mean(name, known)}"
            )
    if not names:
        return []
    rows = partitioned(list_files(workspace, data), partition_format)
    found = dict.fromkeys(tuple(parts[name] for name in names) for _, parts in rows)
    return [dict(zip(names, values, strict=True)) for values in found]


def _told(file: DataFile) -> dict[str, Any]:
    info = file.store.info(file.path)
    if info is None:
        raise DataError(f"{file.path!r} in {file.store.url} is gone since the files were listed")
    modified = datetime.fromtimestamp(info.modified, UTC).replace(tzinfo=None)
    return {"Size": info.size, "LastModifiedTime": modified}


def write_table(
    where: str,
    workspace: core.Workspace | None,
    data: Data,
    kind: str,
    target: tuple[Datastore, str] | None,
    separator: str,
) -> Data:
    """Write a table as one file of a datastore; return the data that it is.

    :raises DataError: where there is no data.
    """
    from airflow_ml_pipelines.core.files.digest import digest_file
    from airflow_ml_pipelines.core.spec import Data, Location
    from airflow_ml_pipelines.core.stores.store import join
    from dag_factory.datasets.fetch import open_table

    name, folder = _target(where, workspace, target)
    with tempfile.TemporaryDirectory(prefix="table-") as made:
        file = Path(made, f"{_WRITTEN}.{kind}")
        with open_table(workspace, data) as table:
            if kind == "csv":
                table.write_csv(str(file), separator)
            else:
                table.write_parquet(str(file))
        folder = folder or f"tables/{digest_file(file)[0][:16]}"
        store = target[0].store if target else _opened(workspace).datastore(name)
        store.upload(file, join(folder, file.name))
    return Data(locations=(Location(datastore=name, path=folder),), form="folder")


def write_frame(
    where: str, frame: pd.DataFrame, datastore: Datastore, folder: str, *, show_progress: bool
) -> str:
    """Write a data frame as a Parquet file, named after what is in it; return its path on the datastore."""
    from airflow_ml_pipelines.core.files.digest import digest_file
    from airflow_ml_pipelines.core.stores.store import join

    if type(frame).__module__.partition(".")[0] != "pandas":
        raise TypeError(f"{where}(dataframe=…): expected a pandas data frame, found {kind_of(frame)}")
    import duckdb

    with tempfile.TemporaryDirectory(prefix="frame-") as made:
        file = Path(made, "frame.parquet")
        connection = duckdb.connect()
        try:
            connection.register("frame", frame)
            connection.table("frame").write_parquet(str(file), compression="zstd")
        except duckdb.Error as error:
            raise DataError(f"{where}: the data frame can't be written as Parquet: {error}") from None
        finally:
            connection.close()
        path = join(folder, f"{digest_file(file)[0][:16]}.parquet")
        named = file.rename(file.with_name(path.rpartition("/")[2]))
        datastore.upload_files([named], target_path=folder, overwrite=True, show_progress=show_progress)
    return path


def _target(
    where: str, workspace: core.Workspace | None, target: tuple[Datastore, str] | None
) -> tuple[str, str]:
    from dag_factory.datastores.datastore import Datastore

    if target is None:
        return _opened(workspace, where).default_datastore, ""
    if not (
        isinstance(target, tuple)
        and len(target) == 2
        and isinstance(target[0], Datastore)
        and isinstance(target[1], str)
    ):
        raise TypeError(f"{where}(target=…): expected (datastore, folder), found {kind_of(target)}")
    return target[0].name, target[1].strip("/")


def _opened(workspace: core.Workspace | None, where: str = "") -> core.Workspace:
    if workspace is None:
        raise WorkspaceError(f"{where}: the table belongs to no workspace: give target=(datastore, folder)")
    return workspace
