"""A log that is read on and off, with overlaps, gives each of its entries once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.execution.targets.log_window import LogWindow

BEGUN = datetime(2026, 11, 21, 23, 59, 50, tzinfo=UTC)


def entry(seconds, text, stream="stdout"):
    stamp = (BEGUN + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
    return stream, f"{stamp} {text}\n".encode()


def read(window, log):
    """Read what an engine gives that was asked for what is not older than the window."""
    since = window.since
    given_back = [
        item
        for item in log
        if since is None or datetime.fromisoformat(item[1][:26].decode() + "Z").timestamp() >= since
    ]
    return [text.decode().strip() for _, text in window.new(given_back)]


def test_the_first_look_reads_all_and_later_ones_what_is_new():
    window, log = LogWindow(), [entry(0, "a"), entry(1, "b")]
    assert read(window, log) == ["a", "b"]
    assert read(window, log) == []
    log += [entry(1, "b"), entry(100, "c")]
    assert read(window, log) == ["b", "c"]
    log += [entry(100, "c"), entry(101, "d")]
    assert read(window, log) == ["c", "d"]


def test_entries_that_are_given_though_they_are_older_were_read():
    window = LogWindow()
    log = [entry(0, "a"), entry(60, "b")]
    assert [text for _, text in window.new(log)] == [b"a\n", b"b\n"]
    assert [text for _, text in window.new([*log, entry(61, "c")])] == [b"c\n"]


def test_an_entry_that_comes_after_a_later_one_of_the_other_stream_is_read():
    window, log = LogWindow(), [entry(0, "a"), entry(1.5, "c")]
    assert read(window, log) == ["a", "c"]
    log.append(entry(1.2, "b", "stderr"))
    assert read(window, log) == ["b"]


@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.sampled_from("abc"), st.sampled_from(("stdout", "stderr"))),
        max_size=30,
    ),
    st.lists(st.integers(0, 30), max_size=6),
)
def test_however_often_it_is_read_each_entry_comes_once(written, looks):
    log = [entry(*item) for item in sorted(written)]
    window, found = LogWindow(), []
    for end in [*sorted(looks), len(log)]:
        found += window.new(log[:end])
    assert [(stream, text) for stream, text in found] == [(s, d.partition(b" ")[2]) for s, d in log]
