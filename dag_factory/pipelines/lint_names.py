"""Looks up the names that definitions have for things of their workspace, while they are checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import MlPipelinesError
from dag_factory.runs.names import names_in

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace
    from airflow_ml_pipelines.written.problems import Path, Problem
    from dag_factory.definitions.definition import PipelineDefinition
    from dag_factory.pipelines.pipeline import Pipeline

__all__ = ["WorkspaceNames"]

_FIELDS = {
    "datastore": "datastore_spec",
    "default_datastore": "datastore_spec",
    "compute_target": "compute_target",
    "default_compute_target": "compute_target",
}


class WorkspaceNames:
    """Looks up the names in definitions that are checked: each once, and no further than is needed.

    What a workspace's file has is found without a look at its root.

    :param path: the workspace file or its folder; None for that of each definition, as a run takes it.
    :ivar notes: what could not be looked up, and why.
    :raises WorkspaceError: where the workspace that was given is none.
    """

    def __init__(self, path: str | None = None) -> None:
        self.notes: list[str] = []
        self._given = None if path is None else _open(path)
        self._near: dict[object, Workspace | None] = {}
        self._reached: dict[int, bool] = {}
        self._complaints: dict[tuple[int, str, object], str] = {}

    def find_problems(self, definition: PipelineDefinition, made: Collection[str]) -> list[Problem]:
        """Return what is wrong with the names of a definition; nothing where there is no workspace.

        :param made: names of datasets that pipelines register.
        """
        from airflow_ml_pipelines.written.problems import Problem

        workspace = self._given or self._nearest(definition.source.folder)
        if workspace is None:
            return []
        written = _names_written(definition, (), definition.environments)
        found = ((path, self._complain(workspace, kind, name, made)) for kind, name, path in written)
        return [Problem(path, text) for path, text in found if text]

    def find_errors(self, pipeline: Pipeline, made: Collection[str]) -> list[str]:
        """Return what is wrong with the names of a pipeline of a Python file, each with its place."""
        workspace = self._given or pipeline.workspace.core
        named = names_in(pipeline.to_spec())
        found = ((place, self._complain(workspace, kind, name, made)) for kind, name, place in named)
        return list(dict.fromkeys(f"{place}: {text}" for place, text in found if text))

    def _nearest(self, folder: object) -> Workspace | None:
        if folder not in self._near:
            from airflow_ml_pipelines.workspace_file import find_workspace_file

            path = os.environ.get("ML_PIPELINES_WORKSPACE") or find_workspace_file(str(folder))
            try:
                self._near[folder] = None if path is None else _open(path)
            except MlPipelinesError as error:
                self._near[folder] = None
                self._note(f"names of things of the workspace are not looked up: {error}")
        return self._near[folder]

    def _complain(self, workspace: Workspace, kind: str, name: Any, made: Collection[str]) -> str:
        """Return what is wrong with a name; "" for nothing."""
        if kind == "dataset" and name[0] in made:
            return ""
        key = (id(workspace), kind, name)
        if key not in self._complaints:
            self._complaints[key] = self._look_up(workspace, kind, name)
        return self._complaints[key]

    def _look_up(self, workspace: Workspace, kind: str, name: Any) -> str:
        declared: dict[str, Mapping[str, object]] = {
            "datastore_spec": workspace.declared_datastores,
            "compute_target": workspace.declared_compute_targets,
            "environment": workspace.declared_environments,
        }
        plain = name[0] if isinstance(name, tuple) else name
        if plain not in declared.get(kind, ()) and not self._can_reach(workspace):
            return ""
        look_up: Callable[..., object] = getattr(workspace, kind)
        try:
            look_up(*name) if isinstance(name, tuple) else look_up(name)
        except MlPipelinesError as error:
            return str(error)
        return ""

    def _can_reach(self, workspace: Workspace) -> bool:
        """Return whether what code has registered can be looked up."""
        if id(workspace) not in self._reached:
            try:
                workspace.store.folders("compute")
                self._reached[id(workspace)] = True
            except MlPipelinesError as error:
                self._reached[id(workspace)] = False
                self._note(f"names that are not in {workspace.file} are not looked up: {error}")
        return self._reached[id(workspace)]

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _open(path: object) -> Workspace:
    from airflow_ml_pipelines.workspace_file import load_workspace

    return load_workspace(str(path))


def _names_written(value: Any, path: Path, environments: Collection[str]) -> Iterator[tuple[str, Any, Path]]:
    """Yield each name of something that a workspace has as :func:`names_in` does, with its place in a definition."""
    from dag_factory.models.data import DataDefinition
    from dag_factory.models.environment import EnvironmentDefinition
    from dag_factory.models.schedule import ScheduleDefinition

    if isinstance(value, ScheduleDefinition):
        return  # other pipelines may make its datasets later
    if isinstance(value, EnvironmentDefinition):
        if value.is_reference and (value.version is not None or value.name not in environments):
            yield "environment", (value.name, value.version), path
        return
    if isinstance(value, DataDefinition) and value.dataset is not None:
        yield "dataset", (value.dataset, value.version), (*path, "dataset")
    names = _FIELDS if not isinstance(value, Mapping) or _is_data(path) else {}
    for key, item in _items(value):
        if isinstance(item, str):
            if key in names:
                yield names[key], item, (*path, key)
        else:
            yield from _names_written(item, (*path, key), environments)


def _is_data(path: Path) -> bool:
    """Return whether a mapping at a place is data, and not one of names that people chose."""
    return path[-1:] == ("default",) or path[-2:-1] == ("paths",)


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the fields of a model that are written, the entries of a mapping, the items of a list."""
    if hasattr(value, "model_fields_set"):
        yield from (
            (field, getattr(value, field))
            for field in type(value).model_fields
            if field in value.model_fields_set
        )
    elif isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, tuple):
        yield from enumerate(value)
