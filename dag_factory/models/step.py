"""Steps: a script that is run, data that is copied, or work for a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import model_validator

from dag_factory.models.data import InputDefinition, OutputDefinition
from dag_factory.models.environment import EnvironmentDefinition
from dag_factory.models.fields import Arguments, Count, DefinitionModel, Duration, Scalar, Strings
from dag_factory.models.spark import AdlaDefinition, DatabricksDefinition
from dag_factory.models.transfer import TransferDefinition

__all__ = [
    "StepDefinition",
]


class StepDefinition(DefinitionModel):
    """A step: it runs a Python script, copies data, or does what ``databricks`` or ``adla`` says.

    :param script: the script, relative to ``source_directory``, with ``/``.
    :param transfer: what is copied, in place of a script that is run; its one output is called ``destination``.
    :param databricks: what it runs on a Spark cluster.
    :param adla: of a step with a U-SQL script.
    :param name: what people call it; its id where left out.
    :param description: for people.
    :param source_directory: the folder whose files are there when the script runs, relative to the file; the
        pipeline's where left out.
    :param arguments: what the script is started with: text with ``${{ … }}`` bindings, numbers and truth values.
    :param inputs: what it reads, by name: a data entry's name, a URL, a binding to an output of another step, or data
        written in place.
    :param outputs: what it writes, by name.
    :param parameters: values for ``AML_PARAMETER_<name>``, of a notebook for its widgets; text may be one binding to a
        pipeline parameter.
    :param environment: the name of an entry under ``environments`` or of a registered environment (``name:version``),
        or one written in place; the pipeline's ``default_environment`` where left out.
    :param compute_target: where it runs; the pipeline's ``default_compute_target`` where left out.
    :param allow_reuse: whether the outputs of an earlier run with the same key may be taken.
    :param version: your own word that the step does something else now.
    :param hash_paths: files or folders whose content is in the key besides that of the source directory.
    :param ignore: git patterns of files of the source directory that the step does not see.
    :param after: ids of steps that have to end first, besides those whose outputs it reads.
    :param timeout: after which the script is killed: seconds, or text such as ``1h30m``.
    :param retries: how often Airflow tries it again.
    :param retry_delay: how long Airflow waits before it tries again: seconds, or text such as ``5m``.
    :param pool: the pool of its task in Airflow.
    :param queue: the queue of its task in Airflow.
    :param priority_weight: the weight of its task in Airflow.
    :param deferrable: whether its task gives its worker back while its job runs; what the compute target says if left
        out.
    """

    script: str
    transfer: TransferDefinition | None = None
    databricks: DatabricksDefinition | None = None
    adla: AdlaDefinition | None = None
    name: str | None = None
    description: str | None = None
    source_directory: str | None = None
    arguments: Arguments = ()
    inputs: dict[str, InputDefinition] = {}
    outputs: dict[str, OutputDefinition] = {}
    parameters: dict[str, Scalar] = {}
    environment: EnvironmentDefinition | None = None
    compute_target: str | None = None
    allow_reuse: bool = True
    version: str | None = None
    hash_paths: Strings = ()
    ignore: Strings = ()
    after: Strings = ()
    timeout: Duration | None = None
    retries: Count | None = None
    retry_delay: Duration | None = None
    pool: str | None = None
    queue: str | None = None
    priority_weight: int | None = None
    deferrable: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _need_no_script(cls, value: Any) -> Any:
        if (
            isinstance(value, Mapping)
            and "script" not in value
            and not value.keys().isdisjoint(("transfer", "databricks"))
        ):
            return {**value, "script": ""}
        return value

    @property
    def made(self) -> Mapping[str, OutputDefinition]:
        """What it writes, by name: of a transfer, its destination."""
        if self.transfer is None:
            return self.outputs
        place = self.transfer.destination
        path = None if place.table is not None else place.path
        datastore = None if place.table is not None else place.datastore
        output = OutputDefinition(
            datastore=datastore, path=path, tabular=place.tabular, pipeline_output=place.pipeline_output
        )
        return {"destination": output.model_copy(update={"register_as": place.register_as})}
