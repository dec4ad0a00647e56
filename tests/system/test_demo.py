"""``make demo`` does what it says and leaves no process behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from living import living

PROJECT = Path(__file__).parent.parent.parent
DEMO = [sys.executable, str(PROJECT / "tools/demo.py")]


def shown() -> str:
    """What the README shows of it."""
    text = (PROJECT / "README.md").read_text()
    return text[text.index("[  0.0 s]") :].partition("```")[0]


def shape(text: str, folder: Path) -> list[str]:
    """What is printed but for what differs from run to run: times, ports, widths of columns, what it waits for."""
    lines = [line for line in text.splitlines() if not line.endswith("…")]
    for name in (os.path.relpath(folder), str(folder)):
        lines = [line.replace(name, "<folder>") for line in lines]
    return [re.sub(r"[ ─]+", " ", re.sub(r" *\d+\.\d+|:\d{4,5}", "#", line)).strip() for line in lines]


@pytest.mark.oldest
def test_demo_runs_the_example_three_times_and_ends(tmp_path):
    done = subprocess.run(
        [*DEMO, "--once", "--folder", tmp_path], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = [
        line.split()[2:4] for line in done.stdout.splitlines() if line.strip()[:2] in ("1 ", "2 ", "3 ")
    ]
    assert counts == [["4", "0"], ["0", "4"], ["2", "2"]], done.stdout
    assert shape(done.stdout, tmp_path) == shape(shown(), Path(".demo"))
    reports = list((tmp_path / "workspace").rglob("report/report.json"))
    assert len(reports) == 2


def hear_of_ctrl_c():
    """Undo what a shell does for the commands that it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_demo_leaves_no_process_behind(tmp_path, number):
    demo = subprocess.Popen(
        [*DEMO, "--folder", tmp_path],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=hear_of_ctrl_c,  # noqa: PLW1509 - no thread of this process holds a lock that it takes
    )
    for line in demo.stdout:
        if "starting Airflow" in line:
            break
    time.sleep(2)
    family = psutil.Process(demo.pid).children(recursive=True)
    assert len(family) >= 2
    demo.send_signal(number)
    demo.stdout.read()
    demo.stdout.close()
    demo.wait()
    until = time.monotonic() + 30
    while living(family) and time.monotonic() < until:
        time.sleep(0.1)
    assert living(family) == []
