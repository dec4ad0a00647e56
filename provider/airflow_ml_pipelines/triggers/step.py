"""Looks after the job of a step whose task is deferred: its end, its log, its lease."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from airflow_ml_pipelines._airflow import TRIGGERS_ARE_KILLED, BaseTrigger, TriggerEvent
from airflow_ml_pipelines.core.errors import MlPipelinesError
from airflow_ml_pipelines.core.reuse.lease import acquire_lease
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.left import (
    Left,
    LeftJob,
    Told,
    end_left,
    read_left,
    settle,
    settled,
    write_left,
)
from airflow_ml_pipelines.execution.places import find_job
from airflow_ml_pipelines.execution.step import SIGN_OF_LIFE, find_failure, say_alive
from airflow_ml_pipelines.execution.targets.port import Watchable

__all__ = ["StepTrigger"]

_FIRST_PAUSE = 1.0
_GROWTH = 1.2
_PATIENCE = 60.0
_KILLED = "the task was killed"

_LOOKS = ThreadPoolExecutor(16, thread_name_prefix="ml-pipelines-look")
"""What all triggers of a process look with: engines and stores are asked by calls that block."""

_T = TypeVar("_T")


class StepTrigger(BaseTrigger):  # type: ignore[misc]
    """Waits until the job of a step wants to be followed: it has ended, or the task has to end it.

    Meanwhile it tells the lines that the job writes, keeps the step's lease and gives signs of life. How much of the log
    was told is kept in the attempt's folder, where another triggerer goes on from. Killing the task ends the job; the end
    of the triggerer does not.

    :param workspace: the workspace's file or folder; None for the one that the triggerer's configuration names.
    :param poll_interval: the seconds between two looks at a job that runs for long; less in its first seconds.
    :param until: when, in seconds since the epoch, the task's time is over; None for never.
    :param run_until: when that of the DAG run is.
    :param not_before: the same for the event: Airflow's executors take a task for failed that goes on while the process
        that deferred it is still ending, which can take a heartbeat.
    :param forced: why the step runs in any case; handed back.
    :param job: which job it is: the fields of a :class:`~airflow_ml_pipelines.execution.left.LeftJob`.
    """

    def __init__(
        self,
        *,
        workspace: str | None = None,
        poll_interval: float = 5.0,
        until: float | None = None,
        run_until: float | None = None,
        not_before: float = 0.0,
        forced: str | None = None,
        **job: Any,
    ) -> None:
        super().__init__()
        try:
            self.job = LeftJob(**job)
        except TypeError as error:
            raise ValueError(f"a StepTrigger needs to know its job: {error}") from None
        if poll_interval <= 0:
            raise ValueError(f"poll_interval is a number of seconds above 0, not {poll_interval!r}")
        self.workspace = workspace
        self.poll_interval = poll_interval
        self.until = until
        self.run_until = run_until
        self.not_before = not_before
        self.forced = forced
        self._opened: Workspace | None = None
        self._told: Told | None = None
        self._look_at: Callable[[], bool] | None = None
        self._is_kept = True
        self._keeping = threading.Lock()
        self._seen = time.monotonic()
        self._alive = 0.0

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and all that it was made with."""
        names = ("workspace", "poll_interval", "until", "run_until", "not_before", "forced")
        arguments = {name: getattr(self, name) for name in names} | self.job._asdict()
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, with the ``status`` ``ended``, ``stop``, ``timeout`` or ``unseen``."""
        keeping = asyncio.create_task(self._keep())
        try:
            event = await self._wait()
        except asyncio.CancelledError:
            if not TRIGGERS_ARE_KILLED:
                await _in_thread(self._end_if_killed)
            raise
        finally:
            keeping.cancel()
        yield TriggerEvent({**event, "until": self.until, "forced": self.forced})

    async def on_kill(self) -> None:
        """End the job: its task was killed."""
        await _in_thread(self.end_job)

    # --- looking: all of it in threads ---------------------------------------------------------------------------

    async def _wait(self) -> dict[str, Any]:
        pause = min(_FIRST_PAUSE, self.poll_interval)
        while (event := await _in_thread(self._look)) is None:
            await asyncio.sleep(pause)
            pause = min(pause * _GROWTH, self.poll_interval)
        return event

    def _look(self) -> dict[str, Any] | None:
        """Return the event that ends the wait, None where it goes on."""
        try:
            event = self._find_event()
            self._seen = time.monotonic()
            if time.time() < self.not_before:
                return None
            if event is not None:
                store = self._open().store
                settle(store, self.job.folder(store), self.job.id, "taken up")
        except Exception as error:  # noqa: BLE001 - an error here would fail the task while its job goes on
            if time.monotonic() - self._seen < _PATIENCE:
                return None
            return self._give_back(f"{type(error).__name__}: {error}")
        return event

    def _find_event(self) -> dict[str, Any] | None:
        workspace = self._open()
        if self.until is not None and time.time() >= self.until:
            return {"status": "timeout"}
        run = self.job.run_folder(workspace.store)
        if find_failure(run, self.job.step) is not None and not run.read_run().continue_on_step_failure:
            return {"status": "stop"}
        if self._look_at is None:
            self._look_at = self._watch(workspace)
        assert self._told is not None
        before = (self._told.stdout, self._told.stderr)
        try:
            is_over = self._look_at()
        finally:
            if (self._told.stdout, self._told.stderr) != before:
                self._keep_told(workspace)
        return {"status": "ended"} if is_over else None

    def _watch(self, workspace: Workspace) -> Callable[[], bool]:
        folder = self.job.folder(workspace.store)
        left = read_left(workspace.store, folder)
        stdout, stderr = (0, 0) if left is None else (left.stdout, left.stderr)
        self._told = Told(lambda _stream, line: self.log.info("%s", line), stdout, stderr)
        running = find_job(workspace, folder)
        if running is None:
            return lambda: True  # the task says what that means
        return running.watch(self._told) if isinstance(running, Watchable) else running.is_over

    def _keep_told(self, workspace: Workspace) -> None:
        assert self._told is not None
        left = Left(id=self.job.id, stdout=self._told.stdout, stderr=self._told.stderr)
        with self._keeping:
            if self._is_kept:
                write_left(workspace.store, self.job.folder(workspace.store), left)

    def _give_back(self, error: str) -> dict[str, Any]:
        with suppress(Exception):  # the task finds out what is wrong
            store = self._open().store
            settle(store, self.job.folder(store), self.job.id, "taken up")
        return {"status": "unseen", "error": error}

    # --- its lease -----------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:  # noqa: ASYNC110 - nobody can tell that it is time
            await asyncio.sleep(await _in_thread(self._beat))

    def _beat(self) -> float:
        """Keep the lease, and return after how many seconds to do so again."""
        try:
            workspace = self._open()
            with self._keeping:
                if self._is_kept:
                    acquire_lease(
                        workspace.store, self.job.lease_key, self.job.owner, workspace.lease_seconds
                    )
                    self._say_alive(workspace)
        except MlPipelinesError:  # a store that is away for a moment: the next beat may do
            return _FIRST_PAUSE
        return workspace.lease_seconds / 4

    def _say_alive(self, workspace: Workspace) -> None:
        if time.monotonic() - self._alive >= SIGN_OF_LIFE:
            self._alive = time.monotonic()
            say_alive(workspace.store, self.job.folder(workspace.store))

    # --- its end -------------------------------------------------------------------------------------------------

    def end_job(self) -> None:
        """End the job, where no worker has taken it up, and say that its step is canceled."""
        with self._keeping:
            self._is_kept = False
        try:
            end_left(self._open(), self.job, _KILLED, log=self.log.info)
        except MlPipelinesError as error:
            self.log.error("What ran of step %r may go on: %s", self.job.step, error)  # noqa: TRY400

    def _end_if_killed(self) -> None:
        """End the job where the task was killed, which Airflow 3.1 and 3.2 do not tell from the triggerer's end."""
        store = self._open().store
        killed = settled(store, self.job.folder(store), self.job.id) == "killed"
        if killed or (self.run_until is not None and time.time() >= self.run_until):
            self.end_job()

    def _open(self) -> Workspace:
        from airflow_ml_pipelines._tasks import open_workspace

        if self._opened is None:
            self._opened = open_workspace(self.workspace)
        return self._opened


async def _in_thread(call: Callable[[], _T]) -> _T:
    """Call what blocks, outside of the event loop that all triggers share.

    In a thread of asgiref's, since only there the triggerer of Airflow 3.1 can be asked for a connection.
    """
    from asgiref.sync import sync_to_async

    found: _T = await sync_to_async(call, thread_sensitive=False, executor=_LOOKS)()
    return found
