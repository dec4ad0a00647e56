"""Waits for the end of a run of Databricks, by the trigger of Databricks' own provider, and keeps the step's lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from airflow.providers.databricks.triggers.databricks import (  # noqa: TID253 - imported by those that wait alone
    DatabricksExecutionTrigger,
)

from airflow_ml_pipelines._airflow import TriggerEvent
from airflow_ml_pipelines.core.errors import MlPipelinesError
from airflow_ml_pipelines.core.reuse.lease import acquire_lease
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["DatabricksRunTrigger"]


class DatabricksRunTrigger(DatabricksExecutionTrigger):  # type: ignore[misc]
    """Waits until a run has ended. Killing the task cancels the run.

    :param workspace: the workspace's file or folder; None for the one that the triggerer's configuration names.
    :param lease_key: of the lease that is kept meanwhile.
    :param owner: of the lease.
    :param forced: why the step runs in any case; handed back.
    :param options: of the provider's trigger.
    """

    def __init__(
        self, *, workspace: str | None, lease_key: str, owner: str, forced: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        if not lease_key or not owner:
            raise ValueError("a DatabricksRunTrigger needs the key and the owner of the lease that it keeps")
        self.workspace = workspace
        self.lease_key = lease_key
        self.owner = owner
        self.forced = forced
        self._opened: Workspace | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and all that it was made with."""
        _, options = super().serialize()
        own = {name: getattr(self, name) for name in ("workspace", "lease_key", "owner", "forced")}
        return f"{type(self).__module__}.{type(self).__qualname__}", {**options, **own}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, when the run has ended, or can't be seen from here: then the task looks itself."""
        keeping = asyncio.create_task(self._keep())
        try:
            async for _ in super().run():
                yield TriggerEvent({"status": "ended", "run_id": self.run_id, "forced": self.forced})
                return
        except Exception as error:  # noqa: BLE001 - an error here would fail the task while its run goes on
            said = f"{type(error).__name__}: {error}"
            yield TriggerEvent(
                {"status": "unseen", "run_id": self.run_id, "forced": self.forced, "error": said}
            )
        finally:
            keeping.cancel()

    async def _keep(self) -> None:
        from asgiref.sync import sync_to_async

        # as of ReuseTrigger: never in the event loop that all triggers share
        beat = sync_to_async(self._beat, thread_sensitive=False)
        while True:  # noqa: ASYNC110 - nobody can tell that it is time
            await asyncio.sleep(await beat())

    def _beat(self) -> float:
        """Keep the lease, and return after how many seconds to do so again."""
        from airflow_ml_pipelines._tasks import open_workspace

        if self._opened is None:
            self._opened = open_workspace(self.workspace)
        seconds = self._opened.lease_seconds
        with suppress(MlPipelinesError):  # a store that is away for a moment: the next beat may do
            acquire_lease(self._opened.store, self.lease_key, self.owner, seconds)
        return seconds / 4
