"""What ports know of datastores and datasets, whose classes import ports to make them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import Data, RegisteredDataset
    from dag_factory.workspace import Workspace

__all__ = ["AnyDataset", "AnyDatastore", "DataValue"]


class AnyDatastore:
    """The base of :class:`~dag_factory.Datastore`.

    :ivar workspace: the workspace that has it.
    :ivar name: its name there.
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.workspace = workspace
        self.name = name


class DataValue:
    """The base of what a pipeline parameter that is data may have as its value."""

    def to_spec(self) -> Data | RegisteredDataset:
        """Return the data as runs know it."""
        raise NotImplementedError


class AnyDataset(DataValue):
    """The base of :class:`~dag_factory.Dataset`.

    :cvar is_table: whether it is read as a table, and not as files.
    """

    is_table: ClassVar[bool] = False
