"""Finds the operator of each step, by what the workspace file says of its compute target."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.spec import PipelineSpec, StepSpec

if TYPE_CHECKING:
    from dag_factory.dags.spec_settings import SpecSettings
    from dag_factory.definitions.definition import PipelineDefinition

__all__ = ["Operators", "find_workspace"]

_OPERATORS = {
    "data_transfer": "airflow_ml_pipelines.operators.data_transfer:DataTransferOperator",
    "databricks": "airflow_ml_pipelines.operators.databricks:DatabricksOperator",
}
"""The operator of each kind of step that is not run by a compute target."""


class Operators:
    """The operator class of each step, by the kind of its compute target."""

    def __init__(self, definition: PipelineDefinition | SpecSettings, workspace: str | None) -> None:
        self._definition = definition
        self._workspace = workspace
        self._classes: dict[str, Any] = {}
        self._known: _Targets | None = None

    def pool(self, step: StepSpec) -> str | None:
        """Return the pool that keeps to what the step's compute target takes at once, None for no limit."""
        return self._targets.pools.get(step.compute_target)

    def of(self, step: StepSpec) -> Any:
        """Return the operator class of a step.

        :raises DefinitionError: where its compute target is of a kind that nothing runs.
        """
        if step.kind in _OPERATORS:
            module, _, name = _OPERATORS[step.kind].partition(":")
            return getattr(import_module(module), name)
        kind = self._kind(step.compute_target)
        if kind not in self._classes:
            self._classes[kind] = self._load(kind, step)
        return self._classes[kind]

    def _kind(self, target: str | None) -> str:
        """Return the kind of a compute target as far as the workspace file tells it; a run finds out the rest."""
        return self._targets.kinds.get(target, "local")

    @property
    def _targets(self) -> _Targets:
        if self._known is None:
            self._known = _read_targets(self._workspace)
        return self._known

    def _load(self, kind: str, step: StepSpec) -> Any:
        from airflow_ml_pipelines.execution.targets.registry import target_types

        if kind in target_types():
            from airflow_ml_pipelines.operators.python_script import PythonScriptOperator

            return PythonScriptOperator
        from importlib.metadata import entry_points

        known = {point.name: point for point in entry_points(group="airflow_ml_pipelines.operators")}
        if kind not in known:
            kinds = ", ".join(sorted({*target_types(), *known}))
            message = (
                f"compute target {step.compute_target or 'of the workspace'!r} is of kind {kind!r}, for which there is "
                f"no operator. There are: {kinds}"
            )
            from airflow_ml_pipelines.written.problems import Problem

            self._definition.refuse([Problem(("steps", step.id, "compute_target"), message)])
        return known[kind].load()


def find_workspace(given: str | os.PathLike[str] | None, spec: PipelineSpec) -> str | None:
    """Return the workspace that the tasks are told to open; None where they find it by themselves."""
    if given is not None:
        return str(Path(given).absolute())
    from airflow.configuration import conf

    if conf.get("ml_pipelines", "workspace", fallback=None) or os.environ.get("ML_PIPELINES_WORKSPACE"):
        return None
    from airflow_ml_pipelines.workspace_file import find_workspace_file

    found = find_workspace_file(spec.base_directory or ".")
    return str(found) if found else None


class _Targets(NamedTuple):
    """What the workspace file says of compute targets, by their names; None stands for its default.

    :param pools: the pool of each that takes a limited number of steps at once.
    """

    kinds: Mapping[str | None, str]
    pools: Mapping[str | None, str]


def _read_targets(workspace: str | None) -> _Targets:
    from airflow.configuration import conf

    from airflow_ml_pipelines.execution.targets.pools import pool_of
    from airflow_ml_pipelines.workspace_file import load_workspace

    try:
        opened = load_workspace(workspace or conf.get("ml_pipelines", "workspace", fallback=None) or None)
    except WorkspaceError:
        return _Targets({}, {})  # the plan of each run says what is wrong with it
    kinds: dict[str | None, str] = {}
    pools: dict[str | None, str] = {}
    for name, spec in opened.declared_compute_targets.items():
        pool = pool_of(opened.name, spec)
        for key in (name, None) if name == opened.default_compute_target else (name,):
            kinds[key] = spec.type
            if pool is not None:
                pools[key] = pool.name
    return _Targets(kinds, pools)
