"""Who may see and do what: Airflow's own users and permissions, by the DAG of each pipeline."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from airflow.api_fastapi.app import get_auth_manager  # noqa: TID253 - in the API server it is there
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser  # noqa: TID253
from airflow.api_fastapi.auth.managers.models.resource_details import (  # noqa: TID253
    DagAccessEntity,
    DagDetails,
)
from airflow.api_fastapi.core_api.security import GetUserDep  # noqa: TID253
from airflow.models.dag import DagModel  # noqa: TID253
from fastapi import Depends, HTTPException

from airflow_ml_pipelines._airflow import conf
from airflow_ml_pipelines.core.errors import MlPipelinesError
from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.runs.place import read_place
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = [
    "Access",
    "AccessDep",
    "MissingError",
    "WorkspaceDep",
    "may_see_run",
    "readable",
    "workspace_of_server",
]


_T = TypeVar("_T")


class MissingError(MlPipelinesError):
    """Something that is not there, or that the user may not see."""


class Access:
    """What the user of a request may do.

    Where Airflow has teams (``core.multi_team``), a DAG that belongs to one is for its users alone.
    """

    def __init__(self, user: BaseUser) -> None:
        self.user = user
        self._teams: dict[str, str | None] = {}

    def may(self, method: Literal["GET", "POST", "PUT"], dag_id: str, *, runs: bool = False) -> bool:
        """Return whether the user may do something with a DAG, or with its runs."""
        return bool(
            get_auth_manager().is_authorized_dag(
                method=method,
                access_entity=DagAccessEntity.RUN if runs else None,
                details=DagDetails(id=dag_id, team_name=self._team(dag_id)),
                user=self.user,
            )
        )

    def _team(self, dag_id: str) -> str | None:
        if not conf.getboolean("core", "multi_team", fallback=False):
            return None
        if dag_id not in self._teams:
            self._teams[dag_id] = DagModel.get_team_name(dag_id)
        return self._teams[dag_id]

    def may_read_assets(self) -> bool:
        """Return whether the user may see Airflow's assets: data that is known to all DAGs and belongs to none."""
        return bool(get_auth_manager().is_authorized_asset(method="GET", user=self.user))

    def require(self, method: Literal["GET", "POST", "PUT"], dag_id: str, *, runs: bool = False) -> None:
        """Refuse with 403 what the user may not do."""
        if not self.may(method, dag_id, runs=runs):
            raise HTTPException(403, "Forbidden")


def may_see_run(access: Access, store: Store, pipeline: str, run: str) -> bool:
    """Return whether a user may see a run: it belongs to the DAG that ran it, else to the one of its pipeline's name."""
    place = read_place(RunFolder(store, pipeline, run))
    return access.may("GET", place["dag_id"] if place else pipeline, runs=True)


def readable(find: Callable[[], _T], access: Access, dag_id: Callable[[_T], str], *, what: str) -> _T:
    """Return something, if it is there and the user may see it.

    :param what: how an error calls it.
    :raises MissingError: otherwise; it does not tell the one case from the other.
    """
    try:
        item = find()
    except MlPipelinesError:
        raise MissingError(f"there is no {what}") from None
    if not access.may("GET", dag_id(item)):
        raise MissingError(f"there is no {what}")
    return item


@functools.cache
def _open_workspace() -> Workspace:
    from airflow_ml_pipelines._tasks import open_workspace

    return open_workspace(None)


# these two wait for nothing, but what is no coroutine costs every request a way through a pool of threads


async def workspace_of_server() -> Workspace:
    """Return the workspace that Airflow's configuration names."""
    return _open_workspace()


async def _access(user: GetUserDep) -> Access:
    return Access(user)


AccessDep = Annotated[Access, Depends(_access)]
WorkspaceDep = Annotated[Workspace, Depends(workspace_of_server)]
