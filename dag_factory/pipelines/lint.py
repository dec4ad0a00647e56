"""Checks definitions, and says what is wrong with each as findings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_ml_pipelines.core.errors import DefinitionError, MlPipelinesError
from airflow_ml_pipelines.written.problems import Problem
from airflow_ml_pipelines.written.source import Finding

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import PipelineSpec
    from dag_factory.definitions.definition import PipelineDefinition
    from dag_factory.pipelines.lint_names import WorkspaceNames
    from dag_factory.pipelines.pipeline import Pipeline

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


def lint_files(files: Iterable[Path], names: WorkspaceNames | None = None) -> dict[Path, tuple[Finding, ...]]:
    """Return what is wrong with each file: a definition, a Python file with pipelines, a workspace file.

    :param names: looks up datastores, datasets, environments and compute targets; None to leave that.
    """
    linter = _Linter()
    found = {file: linter.lint(file) for file in files}
    if names is not None:
        found |= {file: linter.lint_names(file, names) for file in linter.sound}
    return found


class _Linter:
    """Checks files, and when all are known the names in them.

    :ivar sound: what those files have in which nothing is wrong so far.
    """

    def __init__(self) -> None:
        self.sound: dict[Path, PipelineDefinition | list[Pipeline]] = {}
        self._named: dict[str, Path] = {}
        self._made: set[str] = set()

    def lint(self, file: Path) -> tuple[Finding, ...]:
        """Return what is wrong with a file in itself, and with its pipeline's name."""
        with _findings(file) as found:
            if file.suffix == ".py":
                self._lint_python(file)
            elif file.name == "workspace.yaml":
                from airflow_ml_pipelines.workspace_file import load_workspace

                load_workspace(file)
            else:
                self._lint_definition(file)
        return tuple(found)

    def lint_names(self, file: Path, names: WorkspaceNames) -> tuple[Finding, ...]:
        """Return what is wrong with names in a file in which nothing else is wrong."""
        sound = self.sound[file]
        with _findings(file) as found:
            if isinstance(sound, list):
                errors = [text for pipeline in sound for text in names.find_errors(pipeline, self._made)]
                found += [_without_place(file, text) for text in errors]
            else:
                sound.refuse(names.find_problems(sound, self._made))
        return tuple(found)

    def _lint_python(self, file: Path) -> None:
        from dag_factory.pipelines.open import pipelines_in

        pipelines = list(pipelines_in(file).values())
        for pipeline in pipelines:
            self._add(pipeline.to_spec())
        self.sound[file] = pipelines

    def _lint_definition(self, file: Path) -> None:
        from dag_factory.definitions.definition import PipelineDefinition

        definition = PipelineDefinition.from_yaml(file)
        self._add(definition.to_spec())
        _check_name(definition, file, self._named)
        self.sound[file] = definition

    def _add(self, spec: PipelineSpec) -> None:
        outputs = (output for step in spec.steps for output in step.outputs)
        self._made |= {output.register.name for output in outputs if output.register is not None}


@contextmanager
def _findings(file: Path) -> Iterator[list[Finding]]:
    """Yield a list, to which is added what an error says that ends the block."""
    found: list[Finding] = []
    try:
        yield found
    except MlPipelinesError as error:
        placed = [item for item in error.findings if isinstance(item, Finding)]
        found += placed or [_without_place(file, str(error))]


def _check_name(definition: PipelineDefinition, file: Path, named: dict[str, Path]) -> None:
    other = named.setdefault(definition.name, file)
    if other != file:
        message = f"{other} has the name {definition.name!r} already: take another"
        definition.refuse([Problem(("name",), message)])


def _without_place(file: Path, text: str) -> Finding:
    return Finding(
        str(file), 1, 1, 1, text.removeprefix(f"{file}: ").removeprefix(f"{os.path.abspath(file)}: ")
    )
