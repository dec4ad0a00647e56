"""What the operators of all kinds of steps have in common: to decide, to wait, to run, to say what was made."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_ml_pipelines._airflow import AirflowException, AirflowFailException, BaseOperator, conf
from airflow_ml_pipelines._tasks import (
    JOB_TOLD,
    TOLD,
    dataset_asset,
    describe_step,
    earliest_resume,
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
)
from airflow_ml_pipelines.core.documents import write_document
from airflow_ml_pipelines.core.errors import (
    DefinitionError,
    MlPipelinesError,
    StepCanceledError,
    did_you_mean,
)
from airflow_ml_pipelines.core.runs.folder import RunDocument, RunFolder, StepDocument
from airflow_ml_pipelines.core.runs.place import write_place
from airflow_ml_pipelines.core.spec import PipelineSpec, StepSpec
from airflow_ml_pipelines.core.steps.decide import Go, Hit, StepContext, Wait, decide
from airflow_ml_pipelines.core.steps.register import register_outputs
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec, Workspace
from airflow_ml_pipelines.execution.targets.port import Running
from airflow_ml_pipelines.links import ReusedFromLink, StepLink
from airflow_ml_pipelines.operators.step_arguments import InputSource, OutputReference, digest_step
from airflow_ml_pipelines.triggers.reuse import ReuseTrigger

if TYPE_CHECKING:
    from airflow_ml_pipelines.execution.left import LeftJob

__all__ = ["StepOperator"]


class StepOperator(BaseOperator):  # type: ignore[misc]
    """Runs a step, unless an earlier run made the same from the same.

    In a DAG that a :class:`~airflow_ml_pipelines.operators.plan.PlanOperator` plans it is told which step by
    ``pipeline`` and ``step``. In any other DAG the operator of a kind of steps makes the step of its own arguments
    (:meth:`_define`), and the task decides by itself.

    Clearing a task whose step has ended well makes the step run. Killing the task ends what it runs.

    Where its compute target lets jobs go on alone, such as containers, the task can be deferred while its job runs: it
    takes no worker slot then, and a triggerer tells the log, keeps the lease and sees the end, which a worker collects.

    :param pipeline: the pipeline that the run's plan is of, or its name.
    :param step: the step; its id is enough where the run has a plan. Nothing of it is a template.
    :param workspace: the workspace's file or folder; None for the one that ``[ml_pipelines] workspace`` or the
        environment names.
    :param deferrable: True: defer the task while its job runs, where the compute target lets it go on alone, and while
        another run is making the result; False: do both in the worker; None: defer it for another run's result, and for
        its job as the compute target says (``deferrable``), else ``[operators] default_deferrable``.
    :param poll_interval: seconds between two looks for another run's result.
    :param kwargs: of every operator.
    """

    job_poll_interval = 5.0
    """Seconds between two looks at a deferred task's job, where its compute target says nothing else."""

    operator_extra_links: tuple[Any, ...] = (ReusedFromLink(), StepLink())

    def __init__(
        self,
        *,
        pipeline: PipelineSpec | str | None = None,
        step: StepSpec | str | None = None,
        workspace: str | None = None,
        deferrable: bool | None = None,
        poll_interval: float = 5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(step, str) and pipeline is None:
            raise DefinitionError(f"task {self.task_id!r}: step {step!r} is an id, so pipeline is needed too")
        self.pipeline = pipeline.name if isinstance(pipeline, PipelineSpec) else pipeline
        self.workspace = workspace
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.reused_from_url = ""
        self.definition_digest = ""
        self._kill_reason: str | None = None
        self._forced: str | None = None
        self._until: float | None = None
        self._is_resumed = False
        self._stays = False
        self._done: tuple[StepContext, StepDocument] | None = None
        if isinstance(step, str) and isinstance(pipeline, PipelineSpec):
            step = pipeline.step(step)
        self.step = step.id if isinstance(step, StepSpec) else step or self.task_id
        self._spec: StepSpec | None = None
        if isinstance(step, StepSpec):
            self._define(step)

    def _define(
        self, spec: StepSpec, *templates: Any, inputs: Mapping[str, InputSource] | None = None
    ) -> None:
        """Take a step.

        :param templates: what of it is filled in later.
        :param inputs: what it was given to read; tasks of which it reads outputs come before it.
        """
        self._spec = spec
        self.step = spec.id
        self.definition_digest = digest_step(spec, *templates)
        self.outlets.extend(dataset_asset(item.register.name) for item in spec.outputs if item.register)
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
        from airflow_ml_pipelines.execution.handover import running_attempt
        from airflow_ml_pipelines.execution.places import remove_job

        if self._until is None and self.execution_timeout is not None:
            self._until = time.time() + self.execution_timeout.total_seconds()
        with plain_errors(self.log):
            workspace = open_workspace(self.workspace)
            step = self._open(workspace, context)
            if not self._is_resumed:  # else what runs is to be ended first
                stop_after_failure(step.folder, step.step.id, goes_on=step.run.continue_on_step_failure)
            forced = self._forced = self._forced or forced_reason(step.folder, step.step.id)
            before = running_attempt(step)
            while isinstance(outcome := decide(step, forced=forced), Wait):
                log_outcome(self.log, step, outcome)
                self._wait(workspace, outcome)
                step = step.again()
            log_outcome(self.log, step, outcome)
            if isinstance(outcome, Hit):
                document = outcome.document
                self.reused_from_url = reused_from_url(workspace, document.reused_from)
                if before is not None:  # another run was faster, since nobody could keep the lease
                    with suppress(MlPipelinesError):  # what can't be reached is left to the reaper
                        remove_job(workspace, before.folder)
            else:
                document = self._run(with_archive(step), outcome, context)
            self._emit(context, step, document)
            self._done = step, document
            return describe_step(workspace, document)

    def resume(self, context: Any, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Decide again, or take up the job, after what was waited for has happened."""
        event = event or {}
        status = event.get("status", "")
        if status in JOB_TOLD:
            self._is_resumed = True
            self._forced, self._until = event.get("forced"), event.get("until")
            self._stays = status != "ended"
            if status == "timeout":
                self._kill_reason = f"its execution_timeout of {self.execution_timeout} has passed"
            self.log.info("The task goes on: %s.", JOB_TOLD[status].format(error=event.get("error")))
        else:
            self.log.info("Looking again: %s.", TOLD.get(status, "the wait is over"))
        return self.execute(context)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - the provider's signature
        """Return what the step read and wrote, for Airflow's OpenLineage provider."""
        if self._done is None:
            return None
        from airflow_ml_pipelines.core.steps.lineage import trace_step
        from airflow_ml_pipelines.openlineage import describe_lineage

        step, document = self._done
        return describe_lineage(step.workspace, [trace_step(step, document)])

    def on_kill(self) -> None:
        """Kill the script: Airflow leaves five seconds until it kills this task."""
        self._kill_reason = "the task was killed"

    def _open(self, workspace: Workspace, context: Any) -> StepContext:
        from airflow_ml_pipelines.core.files.git import git_facts

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
        plan = prepare_step(workspace, run, step)
        return StepContext(workspace, folder, run, step, plan, secrets=self._secrets())

    def _filled_in(self, workspace: Workspace, map_index: int | None) -> StepSpec:  # noqa: ARG002
        """Return the step of a hand-written DAG with its templates filled in."""
        assert self._spec is not None
        mapped = map_index is not None and map_index >= 0
        return msgspec.structs.replace(self._spec, id=f"{self.step}-{map_index}") if mapped else self._spec

    def _secrets(self) -> tuple[str, ...]:
        """Return the names of variables of its environment whose values are secret."""
        return ()

    def _run(self, step: StepContext, go: Go, context: Any) -> StepDocument:
        from airflow_ml_pipelines.execution.step import StepLeft, run_step

        ti = context["ti"]
        defers = self._defers(step.workspace.compute_target(step.step.compute_target))

        def leaves(running: Running) -> bool:
            self._handed_over(running, context)
            return defers and not self._stays and not self._kill_reason and not running.is_over()

        try:
            return run_step(
                step,
                go,
                log=self.log.info,
                on_line=lambda _stream, line: self.log.info("%s", line),
                canceled=lambda: self._kill_reason,
                last_try=ti.try_number > ti.max_tries,
                leave=leaves,
            )
        except StepLeft as left:
            self._defer(step, left.job, context)
            raise  # never reached: defer raises
        except StepCanceledError as error:
            self.log.error("%s", error)  # noqa: TRY400 - it is no fault that a traceback could explain
            # a killed task may be tried again, elsewhere; one of a run that has failed may not
            kind = AirflowException if self._kill_reason else AirflowFailException
            raise kind(str(error)) from None

    def _defers(self, target: ComputeTargetSpec) -> bool:
        """Return whether the task is deferred while its job runs."""
        if self.deferrable is not None:
            return self.deferrable
        chosen = target.options.get("deferrable")
        if isinstance(chosen, bool):
            return chosen
        by_default = conf.getboolean("operators", "default_deferrable", fallback=False)
        return by_default or self._defers_by_itself(target)

    def _defers_by_itself(self, target: ComputeTargetSpec) -> bool:  # noqa: ARG002
        """Return the same where nobody says anything."""
        return False

    def _handed_over(self, running: Running, context: Any) -> None:
        """Say of a job what can be said of it while it runs."""

    def _defer(self, step: StepContext, job: LeftJob, context: Any) -> None:
        from airflow_ml_pipelines.triggers.step import StepTrigger

        options = step.workspace.compute_target(step.step.compute_target).options
        trigger = StepTrigger(
            **job._asdict(),
            workspace=workspace_path(step.workspace, self.workspace),
            poll_interval=float(options.get("poll_interval", self.job_poll_interval)),
            until=self._until,
            run_until=_end_of_run(context),
            not_before=earliest_resume(),
            forced=self._forced,
        )
        self.log.info("The task is deferred: its job goes on alone.")
        self.defer(trigger=trigger, method_name="resume")

    def _wait(self, workspace: Workspace, outcome: Wait) -> None:
        if self.deferrable is not False:
            path = workspace_path(workspace, self.workspace)
            trigger = ReuseTrigger(
                key=outcome.key,
                workspace=path,
                poll_interval=self.poll_interval,
                not_before=earliest_resume(),
            )
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


def _end_of_run(context: Any) -> float | None:
    """Return when the time of a DAG run is over, in seconds since the epoch; None for never."""
    timeout, started = context["dag"].dagrun_timeout, context["dag_run"].start_date
    return None if timeout is None or started is None else (started + timeout).timestamp()
