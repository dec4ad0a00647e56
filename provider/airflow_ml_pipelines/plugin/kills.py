"""Ends the jobs of deferred tasks that users end: mark as failed, success or skipped, alone or with their run.

Airflow tells a trigger of it where one runs; between the deferral and that, and before Airflow 3.3, only listeners in
the API server are told. They are registered in that process alone: with a listener anywhere else, Airflow refuses DAGs
that end tasks in the triggerer (``end_from_trigger``).
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from airflow.listeners.listener import get_listener_manager  # noqa: TID253 - in the API server it is there
from airflow.models.taskinstance import TaskInstance  # noqa: TID253
from airflow.models.trigger import Trigger  # noqa: TID253
from pluggy import HookimplMarker
from sqlalchemy import select
from sqlalchemy.orm import object_session

__all__ = ["KillListener", "listen"]

_TRIGGER: Final = "airflow_ml_pipelines.triggers.step.StepTrigger"

_hears = HookimplMarker("airflow")

_log = logging.getLogger(__name__)

_ENDING = ThreadPoolExecutor(4, thread_name_prefix="ml-pipelines-kill")


def listen() -> None:
    """Let this process hear of tasks and runs whose state somebody sets."""
    get_listener_manager().add_listener(_listener)


class KillListener:
    """Hears of tasks and runs whose state somebody sets, and ends the jobs that were left to the triggerer."""

    @_hears
    def on_task_instance_failed(self, task_instance: Any) -> None:
        """End the job of a task."""
        _end_jobs(task_instance, TaskInstance.id == task_instance.id)

    @_hears
    def on_task_instance_success(self, task_instance: Any) -> None:
        """End the job of a task."""
        _end_jobs(task_instance, TaskInstance.id == task_instance.id)

    @_hears
    def on_task_instance_skipped(self, task_instance: Any) -> None:
        """End the job of a task."""
        _end_jobs(task_instance, TaskInstance.id == task_instance.id)

    @_hears
    def on_dag_run_failed(self, dag_run: Any) -> None:
        """End the jobs of a run's tasks."""
        _end_jobs(dag_run, TaskInstance.dag_id == dag_run.dag_id, TaskInstance.run_id == dag_run.run_id)

    @_hears
    def on_dag_run_success(self, dag_run: Any) -> None:
        """End the jobs of a run's tasks."""
        _end_jobs(dag_run, TaskInstance.dag_id == dag_run.dag_id, TaskInstance.run_id == dag_run.run_id)


_listener = KillListener()


def _end_jobs(row: Any, *which: Any) -> None:
    """End the jobs of tasks, after the request.

    :param row: one of Airflow's database, of the request that changes it.
    """
    session = object_session(row)
    if session is None:
        return
    query = (
        select(Trigger)
        .join(TaskInstance, TaskInstance.trigger_id == Trigger.id)
        .where(Trigger.classpath == _TRIGGER, *which)
    )
    for trigger in session.scalars(query):
        _ENDING.submit(_end, dict(trigger.kwargs))


def _end(arguments: dict[str, Any]) -> None:
    from airflow_ml_pipelines.triggers.step import StepTrigger

    try:
        StepTrigger(**arguments).end_job()
    except Exception:  # noqa: BLE001 - in a thread nobody else would say it
        _log.exception("what ran of a killed task may go on: %s", arguments)
