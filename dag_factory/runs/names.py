"""Looks up the names that a pipeline has for things of its workspace, before a run begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError, MlPipelinesError

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import PipelineSpec, StepSpec
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["check_names", "names_in", "require_names"]


def require_names(workspace: Workspace, spec: PipelineSpec) -> None:
    """Raise one error that has everything which is wrong with a pipeline's names.

    :raises MlPipelinesError: where a datastore, compute target, environment or dataset does not exist.
    """
    problems = check_names(workspace, spec)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise DefinitionError("\n".join(str(problem) for problem in problems))


def check_names(workspace: Workspace, spec: PipelineSpec) -> list[MlPipelinesError]:
    """Return an error for each name of a pipeline that the workspace does not have; each name is looked up once."""
    found: list[MlPipelinesError] = []
    known: set[tuple[str, object]] = set()
    for kind, name, where in names_in(spec):
        if (kind, name) in known:
            continue
        known.add((kind, name))
        look_up: Callable[[Any], object] = getattr(workspace, kind)
        try:
            look_up(*name) if isinstance(name, tuple) else look_up(name)
        except MlPipelinesError as error:
            found.append(type(error)(f"{where}: {error}" if where else str(error)))
    return found


def names_in(spec: PipelineSpec) -> Iterator[tuple[str, Any, str]]:
    """Yield each name of something that a workspace has: the method that looks it up, the name, and where it stands."""
    if spec.default_datastore is not None:
        yield "datastore_spec", spec.default_datastore, "default_datastore"
    for step in spec.steps:
        yield from _step_names(step)


def _step_names(step: StepSpec) -> Iterator[tuple[str, Any, str]]:
    from airflow_ml_pipelines.core.spec import Data, RegisteredDataset

    where = f"step {step.name!r}"
    if step.compute_target is not None:
        yield "compute_target", step.compute_target, where
    if isinstance(step.environment, str):
        name, _, version = step.environment.partition(":")
        yield "environment", (name, version or None), where
    for item in step.inputs:
        place = f"{where}, input {item.name!r}"
        if isinstance(item.source, RegisteredDataset):
            yield "dataset", (item.source.dataset, item.source.version), place
        elif isinstance(item.source, Data):
            for location in item.source.locations:
                if location.datastore is not None:
                    yield "datastore_spec", location.datastore, place
    for output in step.outputs:
        if output.datastore is not None:
            yield "datastore_spec", output.datastore, f"{where}, output {output.name!r}"
