"""When a schedule runs: every so many minutes, hours, days, weeks or months, in a time zone.

Minutes and hours pass at their own pace; days, weeks and months follow the clocks of the time zone. Where the clocks are
put forward, a time that does not exist is an hour later; where they are put back, the first of two equal times counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from airflow_ml_pipelines.core.errors import DefinitionError, did_you_mean

__all__ = ["FREQUENCIES", "WEEK_DAYS", "Frequency", "Recurrence", "find_zone", "parse_clock"]

Frequency = Literal["Minute", "Hour", "Day", "Week", "Month"]

FREQUENCIES: tuple[Frequency, ...] = get_args(Frequency)

WEEK_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_STEPS = {"Minute": timedelta(minutes=1), "Hour": timedelta(hours=1)}


class Recurrence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """Times that come again.

    :param start: the first moment that may be one; the clock time of the others, where ``hours`` and ``minutes`` don't
        say it. Without an offset it is a time of the time zone.
    :param time_zone: an IANA name, such as ``Europe/Berlin``, or a Windows one, such as ``W. Europe Standard Time``.
    :param hours: 0 to 23, for days and weeks.
    :param minutes: 0 to 59, for days and weeks.
    :param week_days: for weeks; that of ``start`` where there are none.
    """

    frequency: Frequency
    interval: int
    start: datetime
    time_zone: str = "UTC"
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    week_days: tuple[str, ...] = ()

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone. :raises DefinitionError: where there is none of that name."""
        return find_zone(self.time_zone)

    def after(self, moment: datetime) -> datetime:
        """Return the first time after a moment, in UTC.

        :param moment: with an offset.
        """
        first = self._aware_start
        if self.frequency in _STEPS:
            step = _STEPS[self.frequency] * self.interval
            passed = (moment - first) // step + 1 if moment >= first else 0
            return first + passed * step
        return next(item for item in self._local_times(moment) if item > moment)

    def before(self, moment: datetime) -> datetime | None:
        """Return the last time that is not after a moment, in UTC; None where there is none."""
        if moment < self._aware_start:
            return None
        if self.frequency in _STEPS:
            return self.after(moment) - _STEPS[self.frequency] * self.interval
        last = None
        for item in self._local_times(moment, back=True):
            if item > moment:
                break
            last = item
        return last

    @property
    def _aware_start(self) -> datetime:
        start = self.start if self.start.tzinfo else self.start.replace(tzinfo=self.zone)
        return start.astimezone(UTC)

    def _local_times(self, moment: datetime, *, back: bool = False) -> Iterator[datetime]:
        """Yield times from about a moment on, in order."""
        from dateutil.rrule import DAILY, MONTHLY, WEEKLY, rrule

        start = self._aware_start.astimezone(self.zone).replace(tzinfo=None)
        unit: Any = {"Day": DAILY, "Week": WEEKLY, "Month": MONTHLY}[self.frequency]
        options: dict[str, Any] = {"interval": self.interval}
        if self.frequency != "Month":
            options |= {
                "byhour": self.hours or start.hour,
                "byminute": self.minutes or start.minute,
                "bysecond": 0,
            }
        if self.frequency == "Week":
            options["byweekday"] = [WEEK_DAYS.index(day) for day in self.week_days] or start.weekday()
        # an hour or more is lost and won where clocks change, so a day is enough on either side
        near = moment.astimezone(self.zone).replace(tzinfo=None) - timedelta(days=1)
        rule = rrule(unit, dtstart=start, **options)
        if back:
            earlier = rule.before(near)
            if earlier is not None:
                yield self._to_utc(earlier)
        last: datetime | None = None
        for local in rule.xafter(near, inc=True):
            found = self._to_utc(local)
            if found >= self._aware_start and (last is None or found > last):
                last = found
                yield found

    def _to_utc(self, local: datetime) -> datetime:
        return local.replace(tzinfo=self.zone).astimezone(UTC)


def find_zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA or Windows name. :raises DefinitionError: where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        from tzlocal.windows_tz import win_tz

        if name in win_tz:
            return ZoneInfo(win_tz[name])
        from zoneinfo import available_timezones

        known = (*available_timezones(), *win_tz)
        close = did_you_mean(name, known).split(" There are:")[0]
        raise DefinitionError(
            f"there is no time zone {name!r}: expected a name such as 'Europe/Berlin' or 'Pacific Standard Time'."
            f"{close}"
        ) from None


def parse_clock(text: str) -> time:
    """Return the time of ``hh:mm``. :raises DefinitionError: where it is none."""
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a clock's time has no date
    except ValueError:
        raise DefinitionError(f"expected a time of day as 'hh:mm', found {text!r}") from None
