"""Schedules: when a pipeline runs by itself."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from dag_factory.models.fields import ANY_TEXT, DefinitionModel, Duration, Strings

__all__ = [
    "ScheduleDefinition",
]


class ScheduleDefinition(DefinitionModel):
    """When the pipeline runs by itself: exactly one of ``cron``, ``every``, ``datasets``, ``assets`` and ``timetable``.

    :param cron: a cron expression or a preset such as ``@daily``.
    :param timezone: of the cron expression, such as ``Europe/Berlin``; UTC where left out.
    :param every: the time between two runs, in seconds, or text such as ``1h30m``.
    :param datasets: names of datasets of the workspace, which steps of other pipelines register; as ``assets``.
    :param assets: names or URIs of assets; a run starts when ``all`` (or ``any``) of them were updated.
    :param mode: whether ``all`` of the assets have to be updated, or ``any``.
    :param timetable: the import path of a timetable class.
    :param arguments: of the timetable class.
    """

    short_forms: ClassVar = (ANY_TEXT,)

    cron: str | None = None
    timezone: str | None = None
    every: Duration | None = None
    datasets: Strings = ()
    assets: Strings = ()
    mode: Literal["all", "any"] = "all"
    timetable: str | None = None
    arguments: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"cron": value} if isinstance(value, str) else value
