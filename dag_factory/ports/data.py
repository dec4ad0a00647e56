"""Data from outside of a pipeline: paths on datastores, and how a step gets to read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import checked, expect, is_workspace, kind_of
from dag_factory.ports.bases import AnyDataset, AnyDatastore, DataValue
from dag_factory.ports.port import InputPort, View, check_fingerprint, check_input_name, check_mode, origin_of

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import Data, Fingerprint, InputMode
    from dag_factory.datasets.dataset import Dataset
    from dag_factory.datastores.datastore import Datastore
    from dag_factory.ports.outputs import OutputFileDatasetConfig, OutputTabularDatasetConfig
    from dag_factory.ports.parameter import PipelineParameter
    from dag_factory.ports.pipeline_data import PipelineOutputFileDataset
    from dag_factory.workspace import Workspace

__all__ = [
    "DataPath",
    "DataPathComputeBinding",
    "DataReference",
    "DatasetConsumptionConfig",
    "binding_port",
    "check_version",
]


class DataPath(DataValue):
    """A file, a folder or a glob on a datastore, such as a pipeline parameter may name.

    :param datastore: a datastore or its name.
    :param path_on_datastore: relative to the datastore's root; all of it if left out.
    :param name: for people; the parameter or the input gives the name that counts.
    """

    @checked
    def __init__(
        self,
        datastore: Datastore | str | None = None,
        path_on_datastore: str | None = None,
        name: str | None = None,
    ) -> None:
        self.datastore_name = _datastore_name("DataPath(datastore=…)", datastore)
        self.workspace = datastore.workspace if isinstance(datastore, AnyDatastore) else None
        self.path_on_datastore = _path("DataPath(path_on_datastore=…)", path_on_datastore)
        self.name = name

    def __repr__(self) -> str:
        return f"DataPath({self.datastore_name!r}, {self.path_on_datastore!r})"

    def to_spec(self) -> Data:
        """Return the data as runs know it."""
        return _data(self.datastore_name, self.path_on_datastore)


class DataPathComputeBinding:
    """How a step reads a :class:`DataPath`: the second of the pair ``(path or parameter, binding)``.

    The same pair stands in ``inputs`` and, for its path, in ``arguments``.

    :param mode: ``mount`` or ``download``.
    :param path_on_compute: where the script finds it; a place of the launcher's choice if left out.
    :param overwrite: whether it may replace what is at ``path_on_compute``.
    :param fingerprint: what tells reuse that the data is the same: ``content``, ``etag`` or ``path``.
    """

    @checked
    def __init__(
        self,
        mode: InputMode = "mount",
        path_on_compute: str | None = None,
        overwrite: bool = False,
        *,
        fingerprint: Fingerprint = "content",
    ) -> None:
        self.mode: InputMode = check_mode("DataPathComputeBinding", mode, "mount", "download")
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite
        self.fingerprint: Fingerprint = check_fingerprint("DataPathComputeBinding", fingerprint)

    def __repr__(self) -> str:
        return f"DataPathComputeBinding(mode={self.mode!r})"


def binding_port(where: str, path: Any, binding: DataPathComputeBinding) -> InputPort:
    """Return what a pair ``(path or parameter, binding)`` reads."""
    from dag_factory.ports.parameter import PipelineParameter

    if isinstance(path, PipelineParameter):
        if not path.is_data:
            raise TypeError(
                f"{where}: expected a parameter whose default is a DataPath beside a DataPathComputeBinding, "
                f"found {path!r}"
            )
        source: Any = path
        name: str | None = path.name
    else:
        source = expect(where, path, DataPath, what="a DataPath or PipelineParameter").to_spec()
        name = path.name
    return InputPort(
        name=check_input_name(where, name),
        source=source,
        mode=binding.mode,
        path_on_compute=binding.path_on_compute,
        overwrite=binding.overwrite,
        fingerprint=binding.fingerprint,
    )


class DataReference:
    """A file, a folder or a glob on a datastore that a step reads.

    :param datastore: a datastore or its name.
    :param data_reference_name: the input's name; its place in the step gives it one if left out.
    :param path_on_datastore: relative to the datastore's root; all of it if left out.
    :param mode: ``mount`` or ``download``.
    :param path_on_compute: where the script finds it; a place of the launcher's choice if left out.
    :param overwrite: whether it may replace what is at ``path_on_compute``.
    :param fingerprint: what tells reuse that the data is the same: ``content``, ``etag`` or ``path``.
    """

    @checked
    def __init__(
        self,
        datastore: Datastore | str,
        data_reference_name: str | None = None,
        path_on_datastore: str | None = None,
        mode: InputMode | Literal["upload"] = "mount",
        path_on_compute: str | None = None,
        overwrite: bool = False,
        *,
        fingerprint: Fingerprint = "content",
    ) -> None:
        self.datastore_name = _datastore_name("DataReference(datastore=…)", datastore)
        self._datastore = datastore
        self.path_on_datastore = _path("DataReference(path_on_datastore=…)", path_on_datastore)
        if data_reference_name is None and path_on_datastore is None:
            data_reference_name = self.datastore_name if self.datastore_name.isidentifier() else None
        self.data_reference_name = check_input_name(
            "DataReference(data_reference_name=…)", data_reference_name
        )
        if mode == "upload":
            raise DefinitionError(
                "DataReference: it only reads; to write, give the step an "
                "OutputFileDatasetConfig(destination=(datastore, path)).as_upload()"
            )
        self.mode: InputMode = check_mode("DataReference", mode, "mount", "download")
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite
        self.fingerprint: Fingerprint = check_fingerprint("DataReference", fingerprint)

    def __repr__(self) -> str:
        return f"DataReference({self.datastore_name!r}, {self.data_reference_name!r}, {self.path_on_datastore!r})"

    @property
    def name(self) -> str | None:
        """The input's name."""
        return self.data_reference_name

    @checked
    def path(self, path: str | None = None, data_reference_name: str | None = None) -> DataReference:
        """Return a reference to a path below this one."""
        below = "/".join(part.strip("/") for part in (self.path_on_datastore, path or "") if part.strip("/"))
        return self._copy(path_on_datastore=below, data_reference_name=data_reference_name)

    def as_mount(self) -> DataReference:
        """Return a reference whose path is the data itself where the datastore is a local folder, else a copy."""
        return self._copy(mode="mount")

    @checked
    def as_download(self, path_on_compute: str | None = None, overwrite: bool = False) -> DataReference:
        """Return a reference to a copy that the step gets for itself."""
        return self._copy(mode="download", path_on_compute=path_on_compute, overwrite=overwrite)

    def to_port(self) -> InputPort:
        """Return what is read, and how."""
        return InputPort(
            name=self.data_reference_name,
            source=_data(self.datastore_name, self.path_on_datastore),
            mode=self.mode,
            path_on_compute=self.path_on_compute,
            overwrite=self.overwrite,
            fingerprint=self.fingerprint,
        )

    def _copy(self, **changes: Any) -> DataReference:
        arguments: dict[str, Any] = {
            "datastore": self._datastore,
            "data_reference_name": self.data_reference_name,
            "path_on_datastore": self.path_on_datastore,
            "mode": self.mode,
            "path_on_compute": self.path_on_compute,
            "overwrite": self.overwrite,
            "fingerprint": self.fingerprint,
        }
        return DataReference(**{**arguments, **changes})


class DatasetConsumptionConfig:
    """How a step reads a dataset, an output of another step, or the data that a parameter names.

    :param name: the input's name, by which the script finds it in ``Run.get_context().input_datasets``.
    :param dataset: a dataset; a pipeline parameter whose default is one; or ``(workspace, name)`` or ``(workspace,
        name, version)`` of a registered one, which without a version is the latest when the run begins.
    :param mode: ``direct``: the script opens it; ``mount`` or ``download``: the script gets a path.
    :param path_on_compute: where the script finds it; a place of the launcher's choice if left out.
    :param fingerprint: what tells reuse that the data is the same: ``content``, ``etag`` or ``path``.
    """

    @checked
    def __init__(
        self,
        name: str | None,
        dataset: Dataset
        | PipelineParameter
        | OutputFileDatasetConfig
        | OutputTabularDatasetConfig
        | PipelineOutputFileDataset
        | tuple[Workspace, str]
        | tuple[Workspace, str, int | str],
        mode: InputMode = "direct",
        path_on_compute: str | None = None,
        *,
        fingerprint: Fingerprint = "content",
    ) -> None:
        where = "DatasetConsumptionConfig"
        self.name = check_input_name(f"{where}(name=…)", name)
        self.dataset = dataset
        self._source = _consumed_source(f"{where}(dataset=…)", dataset)
        self.mode: InputMode = check_mode(where, mode, "direct", "mount", "download")
        if mode != "direct" and _is_table(dataset):
            raise DefinitionError(
                f"{where}: a table has no files to {mode}: leave the mode at 'direct' and read it with "
                "Run.get_context().input_datasets[name].to_pandas_dataframe()"
            )
        self.path_on_compute = path_on_compute
        self.fingerprint: Fingerprint = check_fingerprint(where, fingerprint)

    def __repr__(self) -> str:
        return f"DatasetConsumptionConfig({self.name!r}, {self.dataset!r}, mode={self.mode!r})"

    @checked
    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """Return it with a path that is the data itself where the datastore is a local folder, else a copy."""
        return self._copy(mode="mount", path_on_compute=path_on_compute)

    @checked
    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """Return it with the path of a copy that the step gets for itself."""
        return self._copy(mode="download", path_on_compute=path_on_compute)

    def to_port(self) -> InputPort:
        """Return what is read, and how."""
        return InputPort(
            name=self.name,
            source=self._source,
            mode=self.mode,
            path_on_compute=self.path_on_compute,
            fingerprint=self.fingerprint,
        )

    def _copy(self, *, mode: InputMode, path_on_compute: str | None) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(
            self.name, self.dataset, mode, path_on_compute, fingerprint=self.fingerprint
        )


def _consumed_source(where: str, dataset: Any) -> Any:
    from dag_factory.ports.parameter import PipelineParameter

    if isinstance(dataset, AnyDataset):
        return dataset.to_spec()
    if isinstance(dataset, PipelineParameter) and dataset.is_data:
        return dataset
    origin = origin_of(dataset)
    if origin is not None:
        return origin
    if isinstance(dataset, tuple) and len(dataset) in (2, 3) and is_workspace(dataset[0]):
        from airflow_ml_pipelines.core.spec import RegisteredDataset

        name = expect(where, dataset[1], str, what="the name of a dataset after the workspace")
        return RegisteredDataset(
            dataset=name, version=check_version(dataset[2] if len(dataset) == 3 else None)
        )
    raise TypeError(
        f"{where}: expected a dataset, a parameter whose default is data, an output of a step, or "
        f"(workspace, name[, version]); found {kind_of(dataset)}"
    )


def _is_table(dataset: Any) -> bool:
    return isinstance(dataset, AnyDataset | View) and dataset.is_table


def _datastore_name(where: str, datastore: Any) -> str:
    if isinstance(datastore, AnyDatastore):
        return datastore.name
    expect(where, datastore, str, what="a Datastore or its name")
    return str(datastore)


def _path(where: str, path: Any) -> str:
    if path is None:
        return ""
    expect(where, path, str, what="a path on the datastore")
    if ".." in path.split("/"):
        raise DefinitionError(f"{where}: {path!r} would leave the datastore: take the '..' out")
    return str(path).strip("/")


def _data(datastore: str, path: str) -> Data:
    from airflow_ml_pipelines.core.spec import Data, Location

    return Data(locations=(Location(datastore=datastore, path=path),))


def check_version(version: Any) -> int | None:
    """Return a version as a number, None for the latest. :raises DefinitionError: for anything else."""
    if version in (None, "latest"):
        return None
    text = str(version)
    if isinstance(version, bool) or not text.isdecimal():
        raise DefinitionError(f"expected a version of a dataset such as 2, or 'latest'; found {version!r}")
    return int(text)
