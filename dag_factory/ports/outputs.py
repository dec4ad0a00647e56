"""Outputs of steps: what one step writes and others read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import check_name, checked, expect, kind_of
from dag_factory.ports.bases import AnyDatastore
from dag_factory.ports.data import DatasetConsumptionConfig
from dag_factory.ports.port import InputPort, Produced, View, check_input_name, check_mode
from dag_factory.ports.tables import check_partitions

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import InputMode, OutputSpec, RegisterSpec
    from dag_factory.datastores.datastore import Datastore

__all__ = [
    "InputPortBinding",
    "OutputFileDatasetConfig",
    "OutputTabularDatasetConfig",
    "PipelineData",
    "PipelineOutputFileDataset",
]

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
        self.registration = _registration(
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
        if path_glob is not None:
            raise DefinitionError(
                "OutputFileDatasetConfig.read_delimited_files: path_glob is not supported: "
                "let the step write the table's files to an output of their own"
            )
        from dag_factory.ports.tables import tabular_format

        self.table = tabular_format(
            "OutputFileDatasetConfig.read_delimited_files",
            include_path=include_path,
            separator=separator,
            header=header,
            partition_format=partition_format,
            set_column_types=set_column_types,
        )
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


class PipelineData(Produced):
    """A file or folder that a step writes and other steps read; it stands in ``outputs`` and ``inputs``.

    The script is given a path and makes the file or folder itself.

    :param name: letters, digits and ``_``.
    :param datastore: a datastore or its name; the pipeline's default if left out.
    :param output_name: what the step that makes it calls it; the name if left out.
    :param output_mode: ``mount``: the script writes at the destination itself where that is a local folder;
        ``upload``: to a path of its own, which is uploaded when it has ended well.
    :param output_path_on_compute: where the script writes it; a place of the launcher's choice if left out.
    :param output_overwrite: with ``upload``: whether it may replace files at the destination.
    :param data_type: for people.
    :param is_directory: for people; whether it is a folder shows when it is there.
    :param pipeline_output_name: the name under which the run gives it
        (:meth:`~dag_factory.PipelineRun.get_pipeline_output`).
    """

    @checked
    def __init__(
        self,
        name: str,
        datastore: Datastore | str | None = None,
        output_name: str | None = None,
        output_mode: str = "mount",
        output_path_on_compute: str | None = None,
        output_overwrite: bool | None = None,
        data_type: str | None = None,
        is_directory: bool | None = None,
        pipeline_output_name: str | None = None,
    ) -> None:
        self.name = check_name("PipelineData(name=…)", name)
        self.datastore = datastore
        if datastore is not None and not isinstance(datastore, AnyDatastore | str):
            raise TypeError(
                f"PipelineData(datastore=…): expected a Datastore or its name, found {kind_of(datastore)}"
            )
        self._output_name = check_name("PipelineData(output_name=…)", output_name or name)
        self.output_mode = check_mode("PipelineData", output_mode, "mount", "upload")
        self.output_path_on_compute = output_path_on_compute
        self.output_overwrite = bool(output_overwrite)
        self.data_type = data_type
        self.is_directory = is_directory
        if pipeline_output_name is not None:
            check_name("PipelineData(pipeline_output_name=…)", pipeline_output_name)
        self.pipeline_output_name = pipeline_output_name

    def __repr__(self) -> str:
        return f"PipelineData({self.name!r})"

    @property
    def output_name(self) -> str:
        """What the step that makes it calls it."""
        return self._output_name

    @checked
    def as_mount(self) -> InputPortBinding:
        """Return what another step reads it with, as the data itself where the datastore is a local folder."""
        return self.create_input_binding(mode="mount")

    @checked
    def as_download(
        self, input_name: str | None = None, path_on_compute: str | None = None, overwrite: bool | None = None
    ) -> InputPortBinding:
        """Return what another step reads it with, as a copy for itself."""
        return self.create_input_binding(input_name, "download", path_on_compute, overwrite)

    @checked
    def as_input(self, input_name: str) -> InputPortBinding:
        """Return what another step reads it with, under another name."""
        return self.create_input_binding(input_name)

    @checked
    def create_input_binding(
        self,
        input_name: str | None = None,
        mode: str | None = None,
        path_on_compute: str | None = None,
        overwrite: bool | None = None,
    ) -> InputPortBinding:
        """Return what another step reads it with."""
        return InputPortBinding(
            input_name or str(self.name), self, mode or "mount", path_on_compute, overwrite
        )

    def as_dataset(self) -> PipelineOutputFileDataset:
        """Return it as a dataset that can be registered."""
        return PipelineOutputFileDataset(self)

    def to_spec(self, name: str) -> OutputSpec:
        """Return what runs know of the output."""
        from airflow_ml_pipelines.core.spec import OutputSpec

        return OutputSpec(
            name=name,
            mode=self.output_mode,
            datastore=self.datastore.name if isinstance(self.datastore, AnyDatastore) else self.datastore,
            source=self.output_path_on_compute,
            create=False,
            overwrite=self.output_overwrite,
            register=self.registration,
            tabular=self.table,
            pipeline_output=self.pipeline_output_name,
        )


class InputPortBinding:
    """How a step reads a :class:`PipelineData` under a name of the step's own.

    :param bind_mode: ``mount`` or ``download``.
    """

    @checked
    def __init__(
        self,
        name: str,
        bind_object: PipelineData,
        bind_mode: str = "mount",
        path_on_compute: str | None = None,
        overwrite: bool | None = None,
    ) -> None:
        self.name = check_input_name("InputPortBinding(name=…)", name)
        expect("InputPortBinding(bind_object=…)", bind_object, PipelineData, what="a PipelineData")
        self.bind_object = bind_object
        self.bind_mode: InputMode = check_mode("InputPortBinding", bind_mode, "mount", "download")
        self.path_on_compute = path_on_compute
        self.overwrite = bool(overwrite)

    def __repr__(self) -> str:
        return f"InputPortBinding({self.name!r}, {self.bind_object!r}, {self.bind_mode!r})"

    def to_port(self) -> InputPort:
        """Return what is read, and how."""
        return InputPort(
            name=self.name,
            source=self.bind_object,
            mode=self.bind_mode,
            path_on_compute=self.path_on_compute,
            overwrite=self.overwrite,
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
        self.origin.registration = _registration(where, name, description, tags)
        return self


class PipelineOutputFileDataset(View):
    """A :class:`PipelineData` as a dataset."""

    @checked
    def register(self, name: str, create_new_version: bool = True) -> PipelineOutputFileDataset:  # noqa: ARG002
        """Let it become a version of a dataset of the workspace each time its step has made it."""
        self.origin.registration = _registration("PipelineOutputFileDataset.register", name, None, None)
        return self

    @checked
    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        """Return what another step reads it with, under a name of the step's own."""
        return DatasetConsumptionConfig(name, self, "mount")

    @checked
    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """Return what another step reads it with, as the data itself where the datastore is a local folder."""
        return DatasetConsumptionConfig(self.name, self, "mount", path_on_compute)

    @checked
    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """Return what another step reads it with, as a copy for itself."""
        return DatasetConsumptionConfig(self.name, self, "download", path_on_compute)

    def as_direct(self) -> DatasetConsumptionConfig:
        """Return what another step opens it with."""
        return DatasetConsumptionConfig(self.name, self, "direct")


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


def _registration(
    where: str, name: str, description: str | None, tags: Mapping[str, str] | None
) -> RegisterSpec:
    from airflow_ml_pipelines.core.spec import RegisterSpec

    expect(f"{where}(name=…)", name, str, what="the name of a dataset")
    if not name.strip():
        raise DefinitionError(f"{where}: the dataset needs a name")
    labels = {str(key): str(value) for key, value in (tags or {}).items()}
    return RegisterSpec(name=name, description=description, tags=labels)
