"""What the documentation shows of commands is what they print; ``--update-docs`` writes it into the pages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documented import BLOCK, Command, matches, normal, run_page, surroundings, update_page

PROJECT = Path(__file__).parent.parent
EXAMPLES = PROJECT / "example_dags"
PAGES = [
    page
    for page in sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")])
    if BLOCK.search(page.read_text())
]


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
    for text in re.findall(r"^```python\n(# \w+\.py\n.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE):
        name, code = text.removeprefix("# ").split("\n", 1)  # a file that the page shows
        (folder / name).write_text(code)
    found = run_page(page, folder, surroundings(tmp_path))
    if request.config.getoption("--update-docs"):
        update_page(page, found)
        return
    for command in found:
        if not command.fits:
            shown, printed = ("\n".join(map(normal, lines)) for lines in (command.shown, command.printed))
            assert printed == shown, f"$ {command.text}"


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
