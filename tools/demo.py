"""Run the example on an Airflow of its own, three times, and show what each run did.

The first run makes everything, the second changes nothing and takes everything from the first, the third changes one
parameter and runs only what depends on it. Airflow stays up until Ctrl-C, or ends at once with ``--once``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from airflow_ml_pipelines.core.errors import MlPipelinesError
from airflow_ml_pipelines.core.runs.folder import RunFolder, StepDocument
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.testing import LocalAirflow
from airflow_ml_pipelines.workspace_file import load_workspace

PROJECT = Path(__file__).resolve().parent.parent
EXAMPLES = PROJECT / "example_dags"
DAG_ID = "digits"
STEPS = {"prepare", "train_logistic", "train_forest", "compare"}
RUNS: tuple[tuple[str, dict[str, Any], set[str]], ...] = (
    ("everything is new", {}, STEPS),
    ("nothing changed", {}, set()),
    ("max_depth is 4 instead of 8", {"max_depth": 4}, {"train_forest", "compare"}),
)
"""What is different in each run, its parameters, and which steps have to run."""

QUIET_SECONDS = 5.0


class DemoError(MlPipelinesError):
    """The demonstration went another way than it should."""


class Progress:
    """Says what is going on and since when: on a terminal in one line that changes, else now and then."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._live = sys.stdout.isatty()
        self._lock = threading.Lock()
        self._busy = ""
        self._printed = 0.0
        threading.Thread(target=self._repeat, daemon=True).start()

    def say(self, text: str) -> None:
        """Print a line for good."""
        with self._lock:
            self._end_line()
            self._print(text)

    def show(self, text: str) -> None:
        """Say what is waited for, until something else is said."""
        with self._lock:
            if text != self._busy:
                self._busy = text
                self._print_busy()

    def table(self, rows: list[tuple[str, ...]]) -> None:
        """Print rows below each other; the first one is the heading."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        ruled = [rows[0], tuple("─" * width for width in widths), *rows[1:]]
        with self._lock:
            self._end_line()
            for row in ruled:
                print(
                    "   "
                    + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                )
            print(flush=True)

    def _repeat(self) -> None:
        while True:
            time.sleep(0.1 if self._live else QUIET_SECONDS / 5)
            with self._lock:
                if self._busy and (self._live or self._elapsed() - self._printed > QUIET_SECONDS):
                    self._print_busy()

    def _print_busy(self) -> None:
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\033[K{f'[{self._elapsed():5.1f} s] {self._busy} …'[:width]}", end="", flush=True)
        else:
            self._print(f"{self._busy} …")

    def _print(self, text: str) -> None:
        self._printed = self._elapsed()
        print(f"[{self._printed:5.1f} s] {text}", flush=True)

    def _end_line(self) -> None:
        if self._live and self._busy:
            print("\r\033[K", end="")
        self._busy = ""

    def _elapsed(self) -> float:
        return time.monotonic() - self._started


@dataclass
class RunSummary:
    """How long a run took and what it did."""

    change: str
    seconds: float
    steps: Mapping[str, StepDocument]

    @property
    def ran(self) -> set[str]:
        """The steps that ran."""
        return {name for name, step in self.steps.items() if step.status == "finished"}


def main() -> int:
    """Run the demonstration and return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--once", action="store_true", help="end after the runs")
    parser.add_argument("--folder", type=Path, default=PROJECT / ".demo", help="what is made goes here")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    progress = Progress()
    try:
        _demonstrate(options.folder.absolute(), once=options.once, progress=progress)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (MlPipelinesError, OSError, subprocess.CalledProcessError) as error:
        progress.say(f"the demonstration failed: {error}")
        return 1
    return 0


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _demonstrate(folder: Path, *, once: bool, progress: Progress) -> None:
    progress.say(f"making a fresh workspace in {_short(folder)}")
    workspace = _make_workspace(folder, progress)
    airflow = LocalAirflow(
        folder / "airflow",
        dags_folder=EXAMPLES,
        environment={"ML_PIPELINES_WORKSPACE": str(workspace.file)},
    )
    try:
        progress.say(f"starting Airflow; what it says goes to {_short(airflow.log_file)}")
        airflow.start()
        _wait_until_ready(airflow, progress)
        progress.say(f"Airflow is up at {airflow.url}")
        progress.show(f"waiting for it to find the pipeline {DAG_ID!r} in {_short(EXAMPLES)}")
        airflow.wait_for_dag(DAG_ID)
        place = workspace.datastore().local_path("")
        assert place is not None
        progress.say(f"what the steps make goes to {_short(place)}")
        runs = [_run(airflow, workspace, number, progress) for number in range(len(RUNS))]
        progress.table(
            [
                ("run", "seconds", "steps run", "steps reused", "what is different"),
                *(
                    (str(n), f"{r.seconds:.1f}", str(len(r.ran)), str(len(r.steps) - len(r.ran)), r.change)
                    for n, r in enumerate(runs, 1)
                ),
            ]
        )
        if not once:
            progress.say(
                f"look around at {airflow.url}/dags/{DAG_ID} (it asks for no password); Ctrl-C ends it"
            )
            with suppress(KeyboardInterrupt):
                while True:
                    airflow.missing()  # says so if it has ended by itself
                    time.sleep(1)
    finally:
        progress.show("ending Airflow")
        airflow.stop()
        progress.say(f"Airflow has ended; {_short(folder)} keeps what was made")


def _make_workspace(folder: Path, progress: Progress) -> Workspace:
    for name in ("airflow", "workspace"):
        shutil.rmtree(folder / name, ignore_errors=True)
    place = folder / "workspace"
    place.mkdir(parents=True)
    shutil.copy(EXAMPLES / "workspace.yaml", place)
    make_data = [sys.executable, str(EXAMPLES / "make_data.py"), "--workspace", str(place)]
    progress.say(subprocess.run(make_data, stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
    return load_workspace(place)


def _wait_until_ready(airflow: LocalAirflow, progress: Progress, timeout: float = 180) -> None:
    until = time.monotonic() + timeout
    while missing := airflow.missing():
        progress.show(f"waiting for {', '.join(missing)}")
        if time.monotonic() > until:
            raise DemoError(
                f"Airflow is not up after {timeout:.0f} s; its log ends with\n{airflow.log_tail()}"
            )
        time.sleep(0.2)


def _run(airflow: LocalAirflow, workspace: Workspace, number: int, progress: Progress) -> RunSummary:
    change, parameters, expected = RUNS[number]
    progress.say(f"run {number + 1}: {change}")
    began = time.monotonic()
    run_id = airflow.trigger(DAG_ID, parameters, dag_run_id=f"demo-{number + 1}")
    folder = RunFolder(workspace.store, DAG_ID, run_id)
    while (state := airflow.run(DAG_ID, run_id)["state"]) not in ("success", "failed"):
        busy = [name for name, step in folder.steps().items() if step.status == "running"]
        progress.show(f"run {number + 1}: {', '.join(busy) or state}")
        time.sleep(0.1)
    seconds = time.monotonic() - began
    if state == "failed":
        raise DemoError(f"run {run_id} failed{_failures(airflow, run_id)}")
    summary = RunSummary(change, seconds, folder.steps())
    progress.table([("step", "decision", "seconds", "reason", "output"), *_rows(summary)])
    if summary.ran != expected:
        raise DemoError(f"expected {sorted(expected)} to run, found that {sorted(summary.ran)} did")
    return summary


def _rows(run: RunSummary) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, step in run.steps.items():
        reused = step.status == "reused"
        seconds = f"saved {step.saved:.1f}" if reused else f"{step.seconds or 0:.1f}"
        reason = "; ".join(step.reasons)
        outputs = ", ".join(output.path for output in step.outputs.values())
        rows.append((name, "reused" if reused else "run", seconds, reason, outputs))
    return rows


def _failures(airflow: LocalAirflow, run_id: str) -> str:
    text = ""
    for task in airflow.tasks(DAG_ID, run_id):
        if task["state"] == "failed":
            log = airflow.task_log(DAG_ID, run_id, task["task_id"], task["try_number"]).splitlines()
            text += f"; the log of {task['task_id']} ends with\n" + "\n".join(log[-30:])
    return text


def _short(path: Path) -> str:
    """Return a path as it is from here, where that is shorter."""
    return min((os.path.relpath(path), str(path)), key=len)


if __name__ == "__main__":
    raise SystemExit(main())
