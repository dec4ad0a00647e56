"""Says on a terminal or a pipe what is going on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Self, TextIO

from airflow_ml_pipelines.core.amounts import seconds_text
from dag_factory.terminal.meters import Meters
from dag_factory.terminal.narrate import narrate_line, narrate_plan, narrate_step
from dag_factory.terminal.printing import print_line

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.runs.folder import PlanDocument, RunDocument, StepDocument
    from airflow_ml_pipelines.execution.runner import RunOutcome

__all__ = ["Console"]


class Console:
    """Says what a run does while it does it; a :class:`~airflow_ml_pipelines.execution.runner.Listener`.

    While it is entered it shows how far long work is.

    :param quiet: whether to leave out what scripts print.
    """

    def __init__(self, stream: TextIO, names: Mapping[str, str], *, quiet: bool = False) -> None:
        self._stream = stream
        self._meters = Meters(stream if stream.isatty() else sys.stderr)
        self._names = names
        self._quiet = quiet
        self._lock = threading.Lock()
        self._begin = time.monotonic()

    def __enter__(self) -> Self:
        self._meters.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._meters.__exit__(*error)

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
        self._say(narrate_line(step, stream, line, self._names))

    def end(self, run: RunDocument, outcome: RunOutcome) -> None:
        """Say how the run ended."""
        took = seconds_text(time.monotonic() - self._begin)
        self._say(f"run {run.run} of {run.pipeline}: {outcome.status} in {took}", status=outcome.status)

    def _say(self, *lines: str, status: str = "") -> None:
        status = status if status in ("failed", "Failed") else ""
        with self._lock, suppress(BrokenPipeError):  # a run does not end because nobody reads about it
            self._meters.hide()
            for line in lines:
                print_line(line, status, self._stream)
            self._stream.flush()
