"""Datasets: files and tables of datastores and the web, described once and read by any number of steps."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_ml_pipelines.core.errors import DefinitionError, WorkspaceError
from airflow_ml_pipelines.runtime.operations import TableOperations, timestamp_column
from dag_factory._check import checked, core_of, expect
from dag_factory.datasets.factories import FileFactory, TabularFactory
from dag_factory.datasets.file_operations import FileOperations
from dag_factory.ports.bases import AnyDataset
from dag_factory.ports.data import DataPath, DatasetConsumptionConfig, check_version

if TYPE_CHECKING:
    import pandas as pd

    import airflow_ml_pipelines.core.workspaces.workspace as core
    from airflow_ml_pipelines.core.spec import Data, Fingerprint, InputMode, Location, RegisteredDataset
    from airflow_ml_pipelines.runtime.datasets import MountContext
    from airflow_ml_pipelines.runtime.table_engine import ColumnProfile
    from dag_factory.datasets.diff import DatasetDiff
    from dag_factory.datasets.fetch import DataFile
    from dag_factory.datastores.datastore import Datastore
    from dag_factory.workspace import Workspace

__all__ = ["Dataset", "FileDataset", "TabularDataset", "open_dataset"]


class Dataset(AnyDataset):
    """Files or a table; make one with ``Dataset.File`` or ``Dataset.Tabular``, or :meth:`get_by_name`.

    :param data: where the data is and what form it has.
    :param workspace: the workspace whose datastores it names.
    """

    File: ClassVar[FileFactory]
    Tabular: ClassVar[TabularFactory]

    def __init__(self, data: Data, workspace: core.Workspace | None) -> None:
        self.data = data
        self._workspace = workspace
        self._record: core.DatasetRecord | None = None

    def __repr__(self) -> str:
        if self._record is not None:
            return f"{type(self).__name__}({self._record.name!r}, version={self._record.version})"
        return f"{type(self).__name__}({[_show(location) for location in self.data.locations]})"

    @staticmethod
    @checked
    def get_by_name(
        workspace: Workspace, name: str, version: int | str = "latest"
    ) -> FileDataset | TabularDataset:
        """Return a registered dataset, of the version that is the latest now or the one that is asked for.

        :raises WorkspaceError: where there is none of that name and version.
        """
        record = core_of("Dataset.get_by_name(workspace=…)", workspace).dataset(name, check_version(version))
        return open_dataset(workspace, record)

    @staticmethod
    @checked
    def get_by_id(workspace: Workspace, id: str) -> FileDataset | TabularDataset:  # noqa: A002 - the reference's name
        """Return a version of a registered dataset by its :attr:`id`.

        :raises WorkspaceError: where there is none.
        """
        name, _, version = id.rpartition(":")
        if not name or not version.isdecimal():
            raise DefinitionError(
                f"Dataset.get_by_id(id=…): expected a dataset's id such as 'iris:2', found {id!r}"
            )
        return Dataset.get_by_name(workspace, name, version)

    @staticmethod
    @checked
    def get_all(workspace: Workspace) -> dict[str, FileDataset | TabularDataset]:
        """Return the latest version of every registered dataset by its name."""
        return workspace.datasets

    @property
    def name(self) -> str | None:
        """The name under which it is registered."""
        return self._record.name if self._record else None

    @property
    def id(self) -> str | None:
        """What :meth:`get_by_id` finds this version by."""
        return f"{self._record.name}:{self._record.version}" if self._record else None

    @property
    def version(self) -> int | None:
        """The version that it is registered as."""
        return self._record.version if self._record else None

    @property
    def description(self) -> str | None:
        """What was said about it when it was registered."""
        return self._record.description if self._record else None

    @property
    def tags(self) -> dict[str, str]:
        """The labels that it was registered with."""
        return dict(self._record.tags) if self._record else {}

    @checked
    def register(
        self,
        workspace: Workspace,
        name: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        create_new_version: bool = False,
    ) -> Self:
        """Register it under a name; return it with its version.

        :param create_new_version: whether it may become a new version where the name is of other data.
        :raises WorkspaceError: where the name is of other data, and no new version was asked for.
        """
        where = f"{type(self).__name__}.register"
        target = core_of(f"{where}(workspace=…)", workspace)
        expect(f"{where}(name=…)", name, str, what="a name")
        if not create_new_version and target.dataset_versions(name):
            latest = target.dataset(name)
            if latest.data != self.data:
                raise WorkspaceError(
                    f"dataset {name!r} is registered with other data (version {latest.version}): "
                    "give create_new_version=True to add a version, or take another name"
                )
            return self._registered(target, latest)
        labels = {str(key): str(value) for key, value in (tags or {}).items()}
        record = target.register_dataset(name, self.data, description=description, tags=labels)
        return self._registered(target, record)

    @checked
    def diff(self, other: Dataset) -> DatasetDiff:
        """Return what another dataset, such as an earlier version of this one, has otherwise: files and columns.

        Files that differ in size, or in what their store says, are compared by their content.

        :raises DataError: where there is no data.
        """
        from dag_factory.datasets.diff import compare

        expect(f"{type(self).__name__}.diff(other=…)", other, Dataset, what="a dataset")
        return compare(self, other)

    @checked
    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        """Return what a step reads it with, under a name; see ``as_mount`` and ``as_download`` of what is returned."""
        return DatasetConsumptionConfig(name, self, "direct")

    @property
    def partition_keys(self) -> list[str]:
        """The names that ``partition_format`` has for parts of the paths."""
        from airflow_ml_pipelines.runtime.table_options import partition_names

        return partition_names(self._partition_format)

    @checked
    def get_partition_key_values(self, partition_keys: list[str] | None = None) -> list[dict[str, Any]]:
        """Return what the parts of the paths are that ``partition_format`` has names for, each combination once.

        :param partition_keys: some of the names; all if left out.
        :raises DataError: where there is no data, or a path is not of that form.
        """
        from dag_factory.datasets.files import key_values

        names = self.partition_keys if partition_keys is None else partition_keys
        return key_values(self._workspace, self.data, self._partition_format, names)

    @property
    def _partition_format(self) -> str | None:
        table = self.data.tabular
        return self.data.partition_format if table is None else table.partition_format

    def files(self) -> dict[str, DataFile]:
        """Return the files by their paths relative to the dataset.

        :raises DataError: where there is no data, or two files of different stores have one path.
        """
        from dag_factory.datasets.fetch import list_files, refuse_same_names

        files = list_files(self._workspace, self.data)
        refuse_same_names(files)
        return {"/" + file.name: file for file in files}

    def column_types(self) -> dict[str, str]:
        """Return the columns of a table with their types; none for files."""
        if self.data.tabular is None:
            return {}
        from dag_factory.datasets.fetch import open_table

        with open_table(self._workspace, self.data) as table:
            return table.columns

    def to_spec(self) -> Data | RegisteredDataset:
        """Return the data as runs know it: pinned to its version where it is registered."""
        if self._record is None:
            return self.data
        from airflow_ml_pipelines.core.spec import RegisteredDataset

        return RegisteredDataset(dataset=self._record.name, version=self._record.version)

    def _registered(self, workspace: core.Workspace, record: core.DatasetRecord) -> Self:
        other = type(self)(record.data, workspace)
        other._record = record  # noqa: SLF001 - ours
        return other


class FileDataset(FileOperations, Dataset):
    """Files."""

    @checked
    def as_mount(
        self, path_on_compute: str | None = None, *, fingerprint: Fingerprint = "content"
    ) -> DatasetConsumptionConfig:
        """Return what a step reads it with, as the data itself where the datastore is a local folder."""
        return self._unnamed("mount", path_on_compute, fingerprint)

    @checked
    def as_download(
        self, path_on_compute: str | None = None, *, fingerprint: Fingerprint = "content"
    ) -> DatasetConsumptionConfig:
        """Return what a step reads it with, as a copy for itself."""
        return self._unnamed("download", path_on_compute, fingerprint)

    def _unnamed(
        self, mode: InputMode, path: str | None, fingerprint: Fingerprint
    ) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(None, self, mode, path, fingerprint=fingerprint)

    def to_path(self) -> list[str]:
        """Return the path of each file, relative to the dataset, with a ``/`` at its beginning."""
        from dag_factory.datasets.fetch import list_files

        return ["/" + file.name for file in list_files(self._workspace, self.data)]

    @checked
    def download(
        self,
        target_path: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        ignore_not_found: bool = False,
    ) -> list[str]:
        """Download the files; return where each is now.

        :param target_path: the local folder; a new temporary one if left out.
        :param overwrite: whether to replace local files; one that is there is an error otherwise.
        :param ignore_not_found: whether it is no error where there is nothing to download.
        :raises DataError: where there is no data, or a local file is in the way.
        """
        from dag_factory.datasets.fetch import fetch_files

        return fetch_files(
            self._workspace, self.data, target_path, overwrite=overwrite, ignore_not_found=ignore_not_found
        )

    @checked
    def mount(self, mount_point: str | None = None) -> MountContext:
        """Make the files readable below one folder, while what is returned is entered or started.

        A folder of this machine is linked; everything else is copied.
        """
        from airflow_ml_pipelines.runtime.datasets import MountContext

        return MountContext(self, mount_point)

    def as_folder(self) -> str | None:
        """Return the folder where all files lie, None where they are not in one folder of this machine."""
        from dag_factory.datasets.fetch import find_folder

        return find_folder(self._workspace, self.data)

    def _select(self, choose: Callable[[list[DataFile]], list[DataFile]]) -> FileDataset:
        from dag_factory.datasets.files import select_files

        return FileDataset(select_files(self._workspace, self.data, choose), self._workspace)


class TabularDataset(TableOperations, Dataset):
    """A table. What makes it smaller (``take``, ``filter``, ``keep_columns``, …) reads nothing."""

    is_table = True

    @checked
    def to_pandas_dataframe(
        self, on_error: str = "null", out_of_range_datetime: str = "null"
    ) -> pd.DataFrame:
        """Return the table as a pandas data frame.

        :param on_error: what becomes of a value that is not of its column's type: ``null``.
        :param out_of_range_datetime: the same for a moment that pandas can't hold.
        :raises DataError: where there is no data.
        """
        from dag_factory.datasets.fetch import open_table

        for name, value in (("on_error", on_error), ("out_of_range_datetime", out_of_range_datetime)):
            if value != "null":
                raise DefinitionError(f"to_pandas_dataframe({name}=…): expected 'null', found {value!r}")
        with open_table(self._workspace, self.data) as table:
            frame: pd.DataFrame = table.to_pandas()
        return frame

    @checked
    def to_csv_files(
        self, separator: str = ",", *, target: tuple[Datastore, str] | None = None
    ) -> FileDataset:
        """Write the rows as a delimited file with a header; return the dataset of it.

        :param target: ``(datastore, folder)``; a folder of its own on the default datastore if left out.
        """
        return self._write("csv", target, separator)

    @checked
    def to_parquet_files(self, *, target: tuple[Datastore, str] | None = None) -> FileDataset:
        """Write the rows as a Parquet file; return the dataset of it.

        :param target: ``(datastore, folder)``; a folder of its own on the default datastore if left out.
        """
        return self._write("parquet", target)

    @checked
    def partition_by(
        self,
        partition_keys: list[str],
        target: tuple[Datastore, str] | DataPath,
        name: str | None = None,
        show_progress: bool = True,
        partition_as_file_dataset: bool = False,
    ) -> TabularDataset | FileDataset:
        """Write the rows as Parquet files in folders by the values of some columns; return the table that they are.

        :param partition_keys: the columns; the folders are ``<column>=<value>``, one in the other.
        :param target: ``(datastore, folder)``; the folder is empty.
        :param name: registers what is returned, as a new version.
        :param partition_as_file_dataset: whether to return the files, and not the table.
        :raises DataError: where there is no data, or a value can't be the name of a folder.
        """
        import msgspec

        from dag_factory.datasets.partitions import write_partitions

        where = "TabularDataset.partition_by"
        keys = expect(f"{where}(partition_keys=…)", partition_keys, list, what="a list of names of columns")
        data, datastore = write_partitions(
            where, self._workspace, self.data, keys, target, show_progress=show_progress
        )
        kind: type[TabularDataset | FileDataset] = TabularDataset
        if partition_as_file_dataset and data.tabular is not None:
            kind, form = FileDataset, data.tabular.partition_format
            data = msgspec.structs.replace(data, tabular=None, partition_format=form)
        made = kind(data, datastore.workspace.core)
        return made if name is None else made.register(datastore.workspace, name, create_new_version=True)

    @checked
    def profile(self) -> list[ColumnProfile]:
        """Return summary statistics of each column. :raises DataError: where there is no data."""
        from dag_factory.datasets.fetch import open_table

        with open_table(self._workspace, self.data) as table:
            return table.profile()

    @checked
    def with_timestamp_columns(
        self,
        timestamp: str | None = None,
        partition_timestamp: str | None = None,
        validate: bool = False,  # noqa: ARG002
    ) -> TabularDataset:
        """Return the table with the column that says when a row is from, which ``time_after`` and its like need.

        :param timestamp: the column.
        :param partition_timestamp: a column of the same, of ``partition_format``.
        """
        return self._formatted(timestamp=timestamp, partition_timestamp=partition_timestamp)

    def _then(self, *operations: dict[str, Any]) -> TabularDataset:
        done = () if self.data.tabular is None else self.data.tabular.operations
        return self._formatted(operations=(*done, *operations))

    def _timestamp(self, name: str) -> str:
        table = self.data.tabular
        options = (
            {}
            if table is None
            else {"timestamp": table.timestamp, "partition_timestamp": table.partition_timestamp}
        )
        return timestamp_column(options, name)

    def _formatted(self, **fields: Any) -> TabularDataset:
        import msgspec

        assert self.data.tabular is not None
        table = msgspec.structs.replace(self.data.tabular, **fields)
        return TabularDataset(msgspec.structs.replace(self.data, tabular=table), self._workspace)

    def _write(self, kind: str, target: tuple[Datastore, str] | None, separator: str = ",") -> FileDataset:
        from dag_factory.datasets.files import write_table

        data = write_table(f"to_{kind}_files", self._workspace, self.data, kind, target, separator)
        return FileDataset(data, self._workspace)


Dataset.File = FileFactory(FileDataset)
Dataset.Tabular = TabularFactory(TabularDataset)


def open_dataset(workspace: Workspace, record: core.DatasetRecord) -> FileDataset | TabularDataset:
    """Return a registered dataset."""
    kind = FileDataset if record.data.tabular is None else TabularDataset
    return kind(record.data, workspace.core)._registered(workspace.core, record)  # noqa: SLF001 - ours


def _show(location: Location) -> str:
    return f"{location.datastore}:{location.path}" if location.datastore else location.path
