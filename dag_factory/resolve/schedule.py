"""Checks when a pipeline runs by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_ml_pipelines.core.errors import did_you_mean
from airflow_ml_pipelines.core.spec import ParameterSpec
from airflow_ml_pipelines.written.problems import Path, Problem

if TYPE_CHECKING:
    from dag_factory.models.pipeline import PipelineModel
    from dag_factory.models.schedule import ScheduleDefinition

__all__ = ["PRESETS", "check_schedule"]

PRESETS = ("@once", "@continuous", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
"""Words that may stand for a cron expression."""

_CRON_FIELD = re.compile(r"[A-Za-z0-9*/,?#-]+")
_CRON_NUMBER = re.compile(r"(?<![A-Za-z0-9/#])[0-9]+(?![A-Za-z0-9])")
"""A number of a field that is neither a step nor the week of a month."""

_CRON_RANGES = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 7),
    ("second", 0, 59),
)
_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_KINDS = ("cron", "every", "datasets", "assets", "timetable")


def check_schedule(
    definition: PipelineModel, parameters: Mapping[str, ParameterSpec], problems: list[Problem]
) -> None:
    """Find what is wrong with a pipeline's schedule and dates."""
    start, end = definition.start_date, definition.end_date
    if start and end and start > end:
        problems.append(Problem(("end_date",), f"{end:%Y-%m-%d} is before the start date, {start:%Y-%m-%d}"))
    if definition.catchup and start is None:
        problems.append(
            Problem(("catchup",), "there is nothing to catch up on without a `start_date`", at_key=True)
        )
    schedule = definition.schedule
    if schedule is None:
        return
    path: Path = ("schedule",)
    given = [kind for kind in _KINDS if getattr(schedule, kind) not in (None, ())]
    if len(given) != 1:
        found = " and ".join(f"`{kind}`" for kind in given) or "none of them"
        problems.append(
            Problem(
                path,
                f"expected one of `cron`, `every`, `datasets`, `assets` and `timetable`, found {found}",
                at_key=True,
            )
        )
        return
    for field, kinds in (
        ("timezone", ("cron",)),
        ("mode", ("datasets", "assets")),
        ("arguments", ("timetable",)),
    ):
        if field in schedule.model_fields_set and not set(given) & set(kinds):
            meant = " or ".join(f"`{kind}`" for kind in kinds)
            problems.append(Problem((*path, field), f"means something with {meant} only", at_key=True))
    for name, parameter in parameters.items():
        if parameter.required:
            message = "a pipeline with a schedule needs a default for every parameter: add `default`"
            problems.append(Problem(("parameters", name), message, at_key=True))
    _check_kind(schedule, path, problems)


def _check_kind(schedule: ScheduleDefinition, path: Path, problems: list[Problem]) -> None:
    if schedule.cron is not None:
        _check_cron(schedule.cron, (*path, "cron"), problems)
    if schedule.timezone is not None:
        _check_timezone(schedule.timezone, (*path, "timezone"), problems)
    if schedule.every is not None and schedule.every < 1:
        problems.append(Problem((*path, "every"), "expected at least one second"))
    if schedule.timetable is not None and not _CLASS.fullmatch(schedule.timetable):
        problems.append(
            Problem((*path, "timetable"), f"expected a class as `module.Class`, found {schedule.timetable!r}")
        )


def _check_cron(cron: str, path: Path, problems: list[Problem]) -> None:
    if cron.startswith("@"):
        if cron not in PRESETS:
            problems.append(Problem(path, f"there is no preset {cron!r}.{did_you_mean(cron, PRESETS)}"))
        return
    fields = cron.split()
    if len(fields) not in (5, 6) or not all(_CRON_FIELD.fullmatch(field) for field in fields):
        problems.append(
            Problem(
                path,
                f"expected a cron expression such as '0 6 * * *' or a preset such as @daily, found {cron!r}",
            )
        )
        return
    for field, (what, low, high) in zip(fields, _CRON_RANGES, strict=False):
        wrong = [number for number in _CRON_NUMBER.findall(field) if not low <= int(number) <= high]
        if wrong:
            text = f"the {what} of a cron expression is from {low} to {high}, found {wrong[0]} in {cron!r}"
            problems.append(Problem(path, text))


def _check_timezone(name: str, path: Path, problems: list[Problem]) -> None:
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        close = did_you_mean(name, zoneinfo.available_timezones()).split(" There are:")[0]
        problems.append(Problem(path, f"there is no time zone {name!r}.{close}".rstrip(".")))
