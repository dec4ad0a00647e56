"""Outputs of steps: what one step writes and others read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import check_name, checked, expect, kind_of
from dag_factory.ports.bases import AnyDatastore
from dag_factory.ports.data import DatasetConsumptionConfig
from dag_factory.ports.port import Produced, View
from dag_factory.ports.registration import registration
from dag_factory.ports.tables import check_partitions

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import OutputSpec
    from dag_factory.datastores.datastore import Datastore

__all__ = ["OutputFileDatasetConfig", "OutputTabularDatasetConfig"]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_PLACEHOLDERS = ("run-id", "output-name")


class OutputFileDatasetConfig(Produced):
    """A folder that a step writes and other steps read.

    In a step's ``arguments`` it is an output of that step and its path; :meth:`as_input` is for the steps that read
    it.

    :param name: the output's name; its place in the step gives it one if left out.
    :param destination: ``(datastore, path)``; in the path ``{run-id}`` and ``{output-name}`` are filled in. A
        datastore alone means a folder of the run's own on it; so does leaving it out, on the default datastore.
    :param source: the local folder that the script writes to; one of the launcher's choice if left out.
    :param partition_format: the form of the files' paths, such as ``/{Country}/{Day:yyyy-MM-dd}/*.jpg``, whose parts the
        dataset that it becomes has names for.
    """

    @checked
    def __init__(
        self,
        name: str | None = None,
        destination: tuple[Datastore, str | None] | Datastore | None = None,
        source: str | None = None,
        partition_format: str | None = None,
    ) -> None:
        where = "OutputFileDatasetConfig"
        self.name = None if name is None else check_name(f"{where}(name=…)", name)
        self.destination = destination
        self._datastore, self._path = _destination(f"{where}(destination=…)", destination)
        self.source = (
            None if source is None else str(expect(f"{where}(source=…)", source, str, what="a path"))
        )
        self.partition_format = check_partitions(f"{where}(partition_format=…)", partition_format)
        self.mode: str = "mount"
        self._overwrite = False
        self._globs: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"OutputFileDatasetConfig(name={self.name!r})"

    @checked
    def as_mount(self, disable_metadata_cache: bool = False) -> OutputFileDatasetConfig:  # noqa: ARG002
        """Let the script write at the destination itself where that is a local folder; the default."""
        self.mode, self._overwrite, self._globs = "mount", False, ()
        return self

    @checked
    def as_upload(
        self, overwrite: bool = False, source_globs: str | Sequence[str] | None = None
    ) -> OutputFileDatasetConfig:
        """Let the script write to a folder of its own, which is uploaded when it has ended well.

        :param overwrite: whether it may replace files at the destination.
        :param source_globs: which files to upload; all if left out.
        """
        globs = (source_globs,) if isinstance(source_globs, str) else tuple(source_globs or ())
        for glob in globs:
            expect(
                "OutputFileDatasetConfig.as_upload(source_globs=…)", glob, str, what="a pattern of file names"
            )
        self.mode, self._overwrite, self._globs = "upload", overwrite, globs
        return self

    @checked
    def as_input(self, name: str | None = None) -> DatasetConsumptionConfig:
        """Return what another step reads it with, as a mounted folder.

        :param name: the input's name; its place in the step gives it one if left out.
        """
        return DatasetConsumptionConfig(name, self, "mount")

    @checked
    def register_on_complete(
        self, name: str, description: str | None = None, tags: Mapping[str, str] | None = None
    ) -> OutputFileDatasetConfig:
        """Let it become a version of a dataset of the workspace each time its step has made it.

        It changes this object and returns it, so that it does not matter which of the two a step is given.
        """
        self.registration = registration(
            "OutputFileDatasetConfig.register_on_complete", name, description, tags
        )
        return self

    @checked
    def read_delimited_files(
        self,
        include_path: bool = False,
        separator: str = ",",
        header: Any = True,
        partition_format: str | None = None,
        path_glob: str | None = None,
        set_column_types: Mapping[str, str] | None = None,
    ) -> OutputTabularDatasetConfig:
        """Return it as a table made of the delimited files that the step writes.

        :param path_glob: not supported, None: the table has all files of the folder.
        """
        return self._read(
            "OutputFileDatasetConfig.read_delimited_files",
            path_glob,
            include_path=include_path,
            separator=separator,
            header=header,
            partition_format=partition_format,
            set_column_types=set_column_types,
        )

    @checked
    def read_parquet_files(
        self,
        include_path: bool = False,
        partition_format: str | None = None,
        path_glob: str | None = None,
        set_column_types: Mapping[str, str] | None = None,
    ) -> OutputTabularDatasetConfig:
        """Return it as a table made of the Parquet files that the step writes.

        :param path_glob: not supported, None: the table has all files of the folder.
        """
        return self._read(
            "OutputFileDatasetConfig.read_parquet_files",
            path_glob,
            format="parquet",
            include_path=include_path,
            partition_format=partition_format,
            set_column_types=set_column_types,
        )

    def _read(self, where: str, path_glob: str | None, **options: Any) -> OutputTabularDatasetConfig:
        if path_glob is not None:
            raise DefinitionError(
                f"{where}: path_glob is not supported: let the step write the table's files to an output of their own"
            )
        from dag_factory.ports.tables import tabular_format

        self.table = tabular_format(where, **options)
        return OutputTabularDatasetConfig(self)

    def to_spec(self, name: str) -> OutputSpec:
        """Return what runs know of the output."""
        from airflow_ml_pipelines.core.spec import OutputSpec

        return OutputSpec(
            name=name,
            mode=self.mode,  # type: ignore[arg-type]
            datastore=self._datastore,
            path=self._path,
            source=self.source,
            overwrite=self._overwrite,
            globs=self._globs,
            register=self.registration,
            tabular=self.table,
            partition_format=self.partition_format,
        )


class OutputTabularDatasetConfig(View):
    """An output of a step as a table; see :meth:`OutputFileDatasetConfig.read_delimited_files`."""

    is_table = True

    @checked
    def as_input(self, name: str | None = None) -> DatasetConsumptionConfig:
        """Return what another step reads the table with."""
        return DatasetConsumptionConfig(name, self, "direct")

    @checked
    def register_on_complete(
        self, name: str, description: str | None = None, tags: Mapping[str, str] | None = None
    ) -> OutputTabularDatasetConfig:
        """Let it become a version of a dataset of the workspace each time its step has made it."""
        where = "OutputTabularDatasetConfig.register_on_complete"
        self.origin.registration = registration(where, name, description, tags)
        return self


def _destination(where: str, destination: Any) -> tuple[str | None, str | None]:
    if destination is None:
        return None, None
    if isinstance(destination, AnyDatastore):
        return destination.name, None
    if not isinstance(destination, tuple) or len(destination) != 2:
        raise TypeError(
            f"{where}: expected (datastore, 'path/{{run-id}}') or a Datastore, found {kind_of(destination)}"
        )
    datastore, path = destination
    if not isinstance(datastore, AnyDatastore | str):
        raise TypeError(
            f"{where}: expected a Datastore or its name before the path, found {kind_of(datastore)}"
        )
    name = datastore.name if isinstance(datastore, AnyDatastore) else datastore
    if path is None:
        return name, None
    expect(where, path, str, what="a path on the datastore after it")
    for found in _PLACEHOLDER.findall(path):
        if found not in _PLACEHOLDERS:
            known = " and ".join(f"{{{item}}}" for item in _PLACEHOLDERS)
            raise DefinitionError(f"{where}: {path!r} has {{{found}}}: what is filled in is {known}")
    if ".." in path.split("/"):
        raise DefinitionError(f"{where}: {path!r} would leave the datastore: take the '..' out")
    return name, path.strip("/")
