"""What the documentation shows of commands is what they print; ``--update-docs`` writes it into the pages."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documented import BLOCK, Command, commands, matches, normal, run_page, surroundings, update_page

from dag_factory.cli import make_parser

PROJECT = Path(__file__).parent.parent
EXAMPLES = PROJECT / "example_dags"
MARKDOWN = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")])
PAGES = [page for page in MARKDOWN if BLOCK.search(page.read_text())]

FILE = re.compile(
    r"^```(?:python|yml)\n# ((?:\w+/)?[\w.]+\.(?:py|yml|yaml))\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
"""A file that a page shows and runs, with its name in the first line; its YAML is ``yml``, other definitions ``yaml``."""


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """The example ``digits`` with its data, where nothing has run yet."""
    top = tmp_path_factory.mktemp("digits")
    folder = top / "project"
    shutil.copytree(EXAMPLES / "digits", folder / "digits", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(EXAMPLES / "digits.pipeline.yaml", folder)
    shutil.copy(EXAMPLES / "workspace.yaml", folder)
    maker = [sys.executable, str(EXAMPLES / "make_data.py"), "--workspace", str(folder)]
    subprocess.run(maker, check=True, capture_output=True, env=surroundings(top))
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_print_what_the_page_shows(page, example, tmp_path, request):
    folder = tmp_path / "project"
    shutil.copytree(example, folder)
    for name, text in FILE.findall(page.read_text()):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    found = run_page(page, folder, surroundings(tmp_path))
    if request.config.getoption("--update-docs"):
        update_page(page, found)
        return
    for command in found:
        if not command.fits:
            shown, printed = ("\n".join(map(normal, lines)) for lines in (command.shown, command.printed))
            assert printed == shown, f"$ {command.text}"


def subcommands() -> dict[str, argparse.ArgumentParser]:
    (found,) = (a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(found.choices)


def test_the_page_of_the_command_line_runs_every_command():
    shown = " ".join(text for text, _ in commands(PROJECT / "docs/command-line.md"))
    assert set(re.findall(r"ml-pipelines (\w+)", shown)) == set(subcommands())


NOT_RUN = {
    "pip install": "it fetches from the network",
    "git clone": "it fetches from the network",
    "airflow standalone": "it does not end; tests/system starts one again and again",
    "make demo": "tests/system/test_demo.py runs it",
    "make test": "it is what runs this",
    "make fuzz": "it takes minutes; tests/fuzz runs what it runs",
    "curl ": "it needs an API server; tests/system/test_published_on_a_scheduler.py sends the request",
}
"""Commands that pages show and this does not run, by their beginnings, and why."""

PROGRAMS = (
    "ml-pipelines ",
    "airflow ",
    "pip install ",
    "uv ",
    "make ",
    "curl ",
    "docker ",
    "python ",
    "git ",
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def plain_commands() -> list:
    """Return the commands of blocks that show no output, a page's together."""
    found = []
    for page in MARKDOWN:
        blocks = [text for kind, text in FENCE.findall(page.read_text()) if kind in ("", "bash", "sh")]
        lines = [line for block in blocks for line in block.splitlines()]
        texts = [line.partition(" #")[0].rstrip() for line in lines if line.startswith(PROGRAMS)]
        texts = [text for text in texts if not text.startswith(tuple(NOT_RUN))]
        if texts:
            found.append(pytest.param(texts, id=page.name))
    return found


@pytest.mark.parametrize("texts", plain_commands())
def test_commands_without_their_output_run(texts, example, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(example, folder)
    if "ml-pipelines init" in texts:
        (folder / "workspace.yaml").unlink()  # the one that it makes has the same data beside it
    for text in texts:
        done = subprocess.run(
            ["sh", "-c", text], cwd=folder, env=surroundings(tmp_path), capture_output=True, text=True
        )
        assert done.returncode == 0, f"$ {text}\n{done.stdout}{done.stderr}"


def test_what_is_not_run_is_still_shown():
    text = "".join(page.read_text() for page in MARKDOWN)
    assert [start for start in NOT_RUN if start not in text] == []


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: page.name)
def test_commands_that_a_text_names_exist_with_their_options(page):
    known = subcommands()
    for text in re.findall(r"`(?:airflow )?ml-pipelines ([^`]+)`", page.read_text()):
        name, *words = text.replace("\\|", "|").split()
        if not name[0].islower():
            continue
        assert name in known, f"ml-pipelines {text}"
        options = {option for action in known[name]._actions for option in action.option_strings}
        for word in words:
            option = word.strip("[]").partition("=")[0]
            assert not option.startswith("-") or option in options, f"ml-pipelines {text}"


def test_targets_of_make_that_a_text_names_exist():
    targets = set(re.findall(r"^([a-z][\w-]*):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    text = "".join(page.read_text() for page in MARKDOWN)
    assert set(re.findall(r"`make ([a-z][\w-]*)", text)) <= targets


def test_tests_of_the_documentation_pass(example, tmp_path):
    page = PROJECT / "docs/testing.md"
    folder = tmp_path / "project"
    shutil.copytree(example, folder)
    shutil.copytree(folder / ".ml-pipelines/data/workspaceblobstore/train-images", folder / "train-images")
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    ):
        (folder / f"test_block{number}.py").write_text(block)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(folder)]
    done = subprocess.run(command, cwd=folder, env=surroundings(tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("6 passed"), done.stdout
    (folder / "digits/compare/notes.txt").touch()
    done = subprocess.run(
        [*command, "-k", "known"], cwd=folder, env=surroundings(tmp_path), capture_output=True, text=True
    )
    assert "step compare: source: notes.txt is new" in done.stdout


def test_what_differs_from_run_to_run_does_not_count():
    shown = ["run local-20260101T000000-abcdef of p: Finished in 3.5 s", "a   b  12.5 kB"]
    printed = ["run local-20260101T000000-abcdef of p: Finished in 70 min", "a  b      1.0 MB"]
    assert Command("x", shown, printed).fits
    assert not Command("x", shown, ["run of p: Finished in 3.5 s", printed[1]]).fits


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        (["a", "…"], ["a", "b", "c"], True),
        (["…", "c"], ["a", "b", "c"], True),
        (["a", "…", "c", "…"], ["a", "c"], True),
        (["a", "…", "c"], ["a", "c", "b"], False),
        (["a"], ["a", "b"], False),
    ],
)
def test_a_line_of_three_dots_stands_for_any_lines(shown, printed, fits):
    assert matches(shown, printed) is fits
