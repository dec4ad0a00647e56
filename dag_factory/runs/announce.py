"""Tells Airflow of a version of a dataset that no task of it has registered."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.workspaces.registry import dataset_uri
from dag_factory.runs.remote import server_of

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.workspaces.workspace import DatasetRecord, Workspace

__all__ = ["announce"]


def announce(workspace: Workspace, record: DatasetRecord) -> None:
    """Send an event of a dataset's asset, with which the pipelines start that wait for it.

    :raises WorkspaceError: where the workspace knows no Airflow server, or that server no such asset.
    :raises ServerError: where there is no answer, or the call is refused.
    """
    server, uri = server_of(workspace), dataset_uri(record.name)
    assets = f"{server.url.rstrip('/')}/api/v2/assets"
    found = server.call("GET", f"{assets}?limit=100&uri_pattern={quote(uri, safe='')}")["assets"]
    numbers = [asset["id"] for asset in found if asset["uri"].rstrip("/") == uri]
    if not numbers:
        raise WorkspaceError(
            f"no pipeline of the Airflow server {server.url} waits for dataset {record.name!r}: "
            f"one does with `schedule: {{datasets: [{record.name}]}}`"
        )
    digest = {} if record.digest is None else {"digest": record.digest}
    event = {"asset_id": numbers[0], "extra": {"version": record.version, **digest}}
    server.call("POST", f"{assets}/events", event)
