"""Makes Airflow DAGs of pipelines: ``plan``, then a group of tasks for each step."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.core.spec import PLAN_TASK, PipelineSpec, StepSpec
from dag_factory.dags.airflow_schedule import airflow_schedule, is_continuous
from dag_factory.dags.operators import Operators, find_workspace
from dag_factory.dags.parameters import airflow_params
from dag_factory.dags.spec_settings import SpecSettings

if TYPE_CHECKING:
    from airflow.sdk import DAG, TaskGroup

    from airflow_ml_pipelines.written.problems import Problem
    from dag_factory.definitions.definition import PipelineDefinition

    _Settings: TypeAlias = PipelineDefinition | SpecSettings

__all__ = ["REUSE_TASK", "RUN_TASK", "build_dag"]

REUSE_TASK = "reuse"
"""The task of a step's group that decides whether an earlier result is taken."""

RUN_TASK = "run"
"""The task of a step's group that runs the step."""

_SETTINGS = ("retries", "pool", "queue", "priority_weight")


def build_dag(
    pipeline: PipelineDefinition | PipelineSpec,
    *,
    workspace: str | os.PathLike[str] | None = None,
    dag_id: str | None = None,
    schedule: Any = None,
    task_id: str | None = None,
    code: Path | None = None,
    experiment: str | None = None,
) -> DAG:
    """Return the DAG that runs a pipeline.

    Nothing but the definition is read: no data, no source file, no store.

    :param pipeline: a definition; or a spec, which has no schedule and no other settings of Airflow.
    :param workspace: the workspace's file or folder; None for the one that ``[ml_pipelines] workspace`` or
        ``ML_PIPELINES_WORKSPACE`` names, else the nearest from the pipeline's folder upwards.
    :param dag_id: the pipeline's name where it is left out.
    :param schedule: what Airflow takes as a schedule, in place of the definition's.
    :param task_id: only the tasks that this one needs in its own process are made; for a DAG that is not to be scheduled.
    :param code: the file that Airflow shows as the DAG's code; None for the DAG file that calls this.
    :param experiment: of runs that name none, for a spec; the pipeline's name where it is left out.
    :raises DefinitionError: that names everything that is wrong with the definition.
    """
    definition: _Settings
    if isinstance(pipeline, PipelineSpec):
        definition, spec = SpecSettings(pipeline.name, experiment), pipeline
    else:
        definition, spec = pipeline, pipeline.to_spec()
    builder = _Builder(definition, spec, find_workspace(workspace, spec), task_id, code)
    try:
        dag = builder.build(dag_id or spec.name, schedule)
        dag.validate()
    except DefinitionError:
        raise
    except Exception as error:
        definition.refuse([_refusal(error)])
        raise
    return dag


class _Builder:
    def __init__(
        self,
        definition: _Settings,
        spec: PipelineSpec,
        workspace: str | None,
        task_id: str | None,
        code: Path | None,
    ) -> None:
        self.definition = definition
        self.spec = spec
        self.workspace = workspace
        self.code = code
        self.is_whole = task_id is None
        self.steps = [step for step in spec.steps if task_id is None or task_id.startswith(f"{step.id}.")]
        self.operators = Operators(definition, workspace)

    def build(self, dag_id: str, schedule: Any) -> DAG:
        from airflow_ml_pipelines.operators.plan import PlanOperator

        definition, spec = self.definition, self.spec
        options: dict[str, Any] = {
            "start_date": definition.start_date,
            "end_date": definition.end_date,
            "max_active_runs": definition.max_active_runs
            or (1 if is_continuous(definition.schedule) else None),
            "dagrun_timeout": _delta(definition.timeout),
        }
        if self.is_whole:
            from dag_factory.dags.doc_page import doc_page

            options["doc_md"] = doc_page(spec, definition.doc)
        if definition.owner:
            options["default_args"] = {"owner": definition.owner}
        dag: DAG = _dag_class()(
            dag_id,
            description=spec.description,
            schedule=schedule if schedule is not None else airflow_schedule(definition.schedule),
            catchup=definition.catchup,
            tags=sorted(set(definition.tags)),
            params=airflow_params(spec, definition.experiment),
            render_template_as_native_obj=False,
            **{name: value for name, value in options.items() if value is not None},
        )
        dag.code = self.code
        # every task would get a copy of the DAG's params, which costs more than all the rest; a run gives them anyway
        params, dag.params = dag.params, {}
        plan = PlanOperator(
            task_id=PLAN_TASK,
            dag=dag,
            pipeline=spec,
            step_tasks={step.id: [f"{step.id}.{name}" for name in _task_names(step)] for step in spec.steps},
            workspace=self.workspace,
            experiment=definition.experiment,
            **_given(
                retry_delay=_delta(definition.retry_delay),
                **{name: getattr(definition, name) for name in _SETTINGS},
            ),
        )
        last: dict[str, Any] = {}
        for step in self.steps:
            first, last[step.id] = self._tasks(dag, step)
            for before in [last[other] for other in step.upstream if other in last] or [plan]:
                before.set_downstream(first)
        dag.params = params
        return dag

    def _tasks(self, dag: DAG, step: StepSpec) -> tuple[list[Any], Any]:
        """Return the first tasks and the last task of a step's group."""
        from airflow.sdk import TaskGroup

        settings = self._settings(step)
        entry = self.definition.steps.get(step.id)
        group: TaskGroup = TaskGroup(
            step.id,
            dag=dag,
            parent_group=dag.task_group,
            tooltip=(entry.description if entry else None) or step.name,
            **({"group_display_name": step.name} if step.name != step.id else {}),
        )
        shared = {
            "dag": dag,
            "task_group": group,
            "pipeline": self.spec,
            "workspace": self.workspace,
            "trigger_rule": "none_failed",
            **settings,
        }
        make_run = self.operators.of(step)
        deferrable = getattr(self.definition.steps.get(step.id), "deferrable", None)
        limited = {**_given(pool=self.operators.pool(step), deferrable=deferrable), **shared}
        shares = self._shares(step, shared)
        if not step.allow_reuse:
            run = make_run(task_id=RUN_TASK, step=step, **limited)
            for share in shares:
                share.set_downstream(run)
            return shares or [run], run
        from airflow_ml_pipelines.sensors.reuse import ReuseSensor

        reuse = ReuseSensor(
            task_id=REUSE_TASK,
            step=step.id,
            run_task_id=f"{step.id}.{RUN_TASK}",
            share_task_ids=[f"{step.id}.{name}" for name in _share_names(step)],
            **shared,
        )
        run = make_run(task_id=RUN_TASK, step=step, **limited)
        for share in shares:
            reuse.set_downstream(share)
            share.set_downstream(run)
        reuse.set_downstream(run)
        return [reuse], run

    @staticmethod
    def _shares(step: StepSpec, shared: Mapping[str, Any]) -> list[Any]:
        names = _share_names(step)
        if not names:
            return []
        from airflow_ml_pipelines.operators.data_transfer import TransferShareOperator

        return [
            TransferShareOperator(task_id=name, step=step.id, shard=shard, **shared)
            for shard, name in enumerate(names)
        ]

    def _settings(self, step: StepSpec) -> dict[str, Any]:
        """Return what a step's tasks are given for Airflow alone."""
        definition, entry = self.definition, self.definition.steps.get(step.id)
        settings = {}
        for name in (*_SETTINGS, "retry_delay"):
            value = getattr(entry, name, None)
            settings[name] = getattr(definition, name) if value is None else value
        settings["retry_delay"] = _delta(settings["retry_delay"])
        return _given(**settings)


@functools.cache
def _dag_class() -> Any:
    from airflow.sdk import DAG

    class PipelineDag(DAG):  # type: ignore[misc]
        """A DAG whose code, as Airflow shows it, may be another file than the DAG file."""

        code: Path | None = None

        def resolve_template_files(self) -> None:
            """Take the definition's path in place of the DAG file's, which Airflow has just set."""
            super().resolve_template_files()
            if self.code is not None:
                self.fileloc = str(self.code)

    return PipelineDag


def _task_names(step: StepSpec) -> tuple[str, ...]:
    first = (REUSE_TASK,) if step.allow_reuse else ()
    return (*first, *_share_names(step), RUN_TASK)


def _share_names(step: StepSpec) -> list[str]:
    """Return the tasks that copy a share of a transfer each, before the one that completes it."""
    shards = step.transfer.shards if step.transfer else 1
    return [f"copy_{shard}" for shard in range(1, shards + 1)] if shards > 1 else []


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _delta(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _refusal(error: Exception) -> Problem:
    """Return what Airflow did not take as a problem of the definition."""
    from airflow_ml_pipelines.written.problems import Problem

    name = type(error).__name__
    if name == "AirflowTimetableInvalid":
        return Problem(("schedule", "cron"), f"Airflow does not take this schedule: {error}")
    if isinstance(error, ImportError | AttributeError | TypeError):
        return Problem(("schedule", "timetable"), f"this timetable can't be made: {error}")
    return Problem((), f"Airflow does not take this pipeline: {name}: {error}")
