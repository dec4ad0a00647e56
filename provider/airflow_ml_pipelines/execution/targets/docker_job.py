"""A container that runs a job: followed, ended, removed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.targets.docker_engine import DockerEngine, not_found
from airflow_ml_pipelines.execution.targets.lines import Lines
from airflow_ml_pipelines.execution.targets.log_window import LogWindow
from airflow_ml_pipelines.execution.targets.port import OnLine
from airflow_ml_pipelines.execution.targets.results import ended_without_result, read_result
from airflow_ml_pipelines.runtime.job import Job
from airflow_ml_pipelines.runtime.process import GRACE_SECONDS
from airflow_ml_pipelines.runtime.result import JobResult

__all__ = ["DockerJob", "finish_removals"]

_LOOK = 0.2
_PIECES = 256
_GRACE = GRACE_SECONDS + 0.5  # the launcher's own, and a moment to write how the job ended
_SETTLE = 5.0
_KILLED = 137

_removals: set[threading.Thread] = set()


class DockerJob:
    """A container that runs a job.

    :param limit: the memory that it may take, to be named where that was too little.
    """

    def __init__(
        self, engine: DockerEngine, name: str, job: Job, workspace: Workspace, *, limit: str | None
    ) -> None:
        self.name = name
        self._engine = engine
        self._job = job
        self._workspace = workspace
        self._limit = limit
        self._finished = False

    def follow(self, *, on_line: OnLine, canceled: Callable[[], str | None]) -> JobResult:
        """Tell what it writes until it has ended, and return how that came about."""
        started = time.time()
        lines = Lines(on_line)
        pieces: queue.Queue[tuple[str, bytes] | None] = queue.Queue(_PIECES)
        thread = threading.Thread(target=self._read, args=(pieces,), name=f"log {self.name}", daemon=True)
        thread.start()
        reason, limit = None, None
        while True:
            with suppress(queue.Empty):
                piece = pieces.get(timeout=_LOOK)
                if piece is None:
                    break
                lines.add(*piece)
            if reason is None and (reason := canceled()) is not None:
                limit = time.monotonic() + _GRACE
                self._signal("SIGTERM")
            if limit is not None and time.monotonic() > limit:
                self._signal("SIGKILL")
                limit = None
        lines.close()
        return self._result(started, reason, lines)

    def watch(self, on_line: OnLine) -> Callable[[], bool]:
        """Return what tells the lines that are new, and whether it has ended."""
        lines, window = Lines(on_line), LogWindow()

        def look() -> bool:
            state = self._state()
            if state is None:
                return True
            # what is not told now is told later; how the container stands counts
            with suppress(ComputeTargetException, not_found()), self._engine.errors("tell a container's log"):
                logs = self._engine.logs(self.name, follow=False, stamped=True, since=window.since)
                for stream, data in window.new(logs):
                    lines.add(stream, data)
            return not state["Running"]

        return look

    def is_over(self) -> bool:
        """Return whether it has ended."""
        state = self._state()
        return state is None or not state["Running"]

    def remove(self) -> None:
        """Remove it, running or not. Where the engine is away it is left to the reaper.

        Where it has finished the run goes on meanwhile: that takes the engine a good part of what a short step takes.
        """
        if not self._finished:
            self._remove()
            return
        thread = threading.Thread(target=self._remove_behind, name=f"remove {self.name}")
        _removals.add(thread)
        thread.start()

    def _remove_behind(self) -> None:
        try:
            self._remove()
        finally:
            _removals.discard(threading.current_thread())

    def _remove(self) -> None:
        with suppress(ComputeTargetException, not_found()), self._engine.errors("remove a container"):
            self._engine.client.remove_container(self.name, force=True, v=True)

    def _read(self, pieces: queue.Queue[tuple[str, bytes] | None]) -> None:
        # whatever ends the log, what the engine says of the container counts
        with suppress(Exception):
            for piece in self._engine.logs(self.name):
                pieces.put(piece)
        pieces.put(None)

    def _signal(self, name: str) -> None:
        with suppress(ComputeTargetException, not_found()), self._engine.errors("end a container"):
            self._engine.client.kill(self.name, name)

    def _state(self) -> dict[str, Any] | None:
        """Return how the container stands, None where it is gone."""
        client = self._engine.client
        try:
            with self._engine.errors("tell how a container stands"):
                state: dict[str, Any] = client.inspect_container(self.name)["State"]
        except not_found():
            return None
        return state

    def _result(self, started: float, reason: str | None, lines: Lines) -> JobResult:
        result = read_result(self._workspace, self._job)
        self._finished = result is not None and result.status == "finished"
        if result is not None and self._finished:  # the engine has nothing to add to that
            return result
        state = self._settled()
        if result is None:
            result = read_result(self._workspace, self._job)
        if result is None:
            what = _how(state)
            result = ended_without_result(started, canceled=reason, what=what, tail=lines.tail)
        elif result.status == "canceled" and reason is not None:
            result = replace(result, error=reason)
        memory = state is not None and state["OOMKilled"]
        if memory and result.status == "failed":
            grow = f" of {self._limit}" if self._limit else ""
            text = f"the memory{grow} of the container was too little: raise `memory` of the compute target"
            result = replace(result, error=f"{text}. {result.error}")
        return result

    def _settled(self) -> dict[str, Any] | None:
        """Return how the container stands when it has ended: its log ends a moment before."""
        until = time.monotonic() + _SETTLE
        while (state := self._state()) is not None and state["Running"]:
            if time.monotonic() > until:
                raise ComputeTargetException(
                    f"{self._engine.where}: container {self.name} runs, but its log can't be followed any more"
                )
            time.sleep(0.02)
        return state


def finish_removals() -> None:
    """Wait until all is gone that is being removed."""
    for thread in list(_removals):
        thread.join()


def _how(state: dict[str, Any] | None) -> str:
    """Return how a container has ended that left no result."""
    if state is None:
        return "its container was removed by somebody else"
    if state["ExitCode"] == _KILLED:
        return "its container was killed, by somebody or since memory ran out"
    return f"its container ended with exit code {state['ExitCode']}"
