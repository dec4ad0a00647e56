"""Azure Data Lake Analytics, which is no more: what is said of steps that were written for it."""

from __future__ import annotations

from typing import NoReturn

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.runs.folder import StepDocument
from airflow_ml_pipelines.core.spec import OutputSpec, StepSpec
from airflow_ml_pipelines.core.steps.decide import Go, StepContext
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec
from airflow_ml_pipelines.execution.targets.options import TargetOptions
from airflow_ml_pipelines.execution.targets.port import Log
from airflow_ml_pipelines.execution.targets.refusing import RefusingTarget
from airflow_ml_pipelines.execution.targets.registry import read_options

__all__ = ["AdlaKind", "AdlaOptions", "AdlaTarget", "equivalent"]

_GONE = "Azure Data Lake Analytics was retired on 29 February 2024, so nothing runs U-SQL any more"


class AdlaOptions(TargetOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was said of an account; it is kept."""

    resource_group: str | None = None
    account_name: str | None = None
    resource_id: str | None = None


class AdlaTarget(RefusingTarget):
    """An account of a service that is no more."""

    def __init__(self, spec: ComputeTargetSpec) -> None:
        self.name = spec.name
        self.options = read_options(spec, AdlaOptions)
        super().__init__(
            f"compute target {spec.name!r}: {_GONE}: give the step a compute target of type databricks or spark"
        )


class AdlaKind:
    """A step with a U-SQL script, which can't be run."""

    def __init__(self, context: StepContext) -> None:
        self._step = context.step
        self._type = context.workspace.compute_target(context.step.compute_target).type

    def take_over(self, began: StepDocument | None, go: Go, log: Log) -> None:
        """Return None: nothing was ever started."""

    def destination(self, spec: OutputSpec, attempt: int) -> NoReturn:  # noqa: ARG002
        """Refuse: nothing was made."""
        raise ComputeTargetException(f"step {self._step.name!r}: {_GONE}")

    def hand_over(self, go: Go, attempt: int, log: Log) -> NoReturn:  # noqa: ARG002
        """Refuse, and show the step that does the same with Spark.

        :raises ComputeTargetException: always.
        """
        step = self._step
        elsewhere = "" if self._type == "adla" else f", and no compute target of type {self._type!r} does"
        raise ComputeTargetException(
            f"step {step.name!r}: {_GONE}{elsewhere}. What {step.script} does can be written as a Spark script or notebook "
            f"with the same inputs and outputs:\n\n{equivalent(step)}"
        )


def equivalent(step: StepSpec) -> str:
    """Return the Python of a step that has the inputs and outputs of a U-SQL step, and runs a Spark script."""
    stem = step.script.rpartition(".")[0] or step.script
    lines = [f"DatabricksStep(\n    name={step.name!r},\n    python_script_name={f'{stem}.py'!r},"]
    lines.append(f"    source_directory={step.source_directory!r},")
    for field, ports in (("inputs", step.inputs), ("outputs", step.outputs)):
        if ports:
            lines.append(f"    {field}=[{', '.join(port.name for port in ports)}],")
    if step.parameters:
        words = [
            word
            for name, value in step.parameters.items()
            for word in (f"--{name}", getattr(value, "parameter", value))
        ]
        lines.append(f"    python_script_params={words!r},")
    lines.append("    num_workers=2,\n    compute_target=databricks,\n)")
    return "\n".join(lines)
