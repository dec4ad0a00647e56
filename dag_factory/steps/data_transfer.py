"""Steps that copy data from one place to another."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import checked, expect, kind_of
from dag_factory.ports.data import DataPath, DataPathComputeBinding, DataReference
from dag_factory.ports.outputs import OutputFileDatasetConfig
from dag_factory.ports.pipeline_data import PipelineData
from dag_factory.ports.port import InputPort, Produced, origin_of
from dag_factory.ports.sql_data_reference import SqlDataReference
from dag_factory.steps.bind import BoundPorts, read_port
from dag_factory.steps.settings import check_settings
from dag_factory.steps.step import PipelineStep

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import OutputSpec, TransferSpec
    from dag_factory.compute.target import ComputeTarget

__all__ = ["DESTINATION", "SOURCE", "DataTransferStep"]

SOURCE = "source"
"""What the one input of a transfer is called."""

DESTINATION = "destination"
"""What the one output of a transfer is called."""

_TYPES = ("file", "directory")


class DataTransferStep(PipelineStep):
    """A step that copies a file, a folder, a table or what a query returns.

    What is at the destination already is not copied again; a transfer that was killed goes on where it was. Rows for a
    table are appended to it, all or none.

    :param name: what people call it.
    :param source_data_reference: what is copied: a ``DataReference``, an output of another step, a dataset, a
        ``SqlDataReference`` or ``(DataPath or PipelineParameter, DataPathComputeBinding())``.
    :param destination_data_reference: where it is copied to: a ``DataReference``, ``(DataPath,
        DataPathComputeBinding())``, a ``SqlDataReference`` with a table, or an output of this step: ``PipelineData``,
        ``OutputFileDatasetConfig``.
    :param compute_target: is taken and has no meaning here: what runs the pipeline copies.
    :param source_reference_type: ``file`` or ``directory``: what the source has to be; whatever it is if left out.
    :param destination_reference_type: ``file`` or ``directory``: whether the destination's path is that of the file, or
        of a folder that files go into; if left out, what is there already, else what the source is.
    :param allow_reuse: whether nothing is copied where an earlier run copied the same there, and it still is.
    :param delete_extra: whether files in the destination's folder that are not in the source are removed; they are an
        error otherwise, before anything is copied. What an earlier transfer brought is removed in any case.
    :param shards: how many tasks copy at once in Airflow.
    :param version: your own word that the step does something else now.
    :param description: for people.
    :param retries: how often Airflow tries the step again; what the pipeline says if left out, as those that follow.
    :param retry_delay: how long Airflow waits before it does.
    :param pool: the pool of the step's task in Airflow.
    :param queue: the queue of the step's task in Airflow.
    :param priority_weight: the weight of the step's task in Airflow.
    :param deferrable: whether the task gives its worker back while it waits for another run that copies the same.
    :raises TypeError: where something is of a type that it can't be.
    :raises DefinitionError: where source and destination can't be.
    """

    @checked
    def __init__(
        self,
        name: str,
        source_data_reference: Any = None,
        destination_data_reference: Any = None,
        compute_target: ComputeTarget | str | None = None,
        source_reference_type: str | None = None,
        destination_reference_type: str | None = None,
        allow_reuse: bool = True,
        *,
        delete_extra: bool = False,
        shards: int = 1,
        version: str | None = None,
        description: str | None = None,
        retries: int | None = None,
        retry_delay: float | str | timedelta | None = None,
        pool: str | None = None,
        queue: str | None = None,
        priority_weight: int | None = None,
        deferrable: bool | None = None,
    ) -> None:
        where = "DataTransferStep"
        expect(f"{where}(name=…)", name, str, what="a name")
        if not name.strip():
            raise DefinitionError(f"{where}: the step needs a name")
        for field, value in (
            ("source_data_reference", source_data_reference),
            ("destination_data_reference", destination_data_reference),
        ):
            if value is None:
                raise DefinitionError(f"{where}({name!r}): {field} is missing: a transfer needs both places")
        self.compute_target = compute_target
        self.allow_reuse: bool = expect(f"{where}(allow_reuse=…)", allow_reuse, bool, what="True or False")
        self.delete_extra: bool = expect(f"{where}(delete_extra=…)", delete_extra, bool, what="True or False")
        self.source_type = _type(f"{where}(source_reference_type=…)", source_reference_type)
        self.destination_type = _type(f"{where}(destination_reference_type=…)", destination_reference_type)
        self.shards: int = expect(f"{where}(shards=…)", shards, int, what="a number")
        if isinstance(shards, bool) or shards < 1:
            raise DefinitionError(f"{where}(shards=…): expected a number from 1 on, found {shards!r}")
        self.version = None if version is None else str(version)
        self.task_settings = check_settings(
            where,
            description=description,
            retries=retries,
            retry_delay=retry_delay,
            pool=pool,
            queue=queue,
            priority_weight=priority_weight,
            deferrable=deferrable,
        )
        self.table = (
            destination_data_reference if isinstance(destination_data_reference, SqlDataReference) else None
        )
        output = _destination(f"{where}(destination_data_reference=…)", destination_data_reference)
        super().__init__(name, outputs=[output])
        self.inputs = [source_data_reference]
        port = read_port(self, _source(source_data_reference))
        self.ports = BoundPorts({SOURCE: _named(port)}, {DESTINATION: output})

    @checked
    def get_output(self) -> Produced:
        """Return what was copied, for another step to read or to come after."""
        return self.ports.outputs[DESTINATION]

    def spec_fields(self) -> dict[str, Any]:
        """Return what of a step's spec is of this kind."""
        return {
            "kind": "data_transfer",
            "transfer": self.to_spec(),
            "allow_reuse": self.allow_reuse,
            "version": self.version,
        }

    def to_spec(self) -> TransferSpec:
        """Return what runs know of what is copied."""
        from airflow_ml_pipelines.core.spec import TransferSpec

        return TransferSpec(
            source_type=self.source_type,  # type: ignore[arg-type]
            destination_type=self.destination_type,  # type: ignore[arg-type]
            database=None if self.table is None else self.table.datastore_name,
            table=None if self.table is None else self.table.sql_table,
            delete_extra=self.delete_extra,
            shards=self.shards,
        )


class _Copied(PipelineData):
    """What lies at a fixed place after a transfer.

    :param path: on the datastore.
    """

    def __init__(self, datastore: str, path: str) -> None:
        super().__init__(DESTINATION, datastore=datastore)
        self._path = path

    def to_spec(self, name: str) -> OutputSpec:
        import msgspec

        return msgspec.structs.replace(super().to_spec(name), path=self._path)


def _type(where: str, value: Any) -> str | None:
    if value is not None and value not in _TYPES:
        raise DefinitionError(f"{where}: expected 'file' or 'directory', found {value!r}")
    return None if value is None else str(value)


def _source(source: Any) -> Any:
    """Return what is read as what a step takes as an input."""
    from dag_factory.datasets.dataset import Dataset
    from dag_factory.datastores.port_data_reference import PortDataReference

    if isinstance(source, Dataset):
        return source.as_named_input(SOURCE)
    if isinstance(source, PortDataReference):
        return DataReference(source.datastore_name, SOURCE, source.path_on_datastore)
    return source


def _named(port: InputPort) -> InputPort:
    from dataclasses import replace

    return replace(port, name=SOURCE, mode="direct", path_on_compute=None)


def _destination(where: str, destination: Any) -> Produced:
    if isinstance(destination, DataReference):
        return _Copied(destination.datastore_name, destination.path_on_datastore)
    if (
        isinstance(destination, tuple)
        and len(destination) == 2
        and isinstance(destination[1], DataPathComputeBinding)
    ):
        path = destination[0]
        expect(where, path, DataPath, what="a DataPath beside a DataPathComputeBinding")
        return _Copied(path.datastore_name, path.path_on_datastore)
    if isinstance(destination, SqlDataReference):
        if destination.sql_table is None:
            raise DefinitionError(
                f"{where}: a query can't be written to: give the SqlDataReference sql_table"
            )
        return PipelineData(DESTINATION)
    origin = origin_of(destination)
    if isinstance(origin, PipelineData | OutputFileDatasetConfig):
        if origin.producer is not None:
            raise DefinitionError(
                f"{where}: {origin!r} is made by step {origin.producer.name!r}: give the transfer an output of its own"
            )
        return origin
    raise TypeError(
        f"{where}: expected a DataReference, (DataPath, DataPathComputeBinding()), a SqlDataReference with a table, "
        f"PipelineData or OutputFileDatasetConfig; found {kind_of(destination)}"
    )
