"""When a schedule runs, as the code that writes pipelines says it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from airflow_ml_pipelines.core.errors import DefinitionError, did_you_mean
from airflow_ml_pipelines.core.publishing.recurrence import (
    FREQUENCIES,
    WEEK_DAYS,
    Recurrence,
    find_zone,
    parse_clock,
)
from dag_factory._check import checked, expect, kind_of

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.publishing.recurrence import Frequency

__all__ = ["ScheduleRecurrence", "one_of"]

_BY_CLOCK = ("Day", "Week")


class ScheduleRecurrence:
    """When a schedule runs.

    :param frequency: ``Minute``, ``Hour``, ``Day``, ``Week`` or ``Month``.
    :param interval: how many of these lie between two runs.
    :param start_time: the first moment that may be one, as ``2026-11-21T09:00:00``; now if left out.
    :param time_zone: an IANA or a Windows name; UTC if left out.
    :param hours: the hours of the day (0 to 23), for days and weeks.
    :param minutes: the minutes of the hour (0 to 59), for days and weeks.
    :param week_days: such as ``Monday``, for weeks.
    :param time_of_day: ``hh:mm`` in place of hours and minutes.
    :raises DefinitionError: where these don't go together.
    """

    @checked
    def __init__(
        self,
        frequency: str,
        interval: int,
        start_time: datetime | str | None = None,
        time_zone: str | None = None,
        hours: Sequence[int] | None = None,
        minutes: Sequence[int] | None = None,
        week_days: Sequence[str] | None = None,
        time_of_day: str | None = None,
    ) -> None:
        self.frequency = one_of("frequency", frequency, FREQUENCIES)
        expect("ScheduleRecurrence(interval=…)", interval, int, what="a number from 1 on")
        if interval < 1:
            raise DefinitionError(
                f"ScheduleRecurrence(interval=…): expected a number from 1 on, found {interval}"
            )
        self.interval = interval
        self.time_zone = time_zone or "UTC"
        zone = find_zone(self.time_zone)
        self.start_time = _moment(start_time) or datetime.now(zone).replace(microsecond=0, tzinfo=None)
        if time_of_day is not None:
            if hours or minutes:
                raise DefinitionError("ScheduleRecurrence: give time_of_day, or hours and minutes")
            clock = parse_clock(time_of_day)
            hours, minutes = [clock.hour], [clock.minute]
        self.hours = _numbers("hours", hours, 23)
        self.minutes = _numbers("minutes", minutes, 59)
        self.week_days = tuple(one_of("week_days", day, WEEK_DAYS) for day in week_days or ())
        if (self.hours or self.minutes) and self.frequency not in _BY_CLOCK:
            raise DefinitionError(
                "ScheduleRecurrence: hours, minutes and time_of_day are for the frequencies Day and Week, "
                f"not for {self.frequency}"
            )
        if self.week_days and self.frequency != "Week":
            raise DefinitionError(
                f"ScheduleRecurrence: week_days are for the frequency Week, not for {self.frequency}"
            )

    def __repr__(self) -> str:
        return f"ScheduleRecurrence({self.frequency!r}, {self.interval})"

    def to_spec(self) -> Recurrence:
        """Return what is kept of it."""
        return Recurrence(
            frequency=cast("Frequency", self.frequency),
            interval=self.interval,
            start=self.start_time,
            time_zone=self.time_zone,
            hours=self.hours,
            minutes=self.minutes,
            week_days=self.week_days,
        )

    @classmethod
    def from_spec(cls, spec: Recurrence) -> ScheduleRecurrence:
        """Return the recurrence that was kept."""
        return cls(
            spec.frequency,
            spec.interval,
            spec.start,
            spec.time_zone,
            spec.hours,
            spec.minutes,
            spec.week_days,
        )


def one_of(field: str, value: Any, known: Sequence[str]) -> str:
    """Return a word that is one of some. :raises DefinitionError: where it is none of them."""
    if value not in known:
        shown = kind_of(value)
        raise DefinitionError(f"{field}: found {shown}.{did_you_mean(str(value), known)}")
    return str(value)


def _numbers(field: str, values: Any, highest: int) -> tuple[int, ...]:
    if values is None:
        return ()
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(f"ScheduleRecurrence({field}=…): expected a list of numbers, found {kind_of(values)}")
    for value in values:
        if type(value) is not int or not 0 <= value <= highest:
            raise DefinitionError(
                f"ScheduleRecurrence({field}=…): expected numbers from 0 to {highest}, found {kind_of(value)}"
            )
    return tuple(sorted(set(values)))


def _moment(value: Any) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    expect("ScheduleRecurrence(start_time=…)", value, str, what="a time such as 2026-11-21T09:00:00")
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise DefinitionError(
            f"ScheduleRecurrence(start_time=…): expected a time such as 2026-11-21T09:00:00, found {value!r}"
        ) from None
    return found.astimezone(UTC) if found.tzinfo else found
