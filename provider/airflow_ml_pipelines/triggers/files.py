"""Waits for new and changed files of a datastore."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow_ml_pipelines._airflow import BaseEventTrigger, TriggerEvent
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["FilesTrigger"]

_AGAIN = 60.0

_log = logging.getLogger(__name__)


class FilesTrigger(BaseEventTrigger):  # type: ignore[misc]
    """Yields an event when there are files that a schedule has not acted on yet, for as long as it runs.

    It changes nothing, so that it may be restarted, or run twice: an event that comes again finds nothing to do.

    :param schedule: the schedule's id.
    :param workspace: the workspace's file or folder; None for the one that the triggerer's configuration names.
    """

    def __init__(self, *, schedule: str, workspace: str | None = None) -> None:
        super().__init__()
        self.schedule = schedule
        self.workspace = workspace
        self._opened: Workspace | None = None
        self._seconds = _AGAIN
        self._told = (0, 0.0)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and all that it was made with."""
        arguments = {"schedule": self.schedule, "workspace": self.workspace}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each batch of files; the same again only where nobody has acted on it for long."""
        from asgiref.sync import sync_to_async

        look = sync_to_async(self._look, thread_sensitive=False)  # see ReuseTrigger
        while True:
            found = await look()
            if found is not None:
                yield TriggerEvent(found)
            await asyncio.sleep(self._seconds)

    def _look(self) -> dict[str, Any] | None:
        try:
            return self._find()
        except Exception as error:  # noqa: BLE001 - a datastore that is away for a while must not end the watch
            _log.warning("schedule %s: no look at its files: %s", self.schedule, error)
            return None

    def _find(self) -> dict[str, Any] | None:
        from airflow_ml_pipelines._tasks import open_workspace
        from airflow_ml_pipelines.core.publishing.schedules import read_schedule
        from airflow_ml_pipelines.core.publishing.watches import look

        if self._opened is None:
            self._opened = open_workspace(self.workspace)
        schedule = read_schedule(self._opened.store, self.schedule)
        watch = schedule.watch
        if watch is None or schedule.status != "Active":
            return None
        self._seconds = watch.seconds
        datastore = self._opened.datastore(watch.datastore)
        batch = look(self._opened.store, schedule.id, watch, datastore, keep=False)
        if batch is None:
            return None
        number, when = self._told
        if number == batch.number and time.monotonic() - when < max(_AGAIN, watch.seconds):
            return None
        self._told = (batch.number, time.monotonic())
        return {"schedule": schedule.id, "batch": batch.number, "files": len(batch.changed)}
