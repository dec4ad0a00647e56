from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction  # noqa: TID253

from airflow_ml_pipelines.core.recurrence import Recurrence
from airflow_ml_pipelines.timetables import RecurrenceTimetable

DAILY = Recurrence(
    frequency="Day",
    interval=1,
    start=datetime.fromisoformat("2020-01-01T06:00"),
    time_zone="Europe/Berlin",
    hours=(6,),
    minutes=(30,),
)


def restriction(earliest=None, latest=None, *, catchup=False):
    return TimeRestriction(earliest=earliest, latest=latest, catchup=catchup)


def next_after(moment, timetable=None, **limits):
    interval = None if moment is None else DataInterval.exact(pendulum.instance(moment))
    found = (timetable or RecurrenceTimetable(DAILY)).next_dagrun_info(
        last_automated_data_interval=interval, restriction=restriction(**limits)
    )
    return None if found is None else found.run_after


def test_the_first_run_is_the_next_time():
    first = next_after(None)
    assert datetime.now(UTC) < first <= datetime.now(UTC) + timedelta(days=1, hours=1)


@pytest.mark.parametrize("frequency", ["Minute", "Hour", "Day", "Week", "Month"])
def test_every_frequency_goes_on_from_the_last_run(frequency):
    recurrence = Recurrence(frequency=frequency, interval=1, start=datetime.fromisoformat("2026-01-01T00:00"))
    last = recurrence.before(datetime.now(UTC))
    assert next_after(last, RecurrenceTimetable(recurrence)) == recurrence.after(last)


def test_of_many_missed_runs_the_last_is_made_up_for():
    found = next_after(datetime(2026, 1, 1, 5, 30, tzinfo=UTC))
    assert datetime.now(UTC) - timedelta(days=1, hours=1) < found <= datetime.now(UTC)


def test_catch_up_makes_up_for_all():
    assert next_after(datetime(2026, 1, 1, 5, 30, tzinfo=UTC), catchup=True) == datetime(
        2026, 1, 2, 5, 30, tzinfo=UTC
    )
    start = pendulum.datetime(2026, 1, 1, 5, 30)
    assert next_after(None, earliest=start, catchup=True) == start


def test_there_is_no_run_after_the_end():
    assert next_after(None, latest=pendulum.datetime(2021, 1, 1)) is None


def test_it_survives_serialisation():
    timetable = RecurrenceTimetable(DAILY)
    assert RecurrenceTimetable.deserialize(timetable.serialize()).recurrence == DAILY


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"frequency": "Hour", "interval": 1}, "every hour (UTC)"),
        ({"frequency": "Minute", "interval": 5}, "every 5 minutes (UTC)"),
        (
            {"frequency": "Week", "interval": 2, "week_days": ("Monday",), "hours": (6, 18)},
            "every 2 weeks on Monday at 06:00, 18:00 (UTC)",
        ),
    ],
)
def test_it_says_when_it_runs(fields, text):
    assert (
        RecurrenceTimetable(
            Recurrence(start=datetime.fromisoformat("2026-01-01T00:00"), **fields)
        ).description
        == text
    )
