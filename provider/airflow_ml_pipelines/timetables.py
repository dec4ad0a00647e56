"""The timetable of schedules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable  # noqa: TID253

from airflow_ml_pipelines.core.documents import convert
from airflow_ml_pipelines.core.publishing.recurrence import Recurrence

__all__ = ["RecurrenceTimetable"]


class RecurrenceTimetable(Timetable):  # type: ignore[misc]
    """Runs at the times of a :class:`~airflow_ml_pipelines.core.publishing.recurrence.Recurrence`.

    After a while without a scheduler, of the times that were missed the last is made up for, besides the one that
    Airflow had noted as the next already; or all of them, where the DAG's ``catchup`` asks for that.
    """

    def __init__(self, recurrence: Recurrence) -> None:
        self.recurrence = recurrence

    @property
    def summary(self) -> str:
        """What Airflow's UI shows."""
        item = self.recurrence
        unit = item.frequency.lower()
        return f"every {unit}" if item.interval == 1 else f"every {item.interval} {unit}s"

    @property
    def description(self) -> str:
        """What Airflow's UI tells about it."""
        item = self.recurrence
        parts = [self.summary]
        if item.week_days:
            parts.append("on " + ", ".join(item.week_days))
        if item.hours or item.minutes:
            times = [
                f"{hour:02}:{minute:02}"
                for hour in item.hours or (item.start.hour,)
                for minute in item.minutes or (0,)
            ]
            parts.append("at " + ", ".join(times))
        return " ".join([*parts, f"({item.time_zone})"])

    def serialize(self) -> dict[str, Any]:
        """Return what the timetable is made from."""
        document: dict[str, Any] = msgspec.to_builtins(self.recurrence)
        return document

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> RecurrenceTimetable:
        """Return the timetable that was serialised."""
        return cls(convert(data, Recurrence))

    def infer_manual_data_interval(self, *, run_after: Any) -> DataInterval:
        """Return the moment of a run that somebody starts."""
        return DataInterval.exact(run_after)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return when the next run is to begin, None where there is none."""
        now = datetime.now(UTC)
        earliest, latest = _plain(restriction.earliest), _plain(restriction.latest)
        if last_automated_data_interval is not None:
            found = self.recurrence.after(_plain(last_automated_data_interval.end))
            missed = None if restriction.catchup else self.recurrence.before(now)
            if missed is not None and missed > found:
                found = missed
        elif earliest is not None and restriction.catchup:
            begins = self.recurrence.before(earliest) == earliest
            found = earliest if begins else self.recurrence.after(earliest)
        else:
            found = self.recurrence.after(max(now, earliest or now))
        if latest is not None and found > latest:
            return None
        return DagRunInfo.exact(pendulum.instance(found))


def _plain(moment: Any) -> Any:
    """Return a moment of Airflow's as the standard library's: differences of the others can't be divided by it."""
    return None if moment is None else datetime.fromtimestamp(moment.timestamp(), UTC)
