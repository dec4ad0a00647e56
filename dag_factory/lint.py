"""Checks definitions, and says what is wrong with each as findings."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_ml_pipelines.core.errors import DefinitionError, MlPipelinesError
from airflow_ml_pipelines.written.problems import Problem
from airflow_ml_pipelines.written.source import Finding

if TYPE_CHECKING:
    from dag_factory.definition import PipelineDefinition

__all__ = ["find_definitions", "lint_files"]


def find_definitions(paths: Iterable[str]) -> list[Path]:
    """Return the definitions that paths name: files as they are, of folders every ``*.pipeline.yaml`` below.

    :raises DefinitionError: where a path does not exist.
    """
    found: dict[Path, None] = {}
    for text in paths:
        path = Path(text)
        if path.is_dir():
            from airflow_ml_pipelines.definition_files import find_pipeline_files

            found |= dict.fromkeys(find_pipeline_files(path))
        elif path.is_file():
            found[path] = None
        else:
            raise DefinitionError(f"there is no {text} (in {Path.cwd()})")
    return list(found)


def lint_files(files: Iterable[Path]) -> dict[Path, tuple[Finding, ...]]:
    """Return what is wrong with each file: a definition, a Python file with pipelines, a workspace file."""
    named: dict[str, Path] = {}
    return {file: _lint(file, named) for file in files}


def _lint(file: Path, named: dict[str, Path]) -> tuple[Finding, ...]:
    """Return what is wrong with a file.

    :param named: the files so far by the names of their pipelines; this one is added.
    """
    try:
        if file.suffix == ".py":
            from dag_factory.target import pipelines_in

            for pipeline in pipelines_in(file).values():
                pipeline.to_spec()
        elif file.name == "workspace.yaml":
            from airflow_ml_pipelines.workspace_file import load_workspace

            load_workspace(file)
        else:
            _lint_definition(file, named)
    except MlPipelinesError as error:
        findings = tuple(item for item in error.findings if isinstance(item, Finding))
        return findings or (_without_place(file, str(error)),)
    return ()


def _lint_definition(file: Path, named: dict[str, Path]) -> None:
    from dag_factory.definition import PipelineDefinition

    definition = PipelineDefinition.from_yaml(file)
    definition.to_spec()
    _check_name(definition, file, named)


def _check_name(definition: PipelineDefinition, file: Path, named: dict[str, Path]) -> None:
    other = named.setdefault(definition.name, file)
    if other != file:
        message = f"{other} has the name {definition.name!r} already: take another"
        definition.refuse([Problem(("name",), message)])


def _without_place(file: Path, text: str) -> Finding:
    return Finding(
        str(file), 1, 1, 1, text.removeprefix(f"{file}: ").removeprefix(f"{os.path.abspath(file)}: ")
    )
