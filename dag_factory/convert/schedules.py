"""Turns schedules of Azure ML into fields of definitions."""

from __future__ import annotations

from typing import Any

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.core.publishing.recurrence import WEEK_DAYS, find_zone
from dag_factory.convert.parts import Part

__all__ = ["read_trigger"]

_UNITS = {"minute": "m", "hour": "h"}


def read_trigger(part: Part) -> dict[str, Any]:
    """Return the schedule, the start date and the end date that a trigger stands for."""
    fields: dict[str, Any] = {}
    for name, field in (("start_time", "start_date"), ("end_time", "end_date")):
        if (moment := part.text(name)) is not None:
            fields[field] = moment
    zone = _zone(part)
    cron = part.text("expression") if part.text("type") == "cron" else _recurrence(part, fields)
    part.note_rest({})
    if cron is not None:
        fields["schedule"] = {"cron": cron, "timezone": zone} if zone else cron
    return fields


def _zone(part: Part) -> str | None:
    field = "time_zone" if "time_zone" in part.value else "timezone"
    text = part.text(field)
    if text is None:
        return None
    try:
        return find_zone(text).key
    except DefinitionError as error:
        part.note(str(error), field)
        return None


def _recurrence(part: Part, fields: dict[str, Any]) -> str | None:
    """Return the cron expression of a recurrence; None for one that is so many minutes or hours."""
    frequency, interval = part.text("frequency"), part.take("interval") or 1
    pattern = part.part("schedule") or part.part("pattern")
    if frequency in _UNITS and pattern is None:
        fields["schedule"] = {"every": f"{interval}{_UNITS[frequency]}"}
        return None
    if frequency not in ("day", "week", "month") or interval != 1:
        part.note(f"every {interval} {frequency}s: no cron expression says that", "interval")
        return None
    minutes, hours = (
        ("0", "0") if pattern is None else (_numbers(pattern, "minutes"), _numbers(pattern, "hours"))
    )
    days, months = "*", "*"
    if pattern is not None:
        days = _days(pattern) if frequency == "week" else "*"
        months = _numbers(pattern, "month_days") if frequency == "month" else "*"
        pattern.note_rest({})
    elif frequency != "day":
        days, months = ("1", "*") if frequency == "week" else ("*", "1")
    return f"{minutes} {hours} {months} * {days}"


def _numbers(part: Part, field: str) -> str:
    value = part.take(field)
    items = value if isinstance(value, list) else [0 if value is None else value]
    return ",".join(str(item) for item in items)


def _days(part: Part) -> str:
    value = part.take("week_days")
    days = value if isinstance(value, list) else [value]
    known = {day.lower(): str(number % 7) for number, day in enumerate(WEEK_DAYS, 1)}
    return ",".join(known[str(day).lower()] for day in days if str(day).lower() in known) or "*"
