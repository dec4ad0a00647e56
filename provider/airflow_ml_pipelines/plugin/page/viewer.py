"""Whoever looks at a page, and what there is to be seen for them."""

from __future__ import annotations

import functools
import sqlite3
from contextlib import AbstractContextManager
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from airflow_ml_pipelines.core.run_index import Progress, RunIndex, dags_of, open_index
from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.plugin.access import AccessDep, MissingError, WorkspaceDep, may_see_run
from airflow_ml_pipelines.plugin.page.changed import changed_dag_runs

__all__ = ["Viewer", "ViewerDep", "index_of"]


class Viewer:
    """A user, with the workspace and the index of its runs."""

    def __init__(self, request: Request, access: AccessDep, workspace: WorkspaceDep) -> None:
        self.request = request
        self.access = access
        self.workspace = workspace
        self._index = index_of(workspace)
        self._seen: dict[str, bool] = {}

    def refresh(self) -> Progress:
        """Bring the index up to date, as far as that takes no longer than a moment."""
        return self._index.refresh()

    def index(self) -> AbstractContextManager[sqlite3.Connection]:
        """Open the index."""
        return open_index(self._index.file)

    def sees(self, dag_id: str) -> bool:
        """Return whether the user may see the runs of a DAG."""
        if dag_id not in self._seen:
            self._seen[dag_id] = self.access.may("GET", dag_id, runs=True)
        return self._seen[dag_id]

    def dags(self, connection: sqlite3.Connection) -> list[str]:
        """Return those DAGs with runs that the user may see."""
        return [dag_id for dag_id in dags_of(connection) if self.sees(dag_id)]

    def sees_run(self, pipeline: str, run: str) -> bool:
        """Return whether the user may see a run."""
        return may_see_run(self.access, self.workspace.store, pipeline, run)

    def open_run(self, pipeline: str, run: str) -> RunFolder:
        """Return the folder of a run, by the names of its folders or by its own.

        :raises MissingError: where there is none, or the user may not see it.
        """
        folder = RunFolder(self.workspace.store, pipeline, run)
        if self.workspace.store.info(f"{folder.path}/run.json") is not None:
            document = folder.read_run()
            if self.sees_run(document.pipeline, document.run):
                return RunFolder(self.workspace.store, document.pipeline, document.run)
        raise MissingError(f"there is no run {run[:200]!r} of pipeline {pipeline[:200]!r}")


@functools.cache
def index_of(workspace: Workspace) -> RunIndex:
    """Return the index of a workspace, one for each in a process."""
    return RunIndex(workspace, changed_dag_runs)


async def _viewer(request: Request, access: AccessDep, workspace: WorkspaceDep) -> Viewer:
    return await run_in_threadpool(Viewer, request, access, workspace)


ViewerDep = Annotated[Viewer, Depends(_viewer)]
