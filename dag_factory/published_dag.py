"""Makes the DAG of a published pipeline, for the DAG files of its bundle."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.dag_views import ScheduleEntry
    from airflow_ml_pipelines.core.spec import PipelineSpec

__all__ = ["load_published"]

_TAG = "published"


def load_published(
    namespace: MutableMapping[str, Any],
    dag_id: str,
    entry: Mapping[str, Any],
    *,
    workspace: str | None = None,
) -> None:
    """Make the DAG of a published pipeline, unless another is asked for.

    :param namespace: where Airflow looks for DAGs: the variables of the DAG file.
    :param entry: a :class:`~airflow_ml_pipelines.core.dag_views.DagEntry`.
    :param workspace: the workspace's file or folder; None for the one that Airflow's configuration names.
    :raises WorkspaceError: where the pipeline is no longer there.
    """
    from airflow.sdk import get_parsing_context

    from airflow_ml_pipelines._tasks import open_workspace
    from airflow_ml_pipelines.core.dag_views import DagEntry
    from airflow_ml_pipelines.core.published import read_published
    from dag_factory.compile import build_dag

    wanted = get_parsing_context()
    if wanted.dag_id not in (None, dag_id):
        return
    given = msgspec.convert(entry, DagEntry)
    document = read_published(open_workspace(workspace).store, given.pipeline, deleted=True)
    spec, experiment, timetable = document.spec, None, None
    if given.schedule is not None:
        from airflow_ml_pipelines.timetables import RecurrenceTimetable

        spec = _scheduled(spec, dag_id, given.schedule)
        experiment, timetable = given.schedule.experiment, RecurrenceTimetable(given.schedule.recurrence)
    dag = build_dag(
        spec,
        workspace=workspace,
        dag_id=dag_id,
        schedule=timetable,
        task_id=wanted.task_id if wanted.dag_id else None,
        experiment=experiment,
    )
    labels = [given.label] if given.label else []
    dag.tags.update({_TAG, document.name, *labels, *(["schedule"] if given.schedule else [])})
    dag.is_paused_upon_creation = False
    namespace[dag_id] = dag


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
