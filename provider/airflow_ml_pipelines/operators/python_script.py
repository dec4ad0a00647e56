"""Runs one step: a Python script with inputs and outputs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from airflow_ml_pipelines._airflow import AirflowException, AirflowFailException, BaseOperator, has_secret
from airflow_ml_pipelines._tasks import (
    TOLD,
    dataset_asset,
    describe_step,
    forced_reason,
    log_outcome,
    open_planned_step,
    open_workspace,
    plain_errors,
    prepare_step,
    reused_from_url,
    stop_after_failure,
    with_archive,
    workspace_path,
    write_place,
)
from airflow_ml_pipelines.core.decide import Go, Hit, StepContext, Wait, decide
from airflow_ml_pipelines.core.documents import write_document
from airflow_ml_pipelines.core.errors import DefinitionError, StepCanceledError, did_you_mean
from airflow_ml_pipelines.core.register import register_outputs
from airflow_ml_pipelines.core.runs import RunDocument, RunFolder, StepDocument
from airflow_ml_pipelines.core.spec import (
    DEFAULT_ENVIRONMENT,
    EnvironmentSpec,
    InputPath,
    OutputPath,
    OutputSpec,
    PipelineSpec,
    StepSpec,
)
from airflow_ml_pipelines.core.workspace import Workspace
from airflow_ml_pipelines.links import ReusedFromLink
from airflow_ml_pipelines.operators.step_arguments import (
    InputSource,
    OutputReference,
    digest_step,
    make_arguments,
    make_inputs,
    make_outputs,
)
from airflow_ml_pipelines.triggers.reuse import ReuseTrigger

__all__ = ["PythonScriptOperator"]


class PythonScriptOperator(BaseOperator):  # type: ignore[misc]
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
    :param deferrable: wait in the triggerer where another run is making the result; else in the worker.
    :param poll_interval: seconds between two looks for such a result.
    :param kwargs: of every operator.
    """

    template_fields: Sequence[str] = (
        "arguments",
        "script_parameters",
        "environment_variables",
        "definition_digest",
    )
    operator_extra_links = (ReusedFromLink(),)
    ui_color = "#cfe2f3"

    def __init__(
        self,
        *,
        pipeline: PipelineSpec | str | None = None,
        step: StepSpec | str | None = None,
        script_name: str | None = None,
        name: str | None = None,
        source_directory: str | Path = ".",
        arguments: Sequence[str | InputPath | OutputPath | Sequence[str | InputPath | OutputPath]] = (),
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
        deferrable: bool = True,
        poll_interval: float = 5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (step is None) == (script_name is None):
            raise DefinitionError(
                f"task {self.task_id!r}: give either step (with pipeline, where a PlanOperator comes before) "
                "or script_name"
            )
        if isinstance(step, str) and pipeline is None:
            raise DefinitionError(f"task {self.task_id!r}: step {step!r} is an id, so pipeline is needed too")
        if isinstance(arguments, str):
            raise DefinitionError(
                f"task {self.task_id!r}: arguments: expected a list, one item an argument, "
                f"found the text {arguments!r}"
            )
        self.pipeline = pipeline.name if isinstance(pipeline, PipelineSpec) else pipeline
        self.arguments = list(arguments)
        self.script_parameters = dict(script_parameters or {})
        self.environment_variables = dict(environment_variables or {})
        self.workspace = workspace
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.reused_from_url = ""
        self._kill_reason: str | None = None
        if isinstance(step, str) and isinstance(pipeline, PipelineSpec):
            step = pipeline.step(step)
        if script_name is not None:
            timeout = (
                script_timeout.total_seconds() if isinstance(script_timeout, timedelta) else script_timeout
            )
            step = StepSpec(
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
            )
        assert step is not None
        self.step = step.id if isinstance(step, StepSpec) else step
        self._spec = step if isinstance(step, StepSpec) else None
        self.definition_digest = ""
        if self._spec is not None:
            self.definition_digest = digest_step(
                self._spec, self.arguments, self.script_parameters, self.environment_variables
            )
            self.outlets.extend(
                dataset_asset(item.register.name) for item in self._spec.outputs if item.register
            )
        for source in (inputs or {}).values():
            if isinstance(source, OutputReference):
                self.set_upstream(source.operator)

    def output_of(self, name: str) -> OutputReference:
        """Return an output of this step, to be given to another one as an input.

        :raises DefinitionError: where there is no such output.
        """
        if self._spec is not None and name not in (known := [item.name for item in self._spec.outputs]):
            raise DefinitionError(f"task {self.task_id!r} has no output {name!r}.{did_you_mean(name, known)}")
        return OutputReference(self, self.step, name)

    def execute(self, context: Any) -> dict[str, Any]:
        """Take an earlier result or run the script."""
        with plain_errors(self.log):
            workspace = open_workspace(self.workspace)
            step = self._open(workspace, context)
            stop_after_failure(step.folder, step.step.id, goes_on=step.run.continue_on_step_failure)
            forced = forced_reason(step.folder, step.step.id)
            while isinstance(outcome := decide(step, forced=forced), Wait):
                log_outcome(self.log, step, outcome)
                self._wait(workspace, outcome)
                step = step.again()
            log_outcome(self.log, step, outcome)
            if isinstance(outcome, Hit):
                document = outcome.document
                self.reused_from_url = reused_from_url(workspace, document.reused_from)
            else:
                document = self._run(with_archive(step), outcome, context)
            self._emit(context, step, document)
            return describe_step(workspace, document)

    def resume(self, context: Any, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Decide again, after what was waited for has happened."""
        self.log.info("Looking again: %s.", TOLD.get((event or {}).get("status", ""), "the wait is over"))
        return self.execute(context)

    def on_kill(self) -> None:
        """Kill the script: Airflow leaves five seconds until it kills this task."""
        self._kill_reason = "the task was killed"

    def _open(self, workspace: Workspace, context: Any) -> StepContext:
        from airflow_ml_pipelines.core.git import git_facts

        ti = context["ti"]
        if self.pipeline is not None:
            return open_planned_step(
                workspace, RunFolder(workspace.store, self.pipeline, ti.run_id), self.step
            )
        assert self._spec is not None
        dag = context["dag"]
        spec = PipelineSpec(name=dag.dag_id, steps=(self._spec,), base_directory=os.path.dirname(dag.fileloc))
        run = RunDocument(
            pipeline=dag.dag_id,
            run=ti.run_id,
            experiment=dag.dag_id,
            regenerate_outputs=context["params"].get("regenerate_outputs") is True,
            continue_on_step_failure=True,  # what a failure means is the hand-written DAG's business
            git=git_facts(spec.base_directory),
            spec=spec,
            digest=spec.digest,
            started=time.time(),
        )
        folder = RunFolder(workspace.store, run.pipeline, run.run)
        # written as it is defined: templates may be filled in with secrets
        if workspace.store.create(f"{folder.path}/run.json", write_document(run)):
            write_place(folder, dag.dag_id, run.run, {})
        step = self._filled_in(workspace, ti.map_index)
        run = msgspec.structs.replace(run, spec=msgspec.structs.replace(spec, steps=(step,)))
        secrets = tuple(name for name, value in self.environment_variables.items() if has_secret(str(value)))
        plan = prepare_step(workspace, run, step)
        return StepContext(workspace, folder, run, step, plan, secrets=secrets)

    def _filled_in(self, workspace: Workspace, map_index: int | None) -> StepSpec:
        assert self._spec is not None
        environment = self._spec.environment
        if isinstance(environment, str):
            environment = workspace.environment(environment)
        self._refuse_secrets()
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

    def _refuse_secrets(self) -> None:
        """Refuse what would be kept with the run, and has a secret in it. :raises DefinitionError: that names it."""
        texts = [
            (f"argument {place}", part)
            for place, argument in enumerate(self.arguments, 1)
            for part in (argument if isinstance(argument, tuple | list) else (argument,))
        ]
        texts += [(f"script parameter {name!r}", value) for name, value in self.script_parameters.items()]
        for what, text in texts:
            if isinstance(text, str) and has_secret(text):
                raise DefinitionError(
                    f"task {self.task_id!r}: {what} has a secret in it, which would be kept with the run: give it by "
                    "environment_variables, whose values are kept nowhere"
                )

    def _run(self, step: StepContext, go: Go, context: Any) -> StepDocument:
        from airflow_ml_pipelines.execution.step import run_step

        ti = context["ti"]
        try:
            return run_step(
                step,
                go,
                log=self.log.info,
                on_line=lambda _stream, line: self.log.info("%s", line),
                canceled=lambda: self._kill_reason,
                last_try=ti.try_number > ti.max_tries,
            )
        except StepCanceledError as error:
            self.log.error("%s", error)  # noqa: TRY400 - it is no fault that a traceback could explain
            # a killed task may be tried again, elsewhere; one of a run that has failed may not
            kind = AirflowException if self._kill_reason else AirflowFailException
            raise kind(str(error)) from None

    def _wait(self, workspace: Workspace, outcome: Wait) -> None:
        if self.deferrable:
            path = workspace_path(workspace, self.workspace)
            trigger = ReuseTrigger(key=outcome.key, workspace=path, poll_interval=self.poll_interval)
            self.defer(trigger=trigger, method_name="resume")
        until = time.monotonic() + self.poll_interval
        while time.monotonic() < until:
            if self._kill_reason:
                raise StepCanceledError(f"step {self.step!r} was canceled: {self._kill_reason}")
            time.sleep(0.2)

    def _emit(self, context: Any, step: StepContext, document: StepDocument) -> None:
        """Say in the events of the registered outputs' assets which versions they have become."""
        if not any(item.register for item in step.step.outputs):
            return
        registered = register_outputs(step.workspace, step.step, document.outputs, document.reused_from)
        for name, dataset in registered.items():
            extra = {"version": dataset.version, "digest": document.outputs[name].digest}
            context["outlet_events"][dataset_asset(dataset.name)].extra = extra
