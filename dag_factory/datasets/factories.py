"""Makes datasets of paths, URLs, queries and data frames."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DataError, DefinitionError
from dag_factory._check import checked, expect, kind_of
from dag_factory.datastores.datastore import Datastore
from dag_factory.ports.data import DataPath
from dag_factory.ports.tables import check_partitions

if TYPE_CHECKING:
    import pandas as pd

    import airflow_ml_pipelines.core.workspaces.workspace as core
    from airflow_ml_pipelines.core.spec import Location
    from dag_factory.datasets.dataset import FileDataset, TabularDataset

__all__ = ["FileFactory", "TabularFactory"]


class FileFactory:
    """Makes datasets of files.

    :param kind: the class of such datasets, which this stands in.
    """

    def __init__(self, kind: type[FileDataset]) -> None:
        self._kind = kind

    @checked
    def from_files(
        self,
        path: Any,
        validate: bool = True,  # noqa: ARG002
        partition_format: str | None = None,
        is_file: bool = False,
    ) -> FileDataset:
        """Return a dataset of files.

        :param path: a URL, ``(datastore, path)``, a :class:`~dag_factory.DataPath`, or a list of these. A path is a
            file, a folder or a glob.
        :param validate: accepted; whether the data is there is looked at when a run is planned, so that importing a
            DAG file never waits for a store.
        :param partition_format: names for parts of the paths, such as ``/{Country}/{Day:yyyy-MM-dd}/*.jpg``, which
            conditions of :meth:`~dag_factory.FileDataset.filter` can be made of.
        :param is_file: whether the path is known to be one file.
        """
        where = "Dataset.File.from_files"
        partitions = check_partitions(f"{where}(partition_format=…)", partition_format)
        locations, workspace = _locations(f"{where}(path=…)", path)
        from airflow_ml_pipelines.core.spec import Data

        data = Data(locations=locations, form="file" if is_file else "auto", partition_format=partitions)
        return self._kind(data, workspace)

    @checked
    def upload_directory(
        self,
        src_dir: str | os.PathLike[str],
        target: tuple[Datastore, str] | DataPath,
        pattern: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> FileDataset:
        """Upload a local folder and return the dataset of its files.

        :param target: ``(datastore, path)``.
        :param pattern: a glob of the files to upload, relative to the folder; all if left out.
        :raises DataError: where there is no such folder, or nothing in it.
        """
        where = "Dataset.File.upload_directory"
        source = Path(src_dir)
        if not source.is_dir():
            raise DataError(f"{where}: no such folder: {source} (in {Path.cwd()})")
        if not (isinstance(target, tuple) and len(target) == 2 and isinstance(target[0], Datastore)):
            raise TypeError(f"{where}(target=…): expected (datastore, path), found {kind_of(target)}")
        files = sorted(path for path in source.rglob(pattern or "*") if path.is_file())
        if not files:
            raise DataError(f"{where}: no file in {source}" + (f" matches {pattern!r}" if pattern else ""))
        datastore, folder = target
        datastore.upload_files(
            files, relative_root=source, target_path=folder, overwrite=overwrite, show_progress=show_progress
        )
        return self.from_files((datastore, folder))


class TabularFactory:
    """Makes datasets of tables.

    :param kind: the class of such datasets, which this stands in.
    """

    def __init__(self, kind: type[TabularDataset]) -> None:
        self._kind = kind

    @checked
    def from_delimited_files(
        self,
        path: Any,
        validate: bool = True,  # noqa: ARG002
        include_path: bool = False,
        infer_column_types: bool = True,
        set_column_types: Mapping[str, str] | None = None,
        separator: str = ",",
        header: bool | str = True,
        partition_format: str | None = None,
        support_multi_line: bool = False,
        empty_as_string: bool = False,
        encoding: str = "utf8",
    ) -> TabularDataset:
        """Return a table that delimited files make.

        :param path: a URL, ``(datastore, path)``, a :class:`~dag_factory.DataPath`, or a list of these. A path is a
            file, a folder or a glob.
        :param validate: accepted; whether the data is there is looked at when a run is planned, so that importing a
            DAG file never waits for a store.
        :param include_path: whether a column ``Path`` says which file a row is from.
        :param infer_column_types: whether types follow from the values; all columns are text otherwise.
        :param set_column_types: the types of columns by name, which are then not inferred.
        :param separator: the text between two columns.
        :param header: whether the first line has the columns' names, or how that is in several files:
            ``all_files_same``, ``only_first_file``, ``none`` or ``all_files_different``.
        :param partition_format: columns in the path, such as ``/{Place}/{Day:yyyy/MM/dd}/data.csv``.
        :param support_multi_line: whether a quoted value may have line breaks.
        :param empty_as_string: whether an empty value is empty text, and not a missing value.
        :param encoding: of the files.
        """
        return self._table(
            "Dataset.Tabular.from_delimited_files",
            path,
            include_path=include_path,
            infer_column_types=infer_column_types,
            set_column_types=set_column_types,
            separator=separator,
            header=header,
            partition_format=partition_format,
            support_multi_line=support_multi_line,
            empty_as_string=empty_as_string,
            encoding=encoding,
        )

    @checked
    def from_parquet_files(
        self,
        path: Any,
        validate: bool = True,  # noqa: ARG002
        include_path: bool = False,
        set_column_types: Mapping[str, str] | None = None,
        partition_format: str | None = None,
    ) -> TabularDataset:
        """Return a table that Parquet files make; see :meth:`from_delimited_files` for what is given."""
        return self._table(
            "Dataset.Tabular.from_parquet_files",
            path,
            format="parquet",
            include_path=include_path,
            set_column_types=set_column_types,
            partition_format=partition_format,
        )

    @checked
    def from_json_lines_files(
        self,
        path: Any,
        validate: bool = True,  # noqa: ARG002
        include_path: bool = False,
        set_column_types: Mapping[str, str] | None = None,
        partition_format: str | None = None,
        invalid_lines: str = "error",
        encoding: str = "utf8",
    ) -> TabularDataset:
        """Return a table that files with a JSON object in each line make.

        :param path: see :meth:`from_delimited_files`, as for the others.
        :param invalid_lines: what becomes of a line that is no JSON object: ``error``.
        :param encoding: ``utf8``, which JSON is always in.
        """
        where = "Dataset.Tabular.from_json_lines_files"
        for name, value, known in (("invalid_lines", invalid_lines, "error"), ("encoding", encoding, "utf8")):
            if value != known:
                raise DefinitionError(f"{where}({name}=…): expected {known!r}, found {value!r}")
        return self._table(
            where,
            path,
            format="json_lines",
            include_path=include_path,
            set_column_types=set_column_types,
            partition_format=partition_format,
        )

    @checked
    def from_sql_query(
        self,
        query: DataPath | tuple[Datastore, str],
        validate: bool = True,  # noqa: ARG002
        set_column_types: Mapping[str, str] | None = None,
        query_timeout: float = 30,
    ) -> TabularDataset:
        """Return the table that a query of a database returns.

        A run asks once, when it is planned. Order the rows: the same rows in another order end reuse.

        :param query: ``(datastore, "SELECT …")``, or a DataPath of the same.
        :param query_timeout: how many seconds the database may take.
        """
        from airflow_ml_pipelines.core.spec import Data, Location
        from dag_factory.ports.tables import tabular_format

        where = "Dataset.Tabular.from_sql_query"
        if isinstance(query, DataPath):
            datastore, text, workspace = query.datastore_name, query.path_on_datastore, query.workspace
        elif isinstance(query, tuple) and len(query) == 2 and isinstance(query[0], Datastore):
            datastore, text, workspace = query[0].name, query[1], query[0].workspace
        else:
            raise TypeError(f"{where}(query=…): expected (datastore, 'SELECT …'), found {kind_of(query)}")
        if not isinstance(text, str) or not text.strip():
            raise DefinitionError(f"{where}(query=…): expected the text of a query, found {text!r}")
        expect(f"{where}(query_timeout=…)", query_timeout, int, float, what="a number of seconds")
        data = Data(
            locations=(Location(datastore=datastore, path=""),),
            tabular=tabular_format(where, format="parquet", set_column_types=set_column_types),
            query=text.strip(),
            query_timeout=float(query_timeout),
        )
        return self._kind(data, None if workspace is None else workspace.core)

    @checked
    def register_pandas_dataframe(
        self,
        dataframe: pd.DataFrame,
        target: tuple[Datastore, str] | Datastore,
        name: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        show_progress: bool = True,
    ) -> TabularDataset:
        """Write a data frame as a Parquet file, and register the table of that file.

        The file's name is made of what is in it, so that an equal frame makes no new version.

        :param target: ``(datastore, folder)``, or a datastore, where the folder has the dataset's name.
        :param name: of the dataset.
        """
        from dag_factory.datasets.files import write_frame

        where = "Dataset.Tabular.register_pandas_dataframe"
        datastore, folder = target if isinstance(target, tuple) and len(target) == 2 else (target, name)
        if not isinstance(datastore, Datastore) or not isinstance(folder, str):
            raise TypeError(
                f"{where}(target=…): expected (datastore, folder) or a datastore, found {kind_of(target)}"
            )
        path = write_frame(where, dataframe, datastore, folder, show_progress=show_progress)
        made = self.from_parquet_files((datastore, path))
        return made.register(datastore.workspace, name, description, tags, create_new_version=True)

    def _table(self, where: str, path: Any, **options: Any) -> TabularDataset:
        from airflow_ml_pipelines.core.spec import Data
        from dag_factory.ports.tables import tabular_format

        locations, workspace = _locations(f"{where}(path=…)", path)
        return self._kind(Data(locations=locations, tabular=tabular_format(where, **options)), workspace)


def _locations(where: str, path: Any) -> tuple[tuple[Location, ...], core.Workspace | None]:
    items = list(path) if isinstance(path, list) else [path]
    if not items:
        raise DefinitionError(f"{where}: expected at least one path, found an empty list")
    locations, workspace = [], None
    for item in items:
        location, found = _location(where, item)
        locations.append(location)
        workspace = workspace or found
    return tuple(locations), workspace


def _location(where: str, item: Any) -> tuple[Location, core.Workspace | None]:
    from airflow_ml_pipelines.core.spec import Location

    if isinstance(item, str):
        if "://" not in item:
            raise DefinitionError(
                f"{where}: {item!r} is no URL; a path is given with its datastore: (datastore, {item!r})"
            )
        return Location(path=item), None
    if isinstance(item, DataPath):
        return item.to_spec().locations[0], None
    if (
        isinstance(item, tuple)
        and len(item) == 2
        and isinstance(item[0], Datastore)
        and isinstance(item[1], str)
    ):
        checked_path = DataPath(item[0], item[1])
        return checked_path.to_spec().locations[0], item[0].workspace.core
    raise TypeError(
        f"{where}: expected a URL, (datastore, 'path'), a DataPath, or a list of these; found {kind_of(item)}"
    )
