"""Runs one step: a notebook, a script or a main class on a Spark cluster."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from airflow_ml_pipelines._tasks import TOLD, workspace_path
from airflow_ml_pipelines.core.runs.folder import StepDocument
from airflow_ml_pipelines.core.steps.decide import Go, StepContext
from airflow_ml_pipelines.execution.targets.port import Running
from airflow_ml_pipelines.links import DatabricksRunLink
from airflow_ml_pipelines.operators.step import StepOperator

__all__ = ["DatabricksOperator"]


class DatabricksOperator(StepOperator):
    """Runs a step on a Spark cluster, unless an earlier run made the same from the same.

    While a run of Databricks goes on, the triggerer waits for it, without a worker slot, where the compute target has an
    Airflow connection and ``deferrable`` is true; else the worker does. Killing the task cancels the run.
    """

    template_fields: Sequence[str] = ("definition_digest",)
    operator_extra_links: tuple[Any, ...] = (*StepOperator.operator_extra_links, DatabricksRunLink())
    ui_color = "#ffdfd6"

    run_url = ""

    def resume(self, context: Any, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the run's end, or decide again."""
        event = event or {}
        if event.get("status", "") not in TOLD:
            self._forced = event.get("forced")
            self.log.info("Run %s has ended.", event.get("run_id"))
            return self.execute(context)
        return super().resume(context, event)

    def _run(self, step: StepContext, go: Go, context: Any, leave: Any = None) -> StepDocument:  # noqa: ARG002
        from airflow_ml_pipelines.execution.step import StepLeft

        connection = step.workspace.compute_target(step.step.compute_target).options.get("connection")
        waits = self.deferrable and connection and find_spec("airflow.providers.databricks") is not None

        def leaves(running: Running) -> bool:
            self.run_url = str(getattr(running, "url", ""))
            if self.run_url:
                context["ti"].xcom_push(DatabricksRunLink().xcom_key, self.run_url)
            return bool(waits and self.run_url and not self._kill_reason and not running.is_over())

        try:
            return super()._run(step, go, context, leaves)
        except StepLeft as left:
            from airflow_ml_pipelines.triggers.databricks import DatabricksRunTrigger

            trigger = DatabricksRunTrigger(
                run_id=left.running.run_id,  # type: ignore[attr-defined]
                databricks_conn_id=str(connection),
                run_page_url=self.run_url,
                polling_period_seconds=max(1, round(self._poll(step))),
                workspace=workspace_path(step.workspace, self.workspace),
                lease_key=left.key,
                owner=step.owner,
                forced=self._forced,
            )
            self.defer(trigger=trigger, method_name="resume")
            raise  # never reached: defer raises

    def _poll(self, step: StepContext) -> float:
        options = step.workspace.compute_target(step.step.compute_target).options
        return float(options.get("poll_interval", 10))
