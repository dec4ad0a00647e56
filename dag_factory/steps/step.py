"""Steps: scripts with what they read and write."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import check_name, checked, expect, kind_of, warn
from dag_factory.calls import Made
from dag_factory.steps.bind import BoundPorts, bind_ports
from dag_factory.steps.settings import check_duration, check_settings

if TYPE_CHECKING:
    from dag_factory.compute.environment import RunConfiguration
    from dag_factory.compute.target import ComputeTarget
    from dag_factory.ports.parameter import PipelineParameter

__all__ = ["PipelineStep", "PythonScriptStep", "check_paths", "check_runconfig", "check_step_target"]

_RUNCONFIG_PARAMETERS = (
    "NodeCount",
    "MpiProcessCountPerNode",
    "TensorflowWorkerCount",
    "TensorflowParameterServerCount",
)


class PipelineStep(Made):
    """What all steps have in common.

    :param name: what people call it.
    :param inputs: what it reads.
    :param outputs: what it writes.
    :param arguments: what its script is started with.
    """

    task_settings: Mapping[str, Any] = MappingProxyType({})
    """What its task in Airflow is given besides; fields of a step's definition."""

    params_are_variables: bool = True
    """Whether its ``params`` are variables of its script, as the pipeline's parameters are."""

    script_name: str = ""
    """Its script, relative to ``source_directory``; "" where it runs no file of it."""

    source_directory: str | None = None
    runconfig: RunConfiguration | None = None
    compute_target: Any = None

    def __init__(
        self,
        name: str,
        inputs: Sequence[Any] | None = None,
        outputs: Sequence[Any] | None = None,
        arguments: Sequence[Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.name: str = name
        self.inputs = _items(self._where("inputs"), inputs)
        self.outputs = _items(self._where("outputs"), outputs)
        self.arguments = _items(self._where("arguments"), arguments)
        self.params = _params(self._where("params"), params)
        self.predecessors: list[PipelineStep] = []
        self.ports: BoundPorts = bind_ports(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def _where(self, field: str = "") -> str:
        return f"{type(self).__name__}({self.name!r}{f', {field}=…' if field else ''})"

    def spec_fields(self) -> dict[str, Any]:
        """Return what of a step's spec is of its own kind."""
        raise NotImplementedError

    @property
    def compute_target_name(self) -> str | None:
        """The name of the compute target, None for the workspace's default."""
        target = self.compute_target
        if target is None and self.runconfig is not None:
            target = self.runconfig.target if self.runconfig.target != "local" else None
            check_step_target("RunConfiguration.target", target)
        if isinstance(target, tuple):
            target = target[0]
        name: str | None = target if target is None or isinstance(target, str) else target.name
        return name

    @checked
    def run_after(self, step: PipelineStep) -> None:
        """Let it run after another step that it reads nothing from; call it once for each such step.

        :raises DefinitionError: for the step itself.
        """
        expect(f"{self._where()}.run_after", step, PipelineStep, what="a step")
        if step is self:
            raise DefinitionError(f"{self._where()}.run_after: it can't run after itself")
        if step not in self.predecessors:
            self.predecessors.append(step)


class PythonScriptStep(PipelineStep):
    """A step that runs a Python script.

    :param script_name: the script, relative to ``source_directory``.
    :param name: what people call it; the script's name if left out.
    :param arguments: what the script is started with: text, numbers, truth values, pipeline parameters, and inputs
        and outputs, which become paths.
    :param compute_target: where it runs: a compute target or its name; that of ``runconfig`` if left out, else the
        workspace's default.
    :param runconfig: the environment, and the compute target where none is given.
    :param runconfig_pipeline_params: has no meaning here.
    :param inputs: what it reads: ``dataset.as_named_input(…)``, ``output.as_input()``, ``PipelineData``,
        ``DataReference``, ``(DataPath or PipelineParameter, DataPathComputeBinding)``.
    :param outputs: what it writes: ``OutputFileDatasetConfig``, ``PipelineData``.
    :param params: values that the script gets as variables ``AML_PARAMETER_<name>``.
    :param source_directory: the folder whose files are there when the script runs; the pipeline's
        ``default_source_directory`` if left out, else the current folder.
    :param allow_reuse: whether it takes the outputs of an earlier run with the same script, files, arguments, data
        and environment.
    :param version: your own word that the step does something else now.
    :param hash_paths: files or folders whose content matters besides that of ``source_directory``, absolute or
        relative to it.
    :param ignore: git patterns of files of ``source_directory`` that the step does not see, on top of its ignore
        file's.
    :param timeout: after how many seconds the script is ended (a ``timedelta`` or text such as ``1h30m`` too); that
        of ``runconfig`` if left out.
    :param description: for people.
    :param retries: how often Airflow tries the step again; what the pipeline says if left out, as those that follow.
    :param retry_delay: how long Airflow waits before it does; as ``timeout``.
    :param pool: the pool of the step's task in Airflow.
    :param queue: the queue of the step's task in Airflow.
    :param priority_weight: the weight of the step's task in Airflow.
    :param deferrable: whether the task gives its worker back while its job runs; what the compute target says
        if left out.
    :param target: another word for ``compute_target``.
    :raises TypeError: where something is of a type that it can't be.
    :raises DefinitionError: where inputs, outputs and arguments don't fit together.
    """

    @checked
    def __init__(
        self,
        script_name: str,
        name: str | None = None,
        arguments: Sequence[Any] | None = None,
        compute_target: ComputeTarget | str | tuple[str, str] | None = None,
        runconfig: RunConfiguration | None = None,
        runconfig_pipeline_params: Mapping[str, PipelineParameter] | None = None,
        inputs: Sequence[Any] | None = None,
        outputs: Sequence[Any] | None = None,
        params: Mapping[str, Any] | None = None,
        source_directory: str | os.PathLike[str] | None = None,
        allow_reuse: bool = True,
        version: str | None = None,
        hash_paths: Sequence[str] | None = None,
        *,
        ignore: Sequence[str] | None = None,
        timeout: float | str | timedelta | None = None,
        description: str | None = None,
        retries: int | None = None,
        retry_delay: float | str | timedelta | None = None,
        pool: str | None = None,
        queue: str | None = None,
        priority_weight: int | None = None,
        deferrable: bool | None = None,
        target: ComputeTarget | str | tuple[str, str] | None = None,
    ) -> None:
        where = "PythonScriptStep"
        expect(f"{where}(script_name=…)", script_name, str, what="the path of a script")
        self.script_name = script_name.replace("\\", "/").removeprefix("./")
        if not self.script_name or self.script_name.startswith("/") or ".." in self.script_name.split("/"):
            raise DefinitionError(
                f"{where}: script_name {script_name!r} is not a path in source_directory: "
                "give source_directory the folder, and script_name the path from there"
            )
        if name is not None:
            expect(f"{where}(name=…)", name, str, what="a name")
        self.source_directory = None if source_directory is None else os.fspath(source_directory)
        self.allow_reuse: bool = expect(f"{where}(allow_reuse=…)", allow_reuse, bool, what="True or False")
        self.version = None if version is None else str(version)
        self.hash_paths = tuple(check_paths(f"{where}(hash_paths=…)", hash_paths))
        self.ignore = tuple(check_paths(f"{where}(ignore=…)", ignore))
        self.runconfig = check_runconfig(f"{where}(runconfig=…)", runconfig)
        self.compute_target = _target(where, compute_target, target)
        self.timeout = check_duration(f"{where}(timeout=…)", timeout)
        self.task_settings = check_settings(
            where,
            description=description,
            retries=retries,
            retry_delay=retry_delay,
            pool=pool,
            queue=queue,
            priority_weight=priority_weight,
            deferrable=deferrable,
        )
        _check_runconfig_params(f"{where}(runconfig_pipeline_params=…)", runconfig_pipeline_params)
        super().__init__(name or self.script_name, inputs, outputs, arguments, params)

    def spec_fields(self) -> dict[str, Any]:
        """Return what of a step's spec is of this kind."""
        from airflow_ml_pipelines.core.spec import DEFAULT_ENVIRONMENT

        run = self.runconfig
        return {
            "script": self.script_name,
            "ignore": self.ignore,
            "hash_paths": self.hash_paths,
            "environment": run.environment_spec() if run else DEFAULT_ENVIRONMENT,
            "compute_target": self.compute_target_name,
            "allow_reuse": self.allow_reuse,
            "version": self.version,
            "timeout": self.timeout if self.timeout is not None else run.timeout() if run else None,
        }


def _items(where: str, items: Any) -> list[Any]:
    if items is None:
        return []
    if isinstance(items, str | Mapping) or not isinstance(items, Sequence):
        raise TypeError(f"{where}: expected a list, found {kind_of(items)}")
    return list(items)


def _params(where: str, params: Any) -> dict[str, Any]:
    if params is None:
        return {}
    from dag_factory.ports.parameter import PipelineParameter

    expect(where, params, Mapping, what="a dict of names to values")
    for name, value in params.items():
        check_name(where, name)
        if not isinstance(value, str | int | float | bool | PipelineParameter):
            raise TypeError(
                f"{where}[{name!r}]: expected text, a number, a truth value or a PipelineParameter, "
                f"found {kind_of(value)}"
            )
        if isinstance(value, PipelineParameter) and value.is_data:
            raise TypeError(f"{where}[{name!r}]: data is given in inputs, not in params")
    return dict(params)


def check_paths(where: str, paths: Any) -> list[str]:
    """Return paths as texts. :raises TypeError: where they are none."""
    found = []
    for path in _items(where, paths):
        expect(where, path, str, os.PathLike, what="a list of paths")
        found.append(os.fspath(path))
    return found


def check_runconfig(where: str, runconfig: Any) -> RunConfiguration | None:
    """Return a run configuration, None for none. :raises TypeError: where it is something else."""
    if runconfig is None:
        return None
    from dag_factory.compute.environment import RunConfiguration

    found: RunConfiguration = expect(where, runconfig, RunConfiguration, what="a RunConfiguration")
    return found


def _target(where: str, compute_target: Any, target: Any) -> Any:
    if target is not None:
        if compute_target is not None:
            raise TypeError(
                f"{where}: compute_target and target are the same thing: give compute_target alone"
            )
        warn(f"{where}: target= is taken as compute_target=")
        compute_target = target
    return check_step_target(f"{where}(compute_target=…)", compute_target)


def check_step_target(where: str, target: Any) -> Any:
    """Return what names a compute target. :raises TypeError: where it names none."""
    from dag_factory.compute.target import ComputeTarget

    pair = isinstance(target, tuple) and len(target) == 2 and all(isinstance(item, str) for item in target)
    if target is not None and not pair and not isinstance(target, str | ComputeTarget):
        raise TypeError(
            f"{where}: expected a compute target, its name, or (name, type); found {kind_of(target)}"
        )
    return target


def _check_runconfig_params(where: str, params: Any) -> None:
    if not params:
        return
    for name in expect(where, params, Mapping, what="a dict of names to parameters"):
        if name not in _RUNCONFIG_PARAMETERS:
            known = ", ".join(_RUNCONFIG_PARAMETERS)
            raise DefinitionError(
                f"{where}: {name!r} is no property that a parameter can set. There are: {known}."
            )
    warn(f"{where}: a step runs on one node here, so {', '.join(params)} has no effect")
