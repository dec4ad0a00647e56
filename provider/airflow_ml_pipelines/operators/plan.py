"""Plans a run: which steps are reused, which run, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from airflow_ml_pipelines._airflow import BaseOperator, DownstreamTasksSkipped
from airflow_ml_pipelines._tasks import open_workspace, plain_errors, reused_from_url, shorten
from airflow_ml_pipelines.core.errors import MlPipelinesError, ParameterError, StoreError, did_you_mean
from airflow_ml_pipelines.core.progress import ProgressLog, told_to
from airflow_ml_pipelines.core.runs.folder import PlanDocument, RunDocument, RunFolder
from airflow_ml_pipelines.core.runs.place import write_place
from airflow_ml_pipelines.core.spec import PipelineSpec
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.links import ReusedFromLink

__all__ = ["RUN_OPTIONS", "TAGS", "PlanOperator"]

TAGS = "tags"
"""The key of a run's configuration that has its labels, a mapping of text to text."""

RUN_OPTIONS = ("regenerate_outputs", "continue_on_step_failure", "experiment_name")
"""Params of a DAG that are no parameters of its pipeline."""


class PlanOperator(BaseOperator):  # type: ignore[misc]
    """Decides for every step of a pipeline whether an earlier result is taken, and skips the tasks of those steps.

    It takes the snapshots of the source directories, checks the parameters, looks at the data from outside, and walks
    the steps in order; whatever is unchanged from the beginning on is decided here, in one task. A step after one
    that runs is decided by its :class:`~airflow_ml_pipelines.sensors.reuse.ReuseSensor`.

    Values of the pipeline's parameters come from the DAG's params. ``regenerate_outputs``,
    ``continue_on_step_failure`` and ``experiment_name`` may be params as well. A run whose configuration has any other
    key fails, since its author meant something by it.

    :param pipeline: the pipeline.
    :param step_tasks: for each step's id, the ids of its tasks: the one that runs the step last.
    :param workspace: the workspace's file or folder; None for the one that ``[ml_pipelines] workspace`` or the
        environment names.
    :param experiment: what the run is listed under; None for the pipeline's name.
    :param tags: of every run; scripts see them, with those that the run's configuration has under ``tags``.
    :param kwargs: of every operator. It is not retried unless ``retries`` says so.
    """

    template_fields: Sequence[str] = ("definition_digest",)
    operator_extra_links = (ReusedFromLink(),)
    ui_color = "#fff2cc"

    def __init__(
        self,
        *,
        pipeline: PipelineSpec,
        step_tasks: Mapping[str, Sequence[str]],
        workspace: str | None = None,
        experiment: str | None = None,
        tags: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("retries", 0)
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.step_tasks = {step: tuple(tasks) for step, tasks in step_tasks.items()}
        self.workspace = workspace
        self.experiment = experiment
        self.run_tags = dict(tags or {})
        # the only thing of the definition that Airflow serialises: it makes a new DAG version when that changes
        self.definition_digest = pipeline.digest
        self.reused_from_url = ""
        self._planned: tuple[Workspace, RunDocument, PlanDocument] | None = None

    def execute(self, context: Any) -> dict[str, Any]:
        """Plan the run and skip the tasks of the steps that are reused."""
        from airflow_ml_pipelines.core.plans.plan import make_plan

        with plain_errors(self.log):
            workspace = open_workspace(self.workspace)
            folder = RunFolder(workspace.store, self.pipeline.name, context["ti"].run_id)
            tasks = {step: t[-1] for step, t in self.step_tasks.items() if t}
            write_place(folder, context["ti"].dag_id, folder.run, tasks)
            try:
                run = self._new_run(context)
                with told_to(ProgressLog(self.log.info)):
                    plan = make_plan(workspace, run)
            except MlPipelinesError as error:
                self._keep_failure(folder, context, error)
                raise
        self._planned = workspace, run, plan
        self._log_plan(run, plan)
        self.reused_from_url = _latest_origin(workspace, plan)
        described = {
            item.step: {
                "decision": item.decision,
                "reason": shorten("; ".join(item.reasons)),
                "seconds_saved": round(item.saved, 3),
            }
            for item in plan.steps
        }
        reused = [
            task
            for item in plan.steps
            if item.decision == "reuse"
            for task in self.step_tasks.get(item.step, ())
        ]
        if reused:
            # the exception ends the task well, but without a return value
            context["ti"].xcom_push("return_value", described)
            raise DownstreamTasksSkipped(tasks=reused)
        return described

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - the provider's signature
        """Return what the originals of the reused steps read and wrote, for Airflow's OpenLineage provider."""
        if self._planned is None:
            return None
        from airflow_ml_pipelines.core.steps.lineage import trace_reused
        from airflow_ml_pipelines.openlineage import describe_lineage

        workspace, run, plan = self._planned
        return describe_lineage(workspace, trace_reused(workspace, run, plan))

    def _keep_failure(self, folder: RunFolder, context: Any, error: MlPipelinesError) -> None:
        """Write into the run's folder why it could not begin, so that it is listed with that."""
        from airflow_ml_pipelines.core.runs.new_run import refused_run

        params = dict(context["params"])
        run = refused_run(
            self.pipeline,
            run_id=folder.run,
            parameters={
                spec.name: params[spec.name] for spec in self.pipeline.parameters if spec.name in params
            },
            experiment=str(params.get("experiment_name") or self.experiment or "") or None,
        )
        with suppress(StoreError):
            folder.write_run(run)
            folder.write_result("Failed", str(error))

    def _new_run(self, context: Any) -> RunDocument:
        from airflow_ml_pipelines.core.runs.new_run import new_run

        params = dict(context["params"])
        declared = {spec.name: spec for spec in self.pipeline.parameters}
        problems = self._unknown_keys(context, declared)
        given = {
            name: params[name]
            for name, spec in declared.items()
            if name in params and not (params[name] is None and spec.default is None)
        }
        try:
            run = new_run(
                self.pipeline,
                parameters=given,
                experiment=params.get("experiment_name") or self.experiment,
                run_id=context["ti"].run_id,
                regenerate_outputs=_flag(params, "regenerate_outputs") or False,
                continue_on_step_failure=_flag(params, "continue_on_step_failure"),
                tags={**self.run_tags, **_labels(context["dag_run"].conf or {})},
            )
        except ParameterError as error:
            problems.append(str(error))
        if problems:
            raise ParameterError("\n".join(problems))
        return run

    def _unknown_keys(self, context: Any, declared: Mapping[str, Any]) -> list[str]:
        known = {*declared, *RUN_OPTIONS, TAGS, *context["dag"].params}
        given = context["dag_run"].conf or {}
        return [
            f"there is no parameter {name!r}.{did_you_mean(name, known)}"
            for name in given
            if name not in known
        ]

    def _log_plan(self, run: RunDocument, plan: PlanDocument) -> None:
        names = {step.id: step.name for step in run.spec.steps}
        width = max((len(name) for name in names.values()), default=0)
        self.log.info("Plan of run %s of %s:", run.run, run.pipeline)
        for item in plan.steps:
            reason = "; ".join(item.reasons)
            saved = f" (saves {item.saved:.1f} s)" if item.decision == "reuse" else ""
            self.log.info("  %s  %-7s  %s%s", names[item.step].ljust(width), item.decision, reason, saved)
        count = sum(item.decision == "reuse" for item in plan.steps)
        total = sum(item.saved for item in plan.steps)
        self.log.info("%d of %d steps are reused, %.1f s saved.", count, len(plan.steps), total)


def _flag(params: Mapping[str, Any], name: str) -> bool | None:
    value = params.get(name)
    if value is not None and not isinstance(value, bool):
        raise ParameterError(f"parameter {name!r} takes boolean, not {value!r} ({type(value).__name__})")
    return value


def _labels(conf: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels that a run was started with."""
    labels = conf.get(TAGS) or {}
    if not isinstance(labels, Mapping) or not all(isinstance(value, str) for value in labels.values()):
        raise ParameterError(f"{TAGS!r} takes a mapping of text to text, not {str(labels)[:200]!r}")
    return dict(labels)


def _latest_origin(workspace: Workspace, plan: PlanDocument) -> str:
    """Return the address of the run from which the last of the reused steps is taken."""
    origins = [item.reused_from for item in plan.steps if item.reused_from is not None]
    return reused_from_url(workspace, origins[-1], run_only=True) if origins else ""
