"""The command ``accept``."""

from __future__ import annotations

import io
import json
import sys

import pytest

from dag_factory.cli import main

YAML = """\
parameters: {word: one}
steps:
  a:
    {source_directory: a, script: a.py, outputs: {out: }, arguments: ["${{ outputs.out }}"]}
  b:
    source_directory: b
    script: b.py
    inputs: {data: "${{ steps.a.outputs.out }}"}
    arguments: ["${{ parameters.word }}"]
"""
WRITE = "import pathlib, sys\npathlib.Path(sys.argv[1], 'x').write_text('x')\n"


@pytest.fixture
def shop(ws, project, capsys):
    """A pipeline that has run, and the script of its first step reformatted since."""
    project.write("a/a.py", WRITE)
    project.write("b/b.py", "print('b')\n")
    project.write("p.pipeline.yaml", YAML)
    assert main(["run", "-q", "p.pipeline.yaml"]) == 0
    project.run = last(capsys).split()[1]
    project.write("a/a.py", WRITE.replace(", ", ","))
    return project


def last(capsys) -> str:
    return capsys.readouterr().out.splitlines()[-1]


def accept(*arguments: str) -> int:
    return main(["accept", "p.pipeline.yaml", *arguments])


def answers(monkeypatch, text: str) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(text))


def plan(capsys) -> list[list[str]]:
    capsys.readouterr()
    assert main(["plan", "p.pipeline.yaml"]) == 0
    return [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()[1:-1]]


def test_it_shows_the_difference_asks_and_accepts(shop, monkeypatch, capsys):
    answers(monkeypatch, "y\n")
    assert accept("a", "--reason", "only\n reformatted", "--by", "ada") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"a: compared with run {shop.run} of p (")
    assert lines[1:4] == [
        "  source: 1 file changed",
        "    ~ a.py  67 B → 65 B",
        "  its result: out (1 file, 1 B)",
    ]
    text = f"accepted by ada: only reformatted (result of run {shop.run} of p)"
    assert lines[4] == f"accept 1 result? [y/N] a: {text}"
    assert plan(capsys)[0] == ["a", "reuse", text]
    assert main(["run", "p.pipeline.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"[a] reused: {text}" in lines
    assert main(["show", lines[-1].split()[1]]) == 0
    assert text in capsys.readouterr().out


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_without_a_yes_nothing_is_accepted(shop, monkeypatch, capsys, answer):
    answers(monkeypatch, answer)
    assert accept("a", "--reason", "x") == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("nothing was accepted")
    assert plan(capsys)[0][1] == "run"


def test_it_is_taken_back(shop, monkeypatch, capsys):
    assert accept("a", "--reason", "reformatted", "--by", "ada", "--yes") == 0
    answers(monkeypatch, "y\n")
    capsys.readouterr()
    assert accept("a", "--undo", "--by", "bob", "--reason", "it was not") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a: accepted by ada: reformatted")
    assert lines[1].endswith("1 result taken back")
    assert plan(capsys)[0][1] == "run"
    assert accept("--all", "--undo", "--yes") == 0
    assert last(capsys) == "nothing was taken back"


def test_all_steps_at_once(shop, capsys):
    shop.write("b/b.py", "print('b')  # b\n")
    assert accept("--all", "--reason", "formatted", "--yes") == 0
    assert [row[1] for row in plan(capsys)] == ["reuse", "reuse"]
    assert accept("--all", "--reason", "again", "--yes") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("left as it is: step 'a' is reused as it is: accepted by ")
    assert lines[-1] == "nothing was accepted"


def test_parameters_are_those_of_the_run_that_is_meant(shop, capsys):
    assert accept("--all", "-p", "word=two", "--reason", "the word is not used", "--yes") == 0
    assert [row[1] for row in plan(capsys)] == ["reuse", "reuse"]
    assert main(["plan", "p.pipeline.yaml", "-p", "word=two"]) == 0
    assert "the word is not used" in capsys.readouterr().out
    assert main(["plan", "p.pipeline.yaml", "-p", "word=three"]) == 0
    assert "argument 1: two → three" in capsys.readouterr().out


def test_as_one_document(shop, capsys):
    assert accept("--all", "--reason", "formatted", "--by", "ada", "--yes", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (item,) = found["accepted"]
    assert (item["step"], item["accepted"]["by"], item["result_of"]["run"]) == ("a", "ada", shop.run)
    assert item["explanation"]["differences"][0]["files"][0]["path"] == "a.py"
    assert found["left"][0]["step"] == "b"
    assert accept("a", "--undo", "--yes", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(taken["step"], taken["accepted"]["reason"]) for taken in found["taken_back"]] == [
        ("a", "formatted")
    ]


def test_a_secret_in_a_reason_is_not_kept(shop, ws, capsys):
    reason = "as in https://ada:hunter2@example.org/x?sig=abc"
    assert accept("a", "--reason", reason, "--yes") == 0
    assert "hunter2" not in capsys.readouterr().out
    stored = [ws.core.store.get(info.path) for info in ws.core.store.walk("reuse")]
    assert any(b"https://***@example.org" in data for data in stored)
    assert not any(b"hunter2" in data or b"abc" in data.split(b"sig=")[-1][:4] for data in stored)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--reason", "x", "--yes"], 2, "expected the steps that are meant, or --all"),
        (["a", "--all", "--reason", "x", "--yes"], 2, "expected the steps that are meant, or --all"),
        (["a", "--yes"], 2, "expected --reason TEXT"),
        (["a", "--yes", "--reason", "  "], 2, "expected --reason TEXT"),
        (["a", "--reason", "x"], 2, "nobody can be asked here: add --yes"),
        (["a", "--reason", "x", "--json"], 2, "nobody can be asked here: add --yes"),
        (["a", "--undo", "--against", "r", "--yes"], 2, "leave --against out"),
        (["c", "--reason", "x", "--yes"], 1, "there is no step 'c'. There are: a, b."),
        (["b", "--reason", "x", "--yes"], 1, "step 'b' can't be told yet: depends on step a"),
        (["a", "--reason", "x", "--yes", "--against", "nothing"], 1, "there is no run 'nothing'"),
        (["a", "--undo", "--yes"], 1, "step 'a' takes no accepted result, so there is none to take back"),
    ],
)
def test_what_can_not_be_done_is_one_clear_message(shop, ws, capsys, arguments, code, text):
    before = {info.path for info in ws.core.store.walk()}
    capsys.readouterr()
    assert accept(*arguments) == code
    found = capsys.readouterr()
    assert text in found.err
    assert found.out == ""
    assert {info.path for info in ws.core.store.walk()} == before
