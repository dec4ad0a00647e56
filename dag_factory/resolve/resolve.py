"""Turns a definition into a spec: resolves its names and finds everything that is wrong with it as a whole."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from airflow_ml_pipelines.core.errors import did_you_mean
from airflow_ml_pipelines.core.spec import (
    DEFAULT_ENVIRONMENT,
    PLAN_TASK,
    OutputSpec,
    ParameterSpec,
    ParameterValue,
    PipelineSpec,
    StepSpec,
    spark_input,
    spark_output,
)
from airflow_ml_pipelines.written.problems import Path, Problem, show_name
from dag_factory.resolve.bindings import Binding, BindingError, parse
from dag_factory.resolve.data import resolve_data
from dag_factory.resolve.environment import resolve_environment
from dag_factory.resolve.kinds import kind_path, resolve_kind
from dag_factory.resolve.order import sort_steps
from dag_factory.resolve.parameter import resolve_parameter
from dag_factory.resolve.ports import Ports
from dag_factory.resolve.schedule import check_schedule
from dag_factory.resolve.transfer import resolve_transfer

if TYPE_CHECKING:
    from dag_factory.models.pipeline import PipelineModel
    from dag_factory.models.step import StepDefinition

__all__ = ["find_resolve_problems", "resolve"]

_LONGEST = 200
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_PIPELINE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_PLACEHOLDERS = ("run-id", "output-name")


def resolve(
    definition: PipelineModel, base_directory: str | os.PathLike[str] | None, *, check_files: bool = True
) -> PipelineSpec:
    """Return the pipeline with every name resolved.

    :raises DefinitionError: that names everything that is wrong.
    """
    resolver = _Resolver(definition, base_directory, check_files=check_files)
    spec = resolver.pipeline()
    definition.refuse(resolver.problems)
    return spec


def find_resolve_problems(
    definition: PipelineModel, base_directory: str | os.PathLike[str] | None
) -> list[Problem]:
    """Return everything that is wrong with the definition in a file as a whole."""
    resolver = _Resolver(definition, base_directory, in_file=True)
    resolver.pipeline()
    return resolver.problems


class _Resolver:
    def __init__(
        self,
        definition: PipelineModel,
        base_directory: str | os.PathLike[str] | None,
        *,
        check_files: bool = True,
        in_file: bool = False,
    ) -> None:
        self.definition = definition
        self.base = FilePath(base_directory or definition.source.folder or ".").absolute()
        self.check_files = check_files
        self.is_in_file = in_file or definition.source.file is not None
        self.problems: list[Problem] = []
        self.parameters: Mapping[str, ParameterSpec] = {}

    def pipeline(self) -> PipelineSpec:
        definition = self.definition
        self._check_names()
        self.parameters = {
            name: resolve_parameter(name, entry, ("parameters", name), definition, self.problems)
            for name, entry in definition.parameters.items()
        }
        for name, entry in definition.data.items():
            resolve_data(entry, ("data", name), definition, self.problems)
        for name, environment in definition.environments.items():
            resolve_environment(environment, ("environments", name), definition, self.problems, name=name)
        check_schedule(definition, self.parameters, self.problems)
        steps = [self._step(step_id, entry) for step_id, entry in definition.steps.items()]
        if not steps:
            self.problems.append(Problem(("steps",), "expected at least one step", at_key=True))
        self._check_destinations(steps)
        return PipelineSpec(
            name=definition.name,
            description=definition.description,
            parameters=tuple(self.parameters.values()),
            default_datastore=definition.default_datastore,
            continue_on_step_failure=definition.continue_on_step_failure,
            base_directory=str(self.base),
            steps=sort_steps(steps, self.problems),
        )

    # --- names ----------------------------------------------------------------------------------------------------

    def _check_names(self) -> None:
        definition = self.definition
        self._check_name(_PIPELINE, definition.name, ("name",), "letters, digits, `_`, `-` and `.`")
        for kind in ("steps", "parameters"):
            for name in getattr(definition, kind):
                self._check_name(_ID, name, (kind, name), "letters, digits, `_` and `-`")
        if PLAN_TASK in definition.steps:
            self.problems.append(
                Problem(
                    ("steps", PLAN_TASK),
                    f"{PLAN_TASK!r} is the task that plans every run: call the step otherwise",
                    at_key=True,
                )
            )
        for step_id, step in definition.steps.items():
            for kind in ("inputs", "outputs"):
                for name in getattr(step, kind):
                    path = ("steps", step_id, kind, name)
                    self._check_name(_VARIABLE, name, path, "letters, digits and `_`, no digit first")
            for name in step.parameters if step.databricks is None else ():
                path = ("steps", step_id, "parameters", name)
                self._check_name(_VARIABLE, name, path, "letters, digits and `_`, no digit first")
            for name in sorted(step.inputs.keys() & step.outputs.keys()):
                self.problems.append(
                    Problem(
                        ("steps", step_id, "outputs", name),
                        f"{name!r} is an input of this step too",
                        at_key=True,
                    )
                )

        self._check_loose_names()

    def _check_loose_names(self) -> None:
        definition = self.definition
        for name in definition.data:
            if not name or "://" in name or "${{" in name or len(name) > _LONGEST:
                message = f"{show_name(name)} can't be the name of data: use words, and no URL or binding"
                self.problems.append(Problem(("data", name), message, at_key=True))
        for name in definition.environments:
            if not name or ":" in name or len(name) > _LONGEST:
                message = f"{show_name(name)} can't be the name of an environment: use words, without `:`"
                self.problems.append(Problem(("environments", name), message, at_key=True))

    def _check_name(self, pattern: re.Pattern[str], name: str, path: Path, allowed: str) -> None:
        if not pattern.fullmatch(name) or len(name) > _LONGEST:
            message = f"{show_name(name)} can't be a name here: use up to {_LONGEST} {allowed}"
            self.problems.append(Problem(path, message, at_key=path != ("name",)))

    # --- steps ----------------------------------------------------------------------------------------------------

    def _step(self, step_id: str, entry: StepDefinition) -> StepSpec:
        definition = self.definition
        path = ("steps", step_id)
        ports = Ports(step_id, entry, definition, self.parameters, self.problems)
        self._check_after(path, entry)
        if entry.transfer is not None:
            return resolve_transfer(step_id, entry, ports, definition, self.problems)
        source_directory = entry.source_directory or definition.source_directory or "."
        on_spark = entry.databricks is not None
        kind = resolve_kind(entry, path, self.problems)
        script = kind.get("script", entry.script)
        if script or not on_spark:
            self._check_script(kind_path(path, entry), script, entry, source_directory)
        ports.add_declared()
        arguments = tuple(
            ports.read_argument(text, (*path, "arguments", index))
            for index, text in enumerate(entry.arguments)
        )
        environment = None if on_spark else entry.environment or definition.default_environment
        where: Path = (*path, "environment") if entry.environment else ("default_environment",)
        return StepSpec(
            id=step_id,
            name=entry.name or step_id,
            **{"script": entry.script, **kind},
            source_directory=source_directory,
            ignore=entry.ignore,
            hash_paths=entry.hash_paths,
            arguments=arguments,
            parameters={
                name: self._step_parameter(value, (*path, "parameters", name))
                for name, value in entry.parameters.items()
            },
            inputs=tuple(map(spark_input, ports.inputs.values()) if on_spark else ports.inputs.values()),
            outputs=tuple(map(spark_output, ports.outputs.values()) if on_spark else ports.outputs.values()),
            environment=resolve_environment(environment, where, definition, self.problems)
            if environment
            else DEFAULT_ENVIRONMENT,
            compute_target=entry.compute_target or definition.default_compute_target,
            allow_reuse=entry.allow_reuse,
            version=entry.version,
            after=tuple(dict.fromkeys(other for other in entry.after if other in definition.steps)),
            timeout=entry.timeout,
        )

    def _check_after(self, path: Path, entry: StepDefinition) -> None:
        steps = self.definition.steps
        for index, other in enumerate(entry.after):
            if other not in steps:
                message = f"there is no step {other!r}.{did_you_mean(other, steps)}"
                self.problems.append(Problem((*path, "after", index), message))

    def _check_script(self, at: Path, script: str, entry: StepDefinition, source_directory: str) -> None:
        path = at[:2]
        if not script or script.startswith("/") or ".." in script.split("/") or "\\" in script:
            self.problems.append(
                Problem(
                    at,
                    f"expected a path inside of the source directory, with `/`, found {script!r}",
                )
            )
            return
        if not self.check_files:
            return
        folder = self.base / source_directory
        where = repr(source_directory) if self.is_in_file else str(folder)
        if not os.path.isdir(folder):
            place: Path = (*path, "source_directory") if entry.source_directory else ("source_directory",)
            self.problems.append(Problem(place, f"there is no folder {where}"))
        elif not os.path.isfile(folder / script):
            ending = os.path.splitext(script)[1] or ".py"
            names = [name for name in os.listdir(folder) if name.endswith(ending)]
            hint = did_you_mean(script, names) if names else ""
            message = f"there is no file {script!r} in the source directory {where}.{hint}"
            self.problems.append(Problem(at, message.removesuffix(".") if not hint else message))

    def _step_parameter(self, value: str | float | bool, path: Path) -> ParameterValue | str | float | bool:
        if not isinstance(value, str):
            return value
        if "\0" in value:
            self.problems.append(Problem(path, "a value can't have a zero byte in it"))
        try:
            segments = parse(value)
        except BindingError as error:
            self.problems.append(Problem(path, str(error), offset=error.position))
            return value
        bindings = [item for item in segments if isinstance(item, Binding)]
        if not bindings:
            return "".join(str(item) for item in segments)
        binding = bindings[0]
        if len(segments) > 1 or binding.kind != "parameters":
            message = f"expected text, or one binding to a parameter and nothing else, found {value!r}"
            self.problems.append(Problem(path, message))
        elif binding.name not in self.parameters:
            hint = did_you_mean(binding.name, self.parameters)
            self.problems.append(Problem(path, f"there is no parameter {binding.name!r}.{hint}"))
        elif self.parameters[binding.name].type == "data":
            self.problems.append(Problem(path, f"parameter {binding.name!r} is data: read it as an input"))
        return ParameterValue(parameter=binding.name)

    # --- destinations ---------------------------------------------------------------------------------------------

    def _check_destinations(self, steps: list[StepSpec]) -> None:
        """Find outputs of which one would lie at or in the place of another."""
        taken: dict[tuple[str | None, str], tuple[str, OutputSpec]] = {}
        for step in steps:
            for output in step.outputs:
                if output.path is None:
                    continue
                path = ("steps", step.id, "outputs", output.name, "path")
                for name in _PLACEHOLDER.findall(output.path):
                    if name not in _PLACEHOLDERS:
                        hint = did_you_mean(name, _PLACEHOLDERS)
                        self.problems.append(Problem(path, f"nothing fills in {{{name}}}.{hint}"))
                place = output.path.replace("{output-name}", output.name).replace(
                    "{run-id}", f"{{{step.id}}}"
                )
                place = posixpath.normpath(place).strip("/")
                if ".." in place.split("/"):
                    self.problems.append(Problem(path, f"{output.path!r} leaves the datastore"))
                store = output.datastore or self.definition.default_datastore
                for (other_store, other_place), (other_step, other) in taken.items():
                    if store == other_store and (
                        place == other_place
                        or place.startswith(f"{other_place}/")
                        or other_place.startswith(f"{place}/")
                    ):
                        self.problems.append(
                            Problem(
                                path,
                                f"output {other.name!r} of step {other_step!r} is written there too ({other.path!r}): "
                                "give each a place of its own, or {run-id} in the path",
                            )
                        )
                taken[store, place] = (step.id, output)
