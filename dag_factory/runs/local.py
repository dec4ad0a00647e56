"""Runs of this process: started in a thread, followed by whoever waits for them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import StoreError
from airflow_ml_pipelines.core.runs.folder import PlanDocument, RunDocument, RunFolder, StepDocument
from dag_factory.terminal.narrate import narrate_line, narrate_plan, narrate_step

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import PipelineSpec
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace
    from airflow_ml_pipelines.execution.runner import RunOutcome

__all__ = ["Feed", "LocalRun", "find_run", "start_run"]

_KEPT_LINES = 20_000


class Feed:
    """Lines about a run, kept for readers that come late; a run's :class:`Listener`.

    :ivar planned: set once the run's plan is in its folder, or will not come.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._count = 0
        self._closed = False
        self._changed = threading.Condition()
        self.planned = threading.Event()

    def on_plan(self, plan: PlanDocument) -> None:
        """Take what the run is going to do."""
        self.planned.set()
        self._add(*narrate_plan(plan, self._names))

    def on_step(self, document: StepDocument) -> None:
        """Take a step's new state."""
        self._add(*narrate_step(document, self._names))

    def on_line(self, step: str, stream: str, line: str) -> None:
        """Take a line that a step's script wrote."""
        self._add(narrate_line(step, stream, line, self._names))

    def close(self) -> None:
        """Say that there will be no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.planned.set()

    def follow(self, timeout: float) -> Iterator[str | None]:
        """Yield every line, and None each time that none came for a while; end when there will be no more."""
        seen = 0
        while True:
            with self._changed:
                if seen == self._count and not self._closed:
                    self._changed.wait(timeout)
                new = list(self._lines)[-(self._count - seen) :] if self._count > seen else []
                seen = self._count
                closed = self._closed
            yield from new
            if closed:
                return
            if not new:
                yield None

    def _add(self, *lines: str) -> None:
        with self._changed:
            self._lines.extend(lines)
            self._count += len(lines)
            self._changed.notify_all()


class LocalRun:
    """A run in a thread of this process.

    :ivar outcome: how it ended, None before, and where it could not begin.
    :ivar error: why it could not begin.
    """

    def __init__(self, workspace: Workspace, run: RunDocument) -> None:
        self.workspace = workspace
        self.run = run
        self.feed = Feed({step.id: step.name for step in run.spec.steps})
        self.cancel = threading.Event()
        self.outcome: RunOutcome | None = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._work, name=f"run {run.run}", daemon=False)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.outcome is not None or self.error is not None

    def _work(self) -> None:
        from airflow_ml_pipelines.execution.runner import run_pipeline

        try:
            self.outcome = run_pipeline(self.workspace, self.run, listener=self.feed, cancel=self.cancel)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the run gets it
            self._keep_failure(error)
            self.error = error
        finally:
            self.feed.close()

    def _keep_failure(self, error: BaseException) -> None:
        folder = RunFolder(self.workspace.store, self.run.pipeline, self.run.run)
        with suppress(StoreError):
            folder.write_run(self.run)
            folder.write_result("Failed", str(error) or type(error).__name__)


_runs: dict[tuple[str, str, str], LocalRun] = {}
_lock = threading.Lock()
_is_registered = False


def start_run(workspace: Workspace, spec: PipelineSpec, **options: Any) -> LocalRun:
    """Start a run in a thread of its own.

    :param options: see :func:`airflow_ml_pipelines.core.runs.new_run.new_run`.
    :raises ParameterError: where a parameter does not exist, or has no value of its type.
    """
    from airflow_ml_pipelines.core.runs.new_run import new_run

    local = LocalRun(workspace, new_run(spec, **options))
    with _lock:
        _register_exit()
        for key in [key for key, run in _runs.items() if run.is_over]:
            if len(_runs) < 100:  # what ended is in its folder as well
                break
            del _runs[key]
        _runs[workspace.store.url, local.run.pipeline, local.run.run] = local
    local.thread.start()
    return local


def _register_exit() -> None:
    """Let the process end only after its runs."""
    global _is_registered  # noqa: PLW0603 - once a process
    register = getattr(threading, "_register_atexit", None)  # atexit itself is too late to join threads
    if register is not None and not _is_registered:
        import concurrent.futures.thread  # noqa: F401 - registers its own, which is to be called after this one

        register(_hand_over)
        _is_registered = True


def _hand_over() -> None:
    """Let a process of their own finish the runs that this one leaves behind, and wait for it.

    An interpreter that shuts down starts no more threads, so this one can't go on with them. What a script had begun is
    begun again; what was finished is reused.
    """
    from dag_factory.runs.resume import resume_elsewhere

    left = [run for run in list(_runs.values()) if not run.is_over]
    for run in left:
        run.cancel.set()
    for run in left:
        run.thread.join()
        if run.outcome is None or run.outcome.status != "Finished":
            resume_elsewhere(run.workspace, run.run)


def find_run(workspace: Workspace, pipeline: str, run: str) -> LocalRun | None:
    """Return a run of this process, None where it is not one."""
    with _lock:
        return _runs.get((workspace.store.url, pipeline, run))
