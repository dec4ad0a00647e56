from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.core.publishing.recurrence import Recurrence, find_zone, parse_clock


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times(recurrence: Recurrence, after: str, count: int) -> list[str]:
    found, moment = [], utc(after)
    for _ in range(count):
        moment = recurrence.after(moment)
        found.append(moment.astimezone(recurrence.zone).isoformat())
    return found


START = datetime.fromisoformat("2026-03-20T09:30")

CASES = {
    "every quarter of an hour": (
        {"frequency": "Minute", "interval": 15},
        "2026-03-20T10:01",
        ["2026-03-20T10:15:00+00:00", "2026-03-20T10:30:00+00:00"],
    ),
    "hours pass where the clocks are put forward": (
        {"frequency": "Hour", "interval": 6, "time_zone": "Europe/Berlin"},
        "2026-03-28T20:00",
        ["2026-03-28T21:30:00+01:00", "2026-03-29T04:30:00+02:00"],
    ),
    "a day keeps its time of day where the clocks are put forward": (
        {"frequency": "Day", "interval": 1, "time_zone": "Europe/Berlin"},
        "2026-03-27T12:00",
        ["2026-03-28T09:30:00+01:00", "2026-03-29T09:30:00+02:00", "2026-03-30T09:30:00+02:00"],
    ),
    "and where they are put back": (
        {"frequency": "Day", "interval": 1, "time_zone": "Europe/Berlin"},
        "2026-10-23T12:00",
        ["2026-10-24T09:30:00+02:00", "2026-10-25T09:30:00+01:00"],
    ),
    "a time that does not exist is an hour later": (
        {"frequency": "Day", "interval": 1, "time_zone": "Europe/Berlin", "hours": (2,), "minutes": (30,)},
        "2026-03-28T03:00",
        ["2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00"],
    ),
    "of two equal times the first counts": (
        {"frequency": "Day", "interval": 1, "time_zone": "Europe/Berlin", "hours": (2,), "minutes": (30,)},
        "2026-10-24T03:00",
        ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
    ),
    "every third day": (
        {"frequency": "Day", "interval": 3},
        "2026-03-20T10:00",
        ["2026-03-23T09:30:00+00:00", "2026-03-26T09:30:00+00:00"],
    ),
    "several times a day": (
        {"frequency": "Day", "interval": 1, "hours": (6, 18), "minutes": (0, 45)},
        "2026-03-21T00:00",
        [f"2026-03-21T{clock}:00+00:00" for clock in ("06:00", "06:45", "18:00", "18:45")],
    ),
    "every second week on two days": (
        {"frequency": "Week", "interval": 2, "week_days": ("Monday", "Friday")},
        "2026-03-20T08:00",
        ["2026-03-20T09:30:00+00:00", "2026-03-30T09:30:00+00:00", "2026-04-03T09:30:00+00:00"],
    ),
    "the day of the week of the start": (
        {"frequency": "Week", "interval": 1},
        "2026-03-20T10:00",
        ["2026-03-27T09:30:00+00:00"],
    ),
    "every month, without those that lack the day": (
        {"frequency": "Month", "interval": 1, "start": datetime.fromisoformat("2026-01-31T09:30")},
        "2026-01-31T10:00",
        ["2026-03-31T09:30:00+00:00", "2026-05-31T09:30:00+00:00"],
    ),
    "nothing before the start": (
        {"frequency": "Day", "interval": 1, "hours": (6,), "minutes": (0,)},
        "2020-01-01T00:00",
        ["2026-03-21T06:00:00+00:00"],
    ),
}


@pytest.mark.parametrize(("fields", "after", "expected"), CASES.values(), ids=CASES)
def test_the_next_times_are(fields, after, expected):
    recurrence = Recurrence(**{"start": START, **fields})
    assert times(recurrence, after, len(expected)) == expected


def recurrences():
    return st.builds(
        lambda frequency, interval, hours, days, zone: Recurrence(
            frequency=frequency,
            interval=interval,
            start=START,
            time_zone=zone,
            hours=hours if frequency in ("Day", "Week") else (),
            week_days=days if frequency == "Week" else (),
        ),
        st.sampled_from(["Minute", "Hour", "Day", "Week", "Month"]),
        st.integers(1, 9),
        st.lists(st.integers(0, 23), max_size=3, unique=True).map(lambda found: tuple(sorted(found))),
        st.sampled_from([(), ("Monday",), ("Sunday", "Wednesday")]),
        st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    )


moments = st.integers(0, 4 * 365 * 24 * 60).map(
    lambda minutes: utc("2025-01-01") + timedelta(minutes=minutes)
)


@given(recurrences(), moments)
def test_a_time_is_the_last_one_until_the_next(recurrence, moment):
    following = recurrence.after(moment)
    assert following > moment
    assert recurrence.before(following) == following
    last = recurrence.before(moment)
    if last is not None:
        assert last <= moment
        assert recurrence.after(last) == following


@given(recurrences())
def test_it_is_stored_and_read_again(recurrence):
    assert msgspec.convert(msgspec.to_builtins(recurrence), Recurrence) == recurrence


def test_a_start_with_an_offset_is_that_moment():
    start = datetime(2026, 3, 20, 9, 30, tzinfo=ZoneInfo("Asia/Kolkata"))
    recurrence = Recurrence(frequency="Day", interval=1, start=start, time_zone="Europe/Berlin")
    assert recurrence.after(start - timedelta(days=1)) == start
    assert times(recurrence, "2026-03-29T12:00", 1) == ["2026-03-30T05:00:00+02:00"]


def test_windows_names_of_time_zones_are_known():
    assert find_zone("Pacific Standard Time").key == "America/Los_Angeles"


@pytest.mark.parametrize("name", ["Europe/Berlun", "", "../etc/passwd", "Mars/Olympus", "/etc/localtime"])
def test_a_time_zone_that_is_none_is_refused(name):
    with pytest.raises(DefinitionError, match="there is no time zone"):
        find_zone(name)


def test_a_time_zone_that_is_almost_one_is_named():
    with pytest.raises(DefinitionError, match="Did you mean 'Europe/Berlin'"):
        find_zone("Europe/Berlun")


@pytest.mark.parametrize("text", ["9", "24:00", "9:61", "nine", ""])
def test_a_time_of_day_that_is_none_is_refused(text):
    with pytest.raises(DefinitionError, match="hh:mm"):
        parse_clock(text)
