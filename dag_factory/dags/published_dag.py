"""Makes the DAG of a published pipeline, for the DAG files of its bundle."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_ml_pipelines.core.publishing.dag_views import DagEntry, ScheduleEntry
    from airflow_ml_pipelines.core.spec import PipelineSpec

__all__ = ["load_published"]

_TAG = "published"
_SCHEDULE = "schedule"
_SUBMITTED = "submitted"


def load_published(
    namespace: MutableMapping[str, Any],
    dag_id: str,
    entry: Mapping[str, Any],
    *,
    workspace: str | None = None,
) -> None:
    """Make the DAG of a published pipeline, unless another is asked for.

    :param namespace: where Airflow looks for DAGs: the variables of the DAG file.
    :param entry: a :class:`~airflow_ml_pipelines.core.publishing.dag_views.DagEntry`.
    :param workspace: the workspace's file or folder; None for the one that Airflow's configuration names.
    :raises WorkspaceError: where the pipeline is no longer there.
    """
    from airflow.sdk import get_parsing_context

    from airflow_ml_pipelines.core.publishing.dag_views import DagEntry

    wanted = get_parsing_context()
    if wanted.dag_id not in (None, dag_id):
        return
    given = msgspec.convert(entry, DagEntry)
    if given.watch is not None:
        from dag_factory.dags.watch_dag import build_watch_dag

        dag = build_watch_dag(dag_id, given.watch, workspace)
        dag.tags.update({_TAG, _SCHEDULE})
    else:
        dag = _build(dag_id, given, workspace, wanted.task_id if wanted.dag_id else None)
    dag.is_paused_upon_creation = False
    namespace[dag_id] = dag


def _build(dag_id: str, entry: DagEntry, workspace: str | None, task_id: str | None) -> DAG:
    """Return the DAG that runs a published pipeline."""
    from airflow_ml_pipelines._tasks import open_workspace
    from airflow_ml_pipelines.core.publishing.published import read_published
    from dag_factory.dags.compile import build_dag

    document = read_published(open_workspace(workspace).store, entry.pipeline, deleted=True)
    spec, experiment, timetable = document.spec, None, None
    if entry.schedule is not None:
        from airflow_ml_pipelines.timetables import RecurrenceTimetable

        spec = _scheduled(spec, dag_id, entry.schedule)
        experiment, recurrence = entry.schedule.experiment, entry.schedule.recurrence
        timetable = None if recurrence is None else RecurrenceTimetable(recurrence)
    dag = build_dag(
        spec,
        workspace=workspace,
        dag_id=dag_id,
        schedule=timetable,
        task_id=task_id,
        experiment=experiment,
    )
    labels = [entry.label] if entry.label else []
    kind = _SUBMITTED if document.submitted else _TAG
    dag.tags.update({kind, document.spec.family, *labels, *([_SCHEDULE] if entry.schedule else [])})
    return dag


def _scheduled(spec: PipelineSpec, dag_id: str, schedule: ScheduleEntry) -> PipelineSpec:
    """Return a pipeline as a schedule runs it: under its own name, so that two schedules never share a run."""
    parameters = tuple(
        msgspec.structs.replace(item, default=schedule.parameters[item.name], required=False)
        if item.name in schedule.parameters
        else item
        for item in spec.parameters
    )
    go_on = schedule.continue_on_step_failure
    return msgspec.structs.replace(
        spec,
        name=dag_id,
        parameters=parameters,
        continue_on_step_failure=spec.continue_on_step_failure if go_on is None else go_on,
    )
