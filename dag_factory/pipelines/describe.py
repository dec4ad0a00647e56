"""Describes pipelines that were made in code as definitions: for YAML documents and for DAGs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.written.source import Source
from dag_factory._check import kind_of
from dag_factory.definitions.definition import PipelineDefinition
from dag_factory.definitions.write import document
from dag_factory.resolve.unresolve import document_of

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_ml_pipelines.core.spec import PipelineSpec
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace
    from dag_factory.pipelines.pipeline import Pipeline

__all__ = [
    "describe_pipeline",
    "extend_definition",
    "make_dag",
    "rebase_definition",
]


class _Code(Source):
    """The source of a definition that was made in code.

    :param base: what its source directories are relative to.
    """

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = Path(base)

    @property
    def folder(self) -> Path:
        return self._base


def describe_pipeline(
    spec: PipelineSpec,
    fields: Mapping[str, Any],
    settings: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> PipelineDefinition:
    """Return the definition of a pipeline.

    :param fields: further fields: ``schedule``, ``tags``, ``owner`` …; a ``timedelta`` may stand for a duration.
    :param settings: further fields of steps, by the steps' ids.
    :raises DefinitionError: where a field does not exist or can't have its value.
    """
    document = document_of(spec)
    for step, more in settings.items():
        document["steps"][step] |= more
    return PipelineDefinition.from_document(
        _with_fields(document, fields), source=_Code(spec.base_directory or ".")
    )


def extend_definition(definition: PipelineDefinition, fields: Mapping[str, Any]) -> PipelineDefinition:
    """Return a definition with further fields; see :func:`describe_pipeline`."""
    if not fields:
        return definition
    return PipelineDefinition.from_document(
        _with_fields(document(definition), fields), source=definition.source
    )


def _with_fields(document: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    taken = sorted(document.keys() & fields.keys())
    if taken:
        raise DefinitionError(f"{', '.join(taken)} is what the pipeline says itself: leave it out here")
    given = {
        name: value.total_seconds() if isinstance(value, timedelta) else value
        for name, value in fields.items()
    }
    return {**document, **given}


def rebase_definition(definition: PipelineDefinition, folder: Path) -> PipelineDefinition:
    """Return a definition whose source directories are relative to a folder, as far as they are on the same drive."""
    base = definition.source.folder or Path()

    def moved(source: str) -> str:
        place = os.path.abspath(os.path.join(base, source))
        with suppress(ValueError):  # on another drive
            place = os.path.relpath(place, folder)
        return Path(place).as_posix()

    steps = {
        name: step.model_copy(update={"source_directory": moved(step.source_directory)})
        if step.source_directory is not None
        else step
        for name, step in definition.steps.items()
    }
    common = moved(definition.source_directory or ".")
    return definition.model_copy(
        update={"steps": steps, "source_directory": common if common != "." else definition.source_directory}
    )


def make_dag(pipeline: Pipeline, dag_id: str | None, schedule: Any, fields: Mapping[str, Any]) -> DAG:
    """Return the DAG of a pipeline; see :meth:`dag_factory.Pipeline.to_dag`."""
    from dag_factory.dags.compile import build_dag

    if dag_id is not None and not isinstance(dag_id, str):
        raise TypeError(f"Pipeline.to_dag(dag_id=…): expected the DAG's id, found {kind_of(dag_id)}")
    if dag_id is None and pipeline.name is None:
        raise DefinitionError(
            "Pipeline.to_dag: a DAG needs an id: give to_dag(dag_id), or Pipeline(…, name=…)"
        )
    described, native = _schedule(schedule)
    definition = pipeline.to_definition(dag_id, **fields, **described)
    return build_dag(
        definition, workspace=_workspace_file(pipeline.workspace.core), dag_id=dag_id, schedule=native
    )


def _schedule(schedule: Any) -> tuple[dict[str, Any], Any]:
    """Return a schedule as a field of the definition, which checks it, or else as Airflow's own."""
    if schedule is None:
        return {}, None
    if isinstance(schedule, str | Mapping):
        return {"schedule": schedule}, None
    if isinstance(schedule, timedelta):
        return {"schedule": {"every": schedule.total_seconds()}}, None
    if isinstance(schedule, list | tuple) and schedule and all(isinstance(item, str) for item in schedule):
        return {"schedule": {"assets": list(schedule)}}, None
    return {}, schedule


def _workspace_file(workspace: Workspace) -> Path | None:
    """Return the file of a workspace, None where Airflow's configuration or environment leads to it anyway."""
    from airflow.configuration import conf

    named = conf.get("ml_pipelines", "workspace", fallback=None) or os.environ.get("ML_PIPELINES_WORKSPACE")
    if named and workspace.file is not None:
        from airflow_ml_pipelines.workspace_file import load_workspace

        if load_workspace(named).file == workspace.file:
            return None
    return workspace.file
