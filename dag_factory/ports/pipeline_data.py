"""Outputs of steps that other steps read: ``PipelineData``, and how it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag_factory._check import check_name, checked, expect, kind_of
from dag_factory.ports.bases import AnyDatastore
from dag_factory.ports.data import DatasetConsumptionConfig
from dag_factory.ports.port import InputPort, Produced, View, check_input_name, check_mode
from dag_factory.ports.registration import registration

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import InputMode, OutputSpec
    from dag_factory.datastores.datastore import Datastore

__all__ = ["InputPortBinding", "PipelineData", "PipelineOutputFileDataset"]


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


class PipelineOutputFileDataset(View):
    """A :class:`PipelineData` as a dataset."""

    @checked
    def register(self, name: str, create_new_version: bool = True) -> PipelineOutputFileDataset:  # noqa: ARG002
        """Let it become a version of a dataset of the workspace each time its step has made it."""
        self.origin.registration = registration("PipelineOutputFileDataset.register", name, None, None)
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
