"""Shows runs and plans as text: aligned tables, and colours where a terminal is."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import starmap
from typing import TYPE_CHECKING, TextIO

from dag_factory.narrate import narrate_line, narrate_output, narrate_plan, narrate_step, seconds_text

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.runs import PlanDocument, RunDocument, RunFolder, StepDocument
    from airflow_ml_pipelines.core.spec import PipelineSpec
    from airflow_ml_pipelines.core.store import Store
    from airflow_ml_pipelines.execution.runner import RunOutcome

__all__ = ["Console", "Progress", "show_plan", "show_run", "show_runs", "table"]

_COLOURS = {
    "failed": 31,
    "Failed": 31,
    "canceled": 33,
    "Canceled": 33,
    "reused": 36,
    "reuse": 36,
    "finished": 32,
    "Finished": 32,
    "running": 34,
    "Running": 34,
}
_WIDEST = 100
_SLOW = 1.0


class Console:
    """Says what a run does while it does it; a :class:`~airflow_ml_pipelines.execution.runner.Listener`.

    :param quiet: whether to leave out what scripts print.
    """

    def __init__(self, stream: TextIO, names: Mapping[str, str], *, quiet: bool = False) -> None:
        self._stream = stream
        self._names = names
        self._quiet = quiet
        self._lock = threading.Lock()
        self._begin = time.monotonic()

    def on_plan(self, plan: PlanDocument) -> None:
        """Say what the run is going to do."""
        self._say(*narrate_plan(plan, self._names))

    def on_step(self, document: StepDocument) -> None:
        """Say what is new about a step."""
        self._say(*narrate_step(document, self._names, whole_error=self._quiet), status=document.status)

    def on_line(self, step: str, stream: str, line: str) -> None:
        """Say what a step's script wrote, or what is said about it."""
        if self._quiet and stream != "log":
            return
        if not step and time.monotonic() - self._begin < _SLOW:  # progress counts where something takes long
            return
        self._say(narrate_line(step, stream, line, self._names))

    def end(self, run: RunDocument, outcome: RunOutcome) -> None:
        """Say how the run ended."""
        took = seconds_text(time.monotonic() - self._begin)
        self._say(f"run {run.run} of {run.pipeline}: {outcome.status} in {took}", status=outcome.status)

    def _say(self, *lines: str, status: str = "") -> None:
        status = status if status in ("failed", "Failed") else ""
        with self._lock, suppress(BrokenPipeError):  # a run does not end because nobody reads about it
            for line in lines:
                self._stream.write(colour(self._stream, line, status) + "\n")
            self._stream.flush()


class Progress:
    """Says what takes long, on a terminal, in one line that goes away again."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begin = time.monotonic()
        self._shown = False

    def __call__(self, text: str) -> None:
        """Say what is being done."""
        if self._stream.isatty() and time.monotonic() - self._begin > _SLOW:
            self._stream.write(f"\r\033[K{text[:_WIDEST]}")
            self._stream.flush()
            self._shown = True

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            self._stream.write("\r\033[K")
            self._stream.flush()


def show_plan(stream: TextIO, spec: PipelineSpec, plan: PlanDocument) -> None:
    """Print what a run would do, and why."""
    names = {step.id: step.name for step in spec.steps}
    rows = [
        (names[step.step], step.decision, reason)
        for step in plan.steps
        for reason in ("; ".join(step.reasons[:5]) + (" …" if len(step.reasons) > 5 else ""),)
    ]
    stream.write(table(("STEP", "DECISION", "REASON"), rows, stream))
    reused = sum(step.decision == "reuse" for step in plan.steps)
    depend = sum(step.decision == "depends" for step in plan.steps)
    stream.write(
        f"{reused} to reuse, {len(plan.steps) - reused - depend} to run, {depend} to be decided on the way\n"
    )


def show_run(stream: TextIO, folder: RunFolder) -> None:
    """Print how a run and each of its steps went."""
    run = folder.read_run()
    status = folder.status()
    stream.write(
        f"run {run.run} of {run.pipeline}, experiment {run.experiment}: {colour(stream, status, status)}\n"
    )
    stream.write(f"started {_moment(run.started)}\n")
    if run.parameters:
        stream.write("parameters " + ", ".join(starmap("{}={!r}".format, run.parameters.items())) + "\n")
    names = {step.id: step.name for step in run.spec.steps}
    documents = folder.steps()
    rows = []
    for step, document in documents.items():
        seconds = "" if document.seconds is None else seconds_text(document.seconds)
        outputs = ", ".join(narrate_output(name, output) for name, output in document.outputs.items())
        rows.append((names.get(step, step), document.status, seconds, "; ".join(document.reasons), outputs))
    stream.write(table(("STEP", "STATUS", "TIME", "REASON", "OUTPUTS"), rows, stream))
    for step, document in documents.items():
        stream.writelines(
            f"{names.get(step, step)}: {line}\n" for line in (document.error or "").splitlines()
        )
    result = folder.read_result()
    if not documents and result is not None and result.error:
        stream.write(f"{result.error}\n")
    saved = sum(document.saved for document in documents.values())
    if saved:
        stream.write(f"{seconds_text(saved)} saved by reuse\n")


def show_runs(stream: TextIO, store: Store, limit: int) -> None:
    """Print the latest runs."""
    from airflow_ml_pipelines.core.runs import find_runs

    found = sorted(
        ((f.read_run(), f) for f in find_runs(store)), key=lambda pair: pair[0].started, reverse=True
    )
    rows = [
        (run.run, run.pipeline, run.experiment, folder.status(), _moment(run.started))
        for run, folder in found[:limit]
    ]
    stream.write(table(("RUN", "PIPELINE", "EXPERIMENT", "STATUS", "STARTED"), rows, stream))
    if len(found) > limit:
        stream.write(f"{len(found) - limit} older ones; see --limit\n")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO = sys.stdout) -> str:
    """Return rows as text with aligned columns; a long cell of any but the last column is cut."""
    last = len(head) - 1
    cells = [
        [_cut(cell, _WIDEST) if place < last else cell.replace("\n", " ") for place, cell in enumerate(row)]
        for row in (head, *rows)
    ]
    widths = [max(len(row[place]) for row in cells) for place in range(len(head))]
    lines = []
    for row in cells:
        padded = [colour(stream, cell.ljust(width), cell) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines) + "\n"


def colour(stream: TextIO, text: str, status: str) -> str:
    """Return text in the colour of a status where a terminal shows it."""
    number = _COLOURS.get(status)
    if number is None or not stream.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{number}m{text}\033[0m"


def _cut(text: str, width: int) -> str:
    text = text.replace("\n", " ")
    return text if len(text) <= width else text[: width - 1] + "…"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
