"""Long work on a terminal."""

from __future__ import annotations

import io
import re
import time

import pytest

from airflow_ml_pipelines.core.progress import advance, measured
from dag_factory.terminal import meters
from dag_factory.terminal.meters import Meters
from dag_factory.terminal.printing import print_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(meters, "_SLOW", 0.05)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


def work(seconds: float = 0.6) -> None:
    with measured("reading /data", 1000):
        advance(250)
        time.sleep(seconds / 2)
        advance(500)
        time.sleep(seconds / 2)


def plain(stream: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())


def test_long_work_shows_an_amount_a_rate_and_the_time_that_is_left():
    stream = Terminal()
    with Meters(stream):
        work()
    assert re.search(r"reading /data: 750 B of 1.0 kB, [\d.]+ k?B/s, \d+\.\d s left", plain(stream))


def test_it_takes_its_lines_away_again():
    stream = Terminal()
    with Meters(stream):
        work()
    assert "reading" not in stream.getvalue().rpartition("\033[2K")[2]  # after the line was cleared
    assert (
        stream.getvalue().count("\033[?25h") >= stream.getvalue().count("\033[?25l") > 0
    )  # the cursor is back


def test_work_that_is_soon_done_is_not_shown(monkeypatch):
    monkeypatch.setattr(meters, "_SLOW", 10)
    stream = Terminal()
    with Meters(stream):
        work(0.05)
    assert stream.getvalue() == ""


def test_nothing_is_shown_where_no_terminal_is():
    stream = io.StringIO()
    with Meters(stream):
        work()
    assert stream.getvalue() == ""


def test_a_line_can_be_printed_meanwhile():
    stream = Terminal()
    with Meters(stream) as shown, measured("reading /data", 1000):
        advance(250)
        time.sleep(0.3)
        shown.hide()
        print_line("a line", stream=stream)
        time.sleep(0.3)
    before, _, after = plain(stream).partition("a line\n")
    assert "reading /data" in before
    assert "reading /data" in after


def test_no_colour_is_no_colour(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    with Meters(stream):
        work()
    assert not re.search(
        r"\x1b\[[0-9;]*[1-9][0-9;]*m", stream.getvalue().replace("\x1b[1m", "").replace("\x1b[2m", "")
    )


def test_an_error_takes_the_lines_away_too():
    stream = Terminal()

    def interrupted() -> None:
        with Meters(stream), measured("reading /data", 1000):
            time.sleep(0.3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert stream.getvalue().count("\033[?25h") >= stream.getvalue().count("\033[?25l") > 0
