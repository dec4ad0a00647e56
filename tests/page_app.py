"""The application as the API server mounts it, in this process: real routes, stores and documents, and users by name."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Collection

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Airflow 3.1 imports what it has deprecated itself
    from airflow.api_fastapi.core_api.security import get_user
    from starlette.testclient import TestClient  # which warns of the client that Airflow brings

from fastapi import HTTPException, Request

from airflow_ml_pipelines.core.run_index import RunIndex
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.plugin import PREFIX, access
from airflow_ml_pipelines.plugin.app import make_app
from airflow_ml_pipelines.plugin.page import viewer
from airflow_ml_pipelines.plugin.page.routes import runs

UI = f"{PREFIX}/ui"
API = f"{PREFIX}/api/v1"
ENDED = ("ended",)
"""The DAGs whose runs have ended."""


class Airflow:
    """What decides who may see what: users by name, each with the DAGs that they may see and change."""

    def __init__(self, users: dict[str, Collection[str] | None]) -> None:
        self.users = users

    def is_authorized_dag(self, *, method, access_entity=None, details=None, user=None) -> bool:
        seen = self.users[user]
        return seen is None or (details.id in seen and method == "GET")

    def is_authorized_asset(self, *, method, user=None, details=None) -> bool:
        return self.users[user] is None


def page_client(patch, workspace: Workspace, users: dict[str, Collection[str] | None]) -> TestClient:
    """Return a client; the header ``user`` says who asks. A user with None for DAGs may do everything."""
    airflow = Airflow(users)
    patch.setattr(access, "get_auth_manager", lambda: airflow)
    index = RunIndex(workspace)
    patch.setattr(index, "refresh", functools.partial(index.refresh, 60))  # however busy the machine is
    patch.setattr(viewer, "index_of", lambda _: index)
    patch.setattr(runs, "has_ended", lambda dag_id, _: dag_id in ENDED)
    app = make_app()

    def user(request: Request) -> str:
        if request.headers.get("user") not in users:
            raise HTTPException(401, "Not authenticated")
        return request.headers["user"]

    app.dependency_overrides[get_user] = user
    app.dependency_overrides[access.workspace_of_server] = lambda: workspace
    return TestClient(app, base_url="http://airflow", root_path=PREFIX, headers={"user": "admin"})
