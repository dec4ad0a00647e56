"""Runs one step: a Python script with inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from airflow_ml_pipelines._airflow import has_secret
from airflow_ml_pipelines.core.spec import (
    DEFAULT_ENVIRONMENT,
    EnvironmentSpec,
    OutputSpec,
    PipelineSpec,
    StepSpec,
)
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.operators.step import StepOperator
from airflow_ml_pipelines.operators.step_arguments import (
    GivenArguments,
    InputSource,
    check_arguments,
    check_told,
    make_arguments,
    make_inputs,
    make_outputs,
    refuse_secrets,
)

__all__ = ["PythonScriptOperator"]


class PythonScriptOperator(StepOperator):
    """Runs a Python script as a step, unless an earlier run made the same from the same.

    It is told what to run in one of two ways. In a DAG that a :class:`~airflow_ml_pipelines.operators.plan.PlanOperator`
    plans: by ``pipeline`` and ``step``. In any other DAG: by ``script_name`` and what follows it; the task then takes
    the snapshot and decides by itself, and ends well, saying so, where an earlier result is reused::

        prepare = PythonScriptOperator(task_id="prepare", script_name="prepare.py", source_directory="prepare",
                                       arguments=["--out", OutputPath(output="data")], outputs=["data"])
        train = PythonScriptOperator(task_id="train", script_name="train.py", source_directory="train",
                                     arguments=["--data", InputPath(input="data"), "--depth", "{{ params.depth }}"],
                                     inputs={"data": prepare.output_of("data")}, outputs=["model"])

    Clearing a task whose step has ended well makes the step run. Killing the task kills the script and all that it
    started. What the script prints goes to the task's log.

    :param pipeline: the pipeline that the run's plan is of, or its name.
    :param step: the step; its id is enough where the run has a plan. Nothing of it is a template.
    :param script_name: relative to ``source_directory``.
    :param name: what people call the step; None for the task's id.
    :param source_directory: what the snapshot is taken of, relative to the DAG file's folder.
    :param arguments: of the script: texts, places of inputs and outputs
        (:class:`~airflow_ml_pipelines.core.spec.InputPath`, :class:`~airflow_ml_pipelines.core.spec.OutputPath`), or
        tuples of these that make up one argument. Texts are templates.
    :param script_parameters: values that the script finds as ``AML_PARAMETER_<name>``. Texts are templates.
    :param inputs: the data of each input: an output of another such operator (:meth:`output_of`), data or a registered
        dataset (:mod:`airflow_ml_pipelines.core.spec`), a URL, or an ``InputSpec`` where more is to be said.
    :param outputs: names, or ``OutputSpec`` where more is to be said.
    :param environment: what the script needs around it, or the name of a registered environment; None for the
        interpreter of the worker.
    :param environment_variables: set for the script, and kept nowhere. Texts are templates; ``env:NAME`` stands for the
        value of a variable of the worker, which is how secrets are given.
    :param compute_target: None for the workspace's default.
    :param allow_reuse: False: always run.
    :param version: a change of it makes the step run.
    :param hash_paths: files and folders that matter besides the snapshot.
    :param ignore: git patterns of files to leave out of the snapshot.
    :param script_timeout: seconds after which the script is killed.
    :param workspace: the workspace's file or folder; None for the one that ``[ml_pipelines] workspace`` or the
        environment names.
    :param deferrable: True: wait in the triggerer while the job runs, where the compute target lets it go on alone, and
        while another run is making the result; False: do both in the worker; None: the first as the compute target says,
        the second in the triggerer.
    :param poll_interval: seconds between two looks for another run's result.
    :param kwargs: of every operator.
    """

    template_fields: Sequence[str] = (
        "arguments",
        "script_parameters",
        "environment_variables",
        "definition_digest",
    )
    ui_color = "#cfe2f3"

    def __init__(
        self,
        *,
        pipeline: PipelineSpec | str | None = None,
        step: StepSpec | str | None = None,
        script_name: str | None = None,
        name: str | None = None,
        source_directory: str | Path = ".",
        arguments: GivenArguments = (),
        script_parameters: Mapping[str, str | int | float | bool] | None = None,
        inputs: Mapping[str, InputSource] | None = None,
        outputs: Sequence[str | OutputSpec] = (),
        environment: EnvironmentSpec | str | None = None,
        environment_variables: Mapping[str, str] | None = None,
        compute_target: str | None = None,
        allow_reuse: bool = True,
        version: str | None = None,
        hash_paths: Sequence[str] = (),
        ignore: Sequence[str] = (),
        script_timeout: timedelta | float | None = None,
        workspace: str | None = None,
        deferrable: bool | None = None,
        poll_interval: float = 5,
        **kwargs: Any,
    ) -> None:
        check_told(kwargs.get("task_id"), step, "script_name", script_name is not None)
        super().__init__(
            pipeline=pipeline,
            step=step,
            workspace=workspace,
            deferrable=deferrable,
            poll_interval=poll_interval,
            **kwargs,
        )
        self.arguments = check_arguments(arguments, self.task_id)
        self.script_parameters = dict(script_parameters or {})
        self.environment_variables = dict(environment_variables or {})
        if script_name is None:
            return
        timeout = script_timeout.total_seconds() if isinstance(script_timeout, timedelta) else script_timeout
        self._define(
            StepSpec(
                id=self.task_id,
                name=name or self.task_id,
                script=script_name,
                source_directory=str(source_directory),
                ignore=tuple(ignore),
                hash_paths=tuple(hash_paths),
                inputs=make_inputs(inputs or {}),
                outputs=make_outputs(outputs),
                environment=DEFAULT_ENVIRONMENT if environment is None else environment,
                compute_target=compute_target,
                allow_reuse=allow_reuse,
                version=version,
                timeout=timeout,
            ),
            self.arguments,
            self.script_parameters,
            self.environment_variables,
            inputs=inputs,
        )

    def _filled_in(self, workspace: Workspace, map_index: int | None) -> StepSpec:
        assert self._spec is not None
        environment = self._spec.environment
        if isinstance(environment, str):
            environment = workspace.environment(environment)
        refuse_secrets(
            self.task_id,
            self.arguments,
            self.script_parameters,
            called="script parameter",
            instead="give it by environment_variables, whose values are kept nowhere",
        )
        variables = {name: str(value) for name, value in self.environment_variables.items()}
        mapped = map_index is not None and map_index >= 0
        return msgspec.structs.replace(
            self._spec,
            id=f"{self.step}-{map_index}" if mapped else self.step,
            arguments=(*self._spec.arguments, *make_arguments(self.arguments, self._spec)),
            parameters={**self._spec.parameters, **self.script_parameters},
            environment=msgspec.structs.replace(
                environment, variables={**environment.variables, **variables}
            ),
        )

    def _secrets(self) -> tuple[str, ...]:
        return tuple(name for name, value in self.environment_variables.items() if has_secret(str(value)))
