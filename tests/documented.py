"""Runs the commands that a page of the documentation shows, and compares what they print with what it shows.

The commands of a page's ``console`` blocks are run one after the other in one folder: that of the example ``digits``,
with its data in a workspace, which a page calls ``/home/ada/project``. What differs from run to run, or with the version of a package, is known by its shape: ids
of runs, times, sizes, digests, long fractions. A line ``…`` stands for any lines.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RUN = re.compile(r"local-\d{8}T\d{6}-[0-9a-f]{6}")
VARYING = (
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?"), "<moment>"),
    (re.compile(r"\b\d{10}\.\d+\b"), "<seconds>"),
    (re.compile(r"\b\d+\.\d+\.\d+\w*\b"), "<version>"),
    (re.compile(r"\b\d+(\.\d+)? (s|min|h)\b"), "<time>"),
    (re.compile(r"\b\d+(\.\d+)? (B|kB|MB|GB)\b"), "<size>"),
    (re.compile(r"\b\d\.\d{4,}\b"), "<number>"),
    (re.compile(r'("(old_|new_)?size": )\d+'), r"\1<size>"),
    (re.compile(r'("(seconds|saved)": )[\d.e-]+'), r"\1<time>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<digest>"),
    (re.compile(r"(?<=\S) {2,}"), "  "),  # columns are as wide as what is in them
)
ANY = "…"
HOME = "/home/ada"
"""What stands for the folder above the project's."""


@dataclass
class Command:
    """A command of a page.

    :param shown: the lines that the page has below it.
    :param printed: the lines that it printed, with the ids of runs that the page has.
    """

    text: str
    shown: list[str]
    printed: list[str]

    @property
    def fits(self) -> bool:
        """Whether it printed what the page shows."""
        shown, printed = ([normal(line) for line in lines] for lines in (self.shown, self.printed))
        if self.text.startswith("ml-pipelines run ") and ANY not in shown:
            return sorted(shown) == sorted(printed)  # steps that run at once end in any order
        return matches(shown, printed)


def normal(line: str) -> str:
    for pattern, replacement in VARYING:
        line = pattern.sub(replacement, line)
    return line.rstrip()


def matches(shown: list[str], printed: list[str]) -> bool:
    if ANY not in map(str.strip, shown):
        return shown == printed
    head = list(takewhile(lambda line: line.strip() != ANY, shown))
    if printed[: len(head)] != head:
        return False
    rest = shown[len(head) + 1 :]
    return any(matches(rest, printed[start:]) for start in range(len(head), len(printed) + 1))


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """Return the commands of a page with the lines below each."""
    found: list[tuple[str, list[str]]] = []
    for block in BLOCK.findall(page.read_text()):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def run_page(page: Path, folder: Path, environment: dict[str, str]) -> list[Command]:
    """Run the commands of a page in a folder."""
    known: dict[str, str] = {}
    found = []
    for text, shown in commands(page):
        real = RUN.sub(lambda match, known=known: known.get(match[0], match[0]), text)
        done = subprocess.run(
            ["sh", "-c", real],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        documented = [run for line in shown for run in RUN.findall(line) if run not in known]
        actual = [run for run in RUN.findall(done.stdout) if run not in known.values()]
        known |= zip(dict.fromkeys(documented), dict.fromkeys(actual), strict=False)
        names = {actual: documented for documented, actual in known.items()}
        printed = RUN.sub(lambda match, names=names: names.get(match[0], match[0]), done.stdout)
        printed = printed.replace(str(folder.parent), HOME)
        found.append(Command(text, shown, printed.splitlines()))
    return found


def update_page(page: Path, found: list[Command]) -> None:
    """Write what the commands printed into the page, where it shows something else."""
    left = iter(found)

    def rewrite(block: re.Match[str]) -> str:
        lines = ["```console"]
        for line in block[1].splitlines():
            if line.startswith("$ "):
                command = next(left)
                lines += [line, *(command.shown if command.fits else command.printed)]
        return "\n".join([*lines, "```"])

    page.write_text(BLOCK.sub(rewrite, page.read_text()))


def surroundings(folder: Path) -> dict[str, str]:
    """Return the environment of the commands: ours are found, and nothing of the user's workspace is."""
    bin_folder = str(Path(sys.executable).parent)
    kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "TMPDIR", "LC_ALL")}
    return {
        **kept,
        "PATH": os.pathsep.join([bin_folder, os.environ.get("PATH", os.defpath)]),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "ML_PIPELINES_CACHE": str(folder / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TZ": "UTC",
    }
