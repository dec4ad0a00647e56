from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction  # noqa: TID253

from airflow_ml_pipelines import timetables
from airflow_ml_pipelines.core.publishing.recurrence import Recurrence
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


def scheduled(monkeypatch, recurrence, start, *, days, pause=(0, 0)):
    """Return when runs begin, as a scheduler that looks every ten minutes finds them: from the timetable that it stored.

    :param pause: between which days it does not look at all.
    """
    from airflow.serialization.serialized_objects import decode_timetable, encode_timetable

    timetable = decode_timetable(encode_timetable(RecurrenceTimetable(recurrence)))
    now, begun = start, []

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return now.astimezone(tz)

    monkeypatch.setattr(timetables, "datetime", Clock)
    last = None
    info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction())
    while now < start + timedelta(days=days):
        away = timedelta(days=pause[0]) <= now - start < timedelta(days=pause[1])
        if info.run_after <= now and not away:
            begun.append(info.run_after)
            last = info.data_interval
            info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction())
        now += timedelta(minutes=10)
    return [f"{moment.astimezone(UTC):%d %H:%M}" for moment in begun]


@pytest.mark.parametrize(
    ("zone", "clock", "start", "expected"),
    [
        # the clocks of Berlin are put forward on 29 March 2026 at 2:00, to 3:00
        ("Europe/Berlin", "06:30", "2026-03-28", ["28 05:30", "29 04:30", "30 04:30"]),
        ("Europe/Berlin", "02:30", "2026-03-28", ["28 01:30", "29 01:30", "30 00:30"]),  # there is no 2:30
        ("W. Europe Standard Time", "06:30", "2026-03-28", ["28 05:30", "29 04:30", "30 04:30"]),
        # … and back on 25 October at 3:00, to 2:00
        ("Europe/Berlin", "06:30", "2026-10-24", ["24 04:30", "25 05:30", "26 05:30"]),
        ("Europe/Berlin", "02:30", "2026-10-24", ["24 00:30", "25 00:30", "26 01:30"]),  # it is 2:30 twice
        # New York: on 8 March and on 1 November
        ("America/New_York", "23:00", "2026-03-07", ["07 04:00", "08 04:00", "09 03:00"]),
        ("America/New_York", "01:30", "2026-10-31", ["31 05:30", "01 05:30", "02 06:30"]),
        # by half an hour, on the southern half
        ("Australia/Lord_Howe", "12:00", "2026-10-03", ["03 01:30", "04 01:00", "05 01:00"]),
    ],
)
def test_over_a_change_of_the_clocks_runs_keep_to_the_clock(monkeypatch, zone, clock, start, expected):
    hour, minute = map(int, clock.split(":"))
    recurrence = Recurrence(
        frequency="Day",
        interval=1,
        start=datetime.fromisoformat("2020-01-01T00:00"),
        time_zone=zone,
        hours=(hour,),
        minutes=(minute,),
    )
    begin = datetime.fromisoformat(f"{start}T00:00+00:00")
    assert scheduled(monkeypatch, recurrence, begin, days=3) == expected


def test_over_a_change_of_the_clocks_hours_pass_at_their_own_pace(monkeypatch):
    recurrence = Recurrence(
        frequency="Hour",
        interval=6,
        start=datetime.fromisoformat("2026-03-28T00:00"),
        time_zone="Europe/Berlin",
    )
    begin = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert scheduled(monkeypatch, recurrence, begin, days=1) == [
        "28 17:00",
        "28 23:00",
        "29 05:00",
        "29 11:00",
    ]


def test_after_days_without_a_scheduler_the_run_that_was_due_and_the_last_are_made_up_for(monkeypatch):
    begin = datetime(2026, 3, 26, tzinfo=UTC)
    found = scheduled(monkeypatch, DAILY, begin, days=7, pause=(1, 5))
    assert found == ["26 05:30", "27 05:30", "30 04:30", "31 04:30", "01 04:30"]


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
