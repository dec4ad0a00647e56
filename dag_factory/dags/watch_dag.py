"""Makes the DAG that starts runs of a schedule when files come."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_ml_pipelines.core.publishing.dag_views import WatchEntry

__all__ = ["build_watch_dag"]

_FIND_TASK = "find"
_RETRIES: dict[str, Any] = {"retries": 5, "retry_delay": timedelta(seconds=5)}


def build_watch_dag(dag_id: str, entry: WatchEntry, workspace: str | None) -> DAG:
    """Return a DAG whose runs begin when the triggerer sees files that the schedule has not acted on.

    Its tasks write down what they found, start a run for each, and write down that this was done.
    """
    from airflow.sdk import DAG, Asset, AssetWatcher

    from airflow_ml_pipelines.operators.files import FindFilesOperator, FinishFilesOperator, StartRunOperator
    from airflow_ml_pipelines.triggers.files import FilesTrigger

    trigger = FilesTrigger(schedule=entry.schedule, workspace=workspace)
    files = Asset(
        name=f"files.{entry.schedule}",
        uri=f"ml-pipelines://watches/{entry.schedule}",
        watchers=[AssetWatcher(name=f"files.{entry.schedule}", trigger=trigger)],
    )
    with DAG(
        dag_id,
        description=f"Starts runs of {entry.starts} for new and changed files.",
        schedule=[files],
        catchup=False,
        max_active_runs=1,
    ) as dag:
        find = FindFilesOperator(task_id=_FIND_TASK, schedule=entry.schedule, workspace=workspace, **_RETRIES)
        # Airflow may not have read the other DAG yet
        runs = StartRunOperator.partial(task_id="start", trigger_dag_id=entry.starts, **_RETRIES)
        finish = FinishFilesOperator(
            task_id="finish",
            schedule=entry.schedule,
            find_task_id=_FIND_TASK,
            workspace=workspace,
            **_RETRIES,
        )
        runs.expand_kwargs(find.output).set_downstream(finish)
    return dag
