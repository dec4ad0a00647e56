"""Datasets: files and tables of datastores and the web, described once and read by any number of steps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from airflow_ml_pipelines.core.errors import DataError, DefinitionError, WorkspaceError
from dag_factory._check import checked, expect, kind_of
from dag_factory.data import DataPath, DatasetConsumptionConfig
from dag_factory.datastore import Datastore

if TYPE_CHECKING:
    import pandas as pd

    import airflow_ml_pipelines.core.workspace as core
    from airflow_ml_pipelines.core.spec import Data, Fingerprint, InputMode, Location, RegisteredDataset
    from dag_factory.workspace import Workspace

__all__ = ["Dataset", "FileDataset", "TabularDataset", "check_version", "open_dataset"]


class _FileFactory:
    """Makes datasets of files."""

    @staticmethod
    @checked
    def from_files(
        path: Any,
        validate: bool = True,  # noqa: ARG004
        partition_format: str | None = None,
        is_file: bool = False,
    ) -> FileDataset:
        """Return a dataset of files.

        :param path: a URL, ``(datastore, path)``, a :class:`~dag_factory.DataPath`, or a list of these. A path is a
            file, a folder or a glob.
        :param validate: accepted; whether the data is there is looked at when a run is planned, so that importing a
            DAG file never waits for a store.
        :param partition_format: not supported for files, None.
        :param is_file: whether the path is known to be one file.
        """
        where = "Dataset.File.from_files"
        if partition_format is not None:
            raise DefinitionError(f"{where}: partition_format is not supported for files: leave it out")
        locations, workspace = _locations(f"{where}(path=…)", path)
        from airflow_ml_pipelines.core.spec import Data

        return FileDataset(Data(locations=locations, form="file" if is_file else "auto"), workspace)

    @staticmethod
    @checked
    def upload_directory(
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
        return _FileFactory.from_files((datastore, folder))


class _TabularFactory:
    """Makes datasets of tables."""

    @staticmethod
    @checked
    def from_delimited_files(
        path: Any,
        validate: bool = True,  # noqa: ARG004
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
        from airflow_ml_pipelines.core.spec import Data
        from dag_factory.tables import tabular_format

        where = "Dataset.Tabular.from_delimited_files"
        locations, workspace = _locations(f"{where}(path=…)", path)
        table = tabular_format(
            where,
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
        return TabularDataset(Data(locations=locations, tabular=table), workspace)


class Dataset:
    """Files or a table; make one with ``Dataset.File`` or ``Dataset.Tabular``, or :meth:`get_by_name`.

    :param data: where the data is and what form it has.
    :param workspace: the workspace whose datastores it names.
    """

    File = _FileFactory
    Tabular = _TabularFactory

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
        from dag_factory.workspace import core_of

        record = core_of("Dataset.get_by_name(workspace=…)", workspace).dataset(name, check_version(version))
        return open_dataset(workspace, record)

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
        from dag_factory.workspace import core_of

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
    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        """Return what a step reads it with, under a name; see ``as_mount`` and ``as_download`` of what is returned."""
        return DatasetConsumptionConfig(name, self, "direct")

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


class FileDataset(Dataset):
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
        from dag_factory.fetch import list_files

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
        from dag_factory.fetch import fetch_files

        return fetch_files(
            self._workspace, self.data, target_path, overwrite=overwrite, ignore_not_found=ignore_not_found
        )


class TabularDataset(Dataset):
    """A table."""

    @checked
    def to_pandas_dataframe(
        self, on_error: str = "null", out_of_range_datetime: str = "null"
    ) -> pd.DataFrame:
        """Return the table as a pandas data frame.

        :param on_error: what becomes of a value that is not of its column's type: ``null`` or ``fail``.
        :param out_of_range_datetime: the same for a moment that pandas can't hold.
        :raises DataError: where there is no data.
        """
        from dag_factory.fetch import read_table

        frame: pd.DataFrame = read_table(self._workspace, self.data, on_error, out_of_range_datetime)
        return frame


def open_dataset(workspace: Workspace, record: core.DatasetRecord) -> FileDataset | TabularDataset:
    """Return a registered dataset."""
    kind = FileDataset if record.data.tabular is None else TabularDataset
    return kind(record.data, workspace.core)._registered(workspace.core, record)  # noqa: SLF001 - ours


def check_version(version: Any) -> int | None:
    """Return a version as a number, None for the latest. :raises DefinitionError: for anything else."""
    if version in (None, "latest"):
        return None
    text = str(version)
    if isinstance(version, bool) or not text.isdecimal():
        raise DefinitionError(f"expected a version of a dataset such as 2, or 'latest'; found {version!r}")
    return int(text)


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


def _show(location: Location) -> str:
    return f"{location.datastore}:{location.path}" if location.datastore else location.path
