"""Decides for one step of a run whether an earlier result is taken."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn

from airflow_ml_pipelines._airflow import BaseSensorOperator, DownstreamTasksSkipped, PokeReturnValue
from airflow_ml_pipelines._tasks import (
    TOLD,
    describe_step,
    earliest_resume,
    forced_reason,
    log_outcome,
    open_planned_step,
    open_workspace,
    plain_errors,
    reused_from_url,
    shorten,
    stop_after_failure,
    workspace_path,
)
from airflow_ml_pipelines.core.runs.folder import RunFolder, StepDocument
from airflow_ml_pipelines.core.spec import PipelineSpec, StepSpec
from airflow_ml_pipelines.core.steps.decide import Hit, StepContext, Wait, decide
from airflow_ml_pipelines.links import ReusedFromLink, StepLink
from airflow_ml_pipelines.triggers.reuse import ReuseTrigger

__all__ = ["ReuseSensor"]


class ReuseSensor(BaseSensorOperator):  # type: ignore[misc]
    """Skips the task that runs a step where an earlier result has the step's key.

    It decides in the worker. Where another run is making the result at this moment it waits for it, without a worker
    slot, and decides again.

    A :class:`~airflow_ml_pipelines.operators.plan.PlanOperator` has to come before it. Give all tasks between the two
    ``trigger_rule="none_failed"``, so that a skipped step does not skip those after it.

    :param pipeline: the pipeline that the run's plan is of, or its name.
    :param step: the step, or its id.
    :param run_task_id: the task that runs the step.
    :param share_task_ids: tasks that do a part of its work before that.
    :param workspace: the workspace's file or folder; None for the one that ``[ml_pipelines] workspace`` or the
        environment names.
    :param deferrable: wait in the triggerer; else look every ``poke_interval`` and free the slot in between.
    :param poke_interval: seconds between two looks for the result that another run is making.
    :param kwargs: of every sensor; ``timeout`` is how long to wait for another run.
    """

    operator_extra_links = (ReusedFromLink(), StepLink())
    ui_color = "#d9ead3"

    def __init__(
        self,
        *,
        pipeline: PipelineSpec | str,
        step: StepSpec | str,
        run_task_id: str,
        share_task_ids: Sequence[str] = (),
        workspace: str | None = None,
        deferrable: bool = True,
        poke_interval: timedelta | float = 5,
        mode: str = "reschedule",
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("trigger_rule", "none_failed")
        super().__init__(poke_interval=poke_interval, mode="poke" if deferrable else mode, **kwargs)
        self.pipeline = pipeline if isinstance(pipeline, str) else pipeline.name
        self.step = step if isinstance(step, str) else step.id
        self.run_task_id = run_task_id
        self.share_task_ids = list(share_task_ids)
        self.workspace = workspace
        self.deferrable = deferrable
        self.reused_from_url = ""
        self._trigger: ReuseTrigger | None = None
        self._done: tuple[StepContext, StepDocument] | None = None

    def execute(self, context: Any) -> dict[str, Any]:
        """Decide, and wait where another run makes the result."""
        if self.deferrable:
            decided = self._decide(context)
            if decided is None:
                self._defer()
        else:
            decided = super().execute(context)
        assert decided is not None
        if decided["decision"] == "reuse":
            context["ti"].xcom_push("return_value", decided)
            raise DownstreamTasksSkipped(tasks=[*self.share_task_ids, self.run_task_id])
        return decided

    def resume(self, context: Any, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Decide again, after what was waited for has happened."""
        self.log.info("Looking again: %s.", TOLD.get((event or {}).get("status", ""), "the wait is over"))
        return self.execute(context)

    def poke(self, context: Any) -> PokeReturnValue:
        """Decide; done unless another run makes the result."""
        decided = self._decide(context)
        return PokeReturnValue(is_done=decided is not None, xcom_value=decided)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - the provider's signature
        """Return what the original of a reused step read and wrote, for Airflow's OpenLineage provider."""
        if self._done is None:
            return None
        from airflow_ml_pipelines.core.steps.lineage import trace_step
        from airflow_ml_pipelines.openlineage import describe_lineage

        step, document = self._done
        return describe_lineage(step.workspace, [trace_step(step, document)])

    def _decide(self, context: Any) -> dict[str, Any] | None:
        with plain_errors(self.log):
            workspace = open_workspace(self.workspace)
            folder = RunFolder(workspace.store, self.pipeline, context["ti"].run_id)
            step = open_planned_step(workspace, folder, self.step)
            stop_after_failure(folder, self.step, goes_on=step.run.continue_on_step_failure)
            outcome = decide(step, forced=forced_reason(folder, self.step))
            log_outcome(self.log, step, outcome)
            if isinstance(outcome, Wait):
                self._trigger = ReuseTrigger(
                    key=outcome.key,
                    workspace=workspace_path(workspace, self.workspace),
                    poll_interval=self.poke_interval,
                    not_before=earliest_resume(),
                )
                return None
            if isinstance(outcome, Hit):
                document = outcome.document
                self._done = step, document
                self.reused_from_url = reused_from_url(workspace, document.reused_from)
                return describe_step(workspace, document)
            key = outcome.lease.key if outcome.lease else None
            return {"decision": "run", "reason": shorten("; ".join(outcome.reasons)), "key": key}

    def _defer(self) -> NoReturn:
        self.defer(trigger=self._trigger, method_name="resume", timeout=timedelta(seconds=self.timeout))
        raise AssertionError  # defer never returns
