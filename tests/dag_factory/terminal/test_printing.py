"""How results are printed."""

from __future__ import annotations

import io
import json

import pytest

from airflow_ml_pipelines.core.runs.folder import PlanDocument
from dag_factory.terminal.printing import paint, print_json, print_line, print_table

RED = "\033[31m"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")


def printed(rows, head=("STEP", "STATUS", "REASON"), stream=None) -> str:
    stream = stream or io.StringIO()
    print_table(head, rows, stream)
    return stream.getvalue()


def test_columns_are_aligned_and_no_line_ends_in_spaces():
    text = printed([("a", "run", "x"), ("a longer one", "reuse", "")])
    assert text == "STEP          STATUS  REASON\na             run     x\na longer one  reuse\n"


def test_wide_characters_count_for_two_columns():
    _, first, second = printed([("漢字", "run", "x"), ("abcd", "run", "x")]).splitlines()
    assert first == "漢字  run     x"
    assert second == "abcd  run     x"


def test_on_a_pipe_a_row_is_a_line_and_nothing_is_cut():
    long = "word " * 500 + "end"
    assert printed([("a" * 200, "run", long)]).splitlines()[1].split(None, 2) == ["a" * 200, "run", long]


def test_on_a_terminal_long_cells_are_wrapped_to_its_width():
    text = printed([("a", "run", "word " * 50)], stream=Terminal())
    lines = text.splitlines()
    assert max(map(len, lines[1:])) <= 60
    assert text.count("word") == 50


@pytest.mark.parametrize("text", ["[bold]x[/bold]", "[/]", ":smile:", "\\[x]", "{x!r} %s"])
def test_text_of_users_is_printed_as_it_is(text):
    assert text in printed([("a", "run", text)])
    assert text in printed([("a", "run", text)], stream=Terminal())


def test_text_of_users_moves_no_cursor_and_breaks_no_line():
    text = printed([("a\nb", "run", "x\033[2Jy\x07\x9b1mz\r")])
    assert text.splitlines()[1] == "a b   run     x[2Jy1mz"


def test_a_status_has_its_colour_on_a_terminal_only(monkeypatch):
    rows = [("a", "failed", "x")]
    assert RED + "failed" in printed(rows, stream=Terminal())
    assert "\033" not in printed(rows)
    assert paint("text", "Failed", Terminal()) == f"{RED}text\033[0m"
    assert paint("text", "no status", Terminal()) == "text"
    assert paint("text", "failed", io.StringIO()) == "text"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_turned_off(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    stream = Terminal()
    print_line("text", "failed", stream)
    assert stream.getvalue() == "text\n"
    assert "\033" not in printed([("a", "failed", "x")], stream=Terminal())


def test_colours_can_be_turned_on_where_no_terminal_is(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert RED + "failed" in printed([("a", "failed", "x")])
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\033" not in printed([("a", "failed", "x")])


def test_json_is_one_document_with_a_schema():
    stream = io.StringIO()
    print_json(PlanDocument(steps=(), made=1.0), stream)
    assert json.loads(stream.getvalue()) == {"schema": 1, "steps": [], "made": 1.0}
    with pytest.raises(TypeError):
        print_json({"runs": []})
