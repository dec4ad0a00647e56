"""Transfers: data that a step copies."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from dag_factory.models.data import InputDefinition, RegisterDefinition
from dag_factory.models.fields import ANY_TEXT, DefinitionModel
from dag_factory.models.tables import TabularOptions

__all__ = [
    "TransferDefinition",
    "TransferDestination",
    "TransferSource",
]


class TransferSource(InputDefinition):
    """What is copied: data, as an input of a step has it, or a table.

    :param table: a table of the database that the datastore is; may be ``schema.table``.
    """

    table: str | None = None


class TransferDestination(DefinitionModel):
    """Where data is copied to: a place on a datastore, or a table of a database.

    :param datastore: the datastore or the database; the pipeline's default datastore where left out.
    :param path: the place on the datastore; ``{run-id}`` is filled in. A folder of the attempt's own where left out.
    :param table: the table that rows are appended to, all or none; may be ``schema.table``.
    :param register_as: the name of a dataset that it becomes, or its ``name``, ``description`` and ``tags``.
    :param tabular: how steps that read it as a table do so.
    :param pipeline_output: the name under which the pipeline's run gives it; its own where left out.
    """

    short_forms: ClassVar = (ANY_TEXT,)

    datastore: str | None = None
    path: str | None = None
    table: str | None = None
    register_as: RegisterDefinition | None = Field(default=None, alias="register")
    tabular: TabularOptions | None = None
    pipeline_output: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


class TransferDefinition(DefinitionModel):
    """Data that a step copies.

    :param source: a data entry's name, a URL, a binding to an output of another step or to a parameter, or data written
        in place.
    :param destination: where it is copied to; a text is a path on the default datastore.
    :param source_type: what the source has to be; whatever it is where left out.
    :param destination_type: whether the destination is the place of the ``file``, or a ``directory`` that files go into;
        what is there already where left out, else what the source is.
    :param delete_extra: whether files in the destination's folder that are not in the source are removed; they are an
        error otherwise.
    :param shards: how many tasks copy at once in Airflow.
    """

    source: TransferSource
    destination: TransferDestination
    source_type: Literal["file", "directory"] | None = None
    destination_type: Literal["file", "directory"] | None = None
    delete_extra: bool = False
    shards: Annotated[int, Field(ge=1)] = 1
