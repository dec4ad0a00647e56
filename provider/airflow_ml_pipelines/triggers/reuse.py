"""Waits for the result that another run is making."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow_ml_pipelines._airflow import BaseTrigger, TriggerEvent
from airflow_ml_pipelines.core.layout import record_path
from airflow_ml_pipelines.core.reuse.lease import find_holder
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["ReuseTrigger"]


class ReuseTrigger(BaseTrigger):  # type: ignore[misc]
    """Waits until a key has a record, or nobody makes one any more.

    :param key: the reuse key.
    :param workspace: the workspace's file or folder; None for the one that the triggerer's configuration names.
    :param poll_interval: seconds between two looks.
    :param not_before: the event is held back until then, in seconds since the epoch; see
        :class:`~airflow_ml_pipelines.triggers.step.StepTrigger`.
    """

    def __init__(
        self, *, key: str, workspace: str | None = None, poll_interval: float = 5.0, not_before: float = 0.0
    ) -> None:
        super().__init__()
        if not key:
            raise ValueError("a ReuseTrigger needs the key that it waits for")
        if poll_interval <= 0:
            raise ValueError(f"poll_interval is a number of seconds above 0, not {poll_interval!r}")
        self.key = key
        self.workspace = workspace
        self.poll_interval = poll_interval
        self.not_before = not_before
        self._opened: Workspace | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and all that it was made with."""
        names = ("key", "workspace", "poll_interval", "not_before")
        arguments = {name: getattr(self, name) for name in names}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: ``recorded`` or ``free``."""
        from asgiref.sync import sync_to_async

        # looking reads files or asks a server: never in the event loop that all triggers share. In a thread of asgiref's,
        # because only there the triggerer of Airflow 3.1 can be asked for a connection
        look = sync_to_async(self._look, thread_sensitive=False)
        while True:
            status = await look()
            if status is not None:
                await asyncio.sleep(max(0.0, self.not_before - time.time()))
                yield TriggerEvent({"status": status, "key": self.key})
                return
            await asyncio.sleep(self.poll_interval)

    def _look(self) -> str | None:
        from airflow_ml_pipelines._tasks import open_workspace

        if self._opened is None:
            self._opened = open_workspace(self.workspace)
        store = self._opened.store
        if store.info(record_path(self.key)) is not None:
            return "recorded"
        return "free" if find_holder(store, self.key) is None else None
