"""How the steps of each kind are run: a script by a compute target, a transfer by this process."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

from airflow_ml_pipelines.core.runs.folder import StepDocument
from airflow_ml_pipelines.core.spec import OutputSpec
from airflow_ml_pipelines.core.steps.decide import Go, StepContext
from airflow_ml_pipelines.execution.handover import HandedOver, TakenOver
from airflow_ml_pipelines.execution.targets.port import Log

__all__ = ["Kind", "open_kind"]

_KINDS = {
    "adla": "airflow_ml_pipelines.execution.adla:AdlaKind",
    "data_transfer": "airflow_ml_pipelines.execution.transfer:TransferKind",
    "databricks": "airflow_ml_pipelines.execution.databricks_step:DatabricksKind",
    "python_script": "airflow_ml_pipelines.execution.handover:ScriptKind",
}


class Kind(Protocol):
    """A step of one kind that is to be run."""

    def take_over(self, began: StepDocument | None, go: Go, log: Log) -> TakenOver | None:
        """Return what a process that was lost has started for the step; None where there is nothing.

        :param began: the attempt that somebody began and nobody ended, if there is one.
        """

    def hand_over(self, go: Go, attempt: int, log: Log) -> HandedOver:
        """Start an attempt. :raises MlPipelinesError: where it can't be started; nothing of it is left then."""

    def destination(self, spec: OutputSpec, attempt: int) -> tuple[str, str]:
        """Return the datastore and the path at which an output lies after an attempt has ended well."""


def open_kind(context: StepContext) -> Kind:
    """Return what runs a step."""
    module, _, name = _KINDS[context.step.kind].partition(":")
    kind: Kind = getattr(import_module(module), name)(context)
    return kind
