"""Turns when a pipeline runs by itself into what Airflow takes as a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dag_factory.models.schedule import ScheduleDefinition

__all__ = ["airflow_schedule", "is_continuous"]


def is_continuous(schedule: ScheduleDefinition | None) -> bool:
    """Return whether each run starts when the one before has ended, for which Airflow wants to be told the limit."""
    return schedule is not None and schedule.cron == "@continuous"


def airflow_schedule(schedule: ScheduleDefinition | None) -> Any:
    """Return a schedule as Airflow takes it."""
    if schedule is None:
        return None
    if schedule.every is not None:
        return timedelta(seconds=schedule.every)
    if schedule.assets or schedule.datasets:
        from airflow.sdk import Asset, AssetAll, AssetAny

        from airflow_ml_pipelines._tasks import dataset_asset

        assets = [dataset_asset(name) for name in schedule.datasets]
        assets += [Asset(uri=name) if "://" in name else dataset_asset(name) for name in schedule.assets]
        return AssetAll(*assets) if schedule.mode == "all" else AssetAny(*assets)
    if schedule.timetable is not None:
        return _timetable(schedule.timetable, schedule.arguments)
    assert schedule.cron is not None
    if schedule.timezone is None:
        return schedule.cron
    try:
        from airflow.sdk import CronTriggerTimetable
    except ImportError:  # Airflow 3.1
        from airflow.timetables.trigger import CronTriggerTimetable

    return CronTriggerTimetable(schedule.cron, timezone=schedule.timezone)


def _timetable(path: str, arguments: Mapping[str, Any]) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)(**arguments)
