"""Looks at what a workspace names: stores, databases, credentials, compute targets and the Airflow server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import urlopen

from airflow_ml_pipelines.core.databases.kinds import is_database
from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.stores.connections import find_connection
from airflow_ml_pipelines.core.stores.credentials import mask_url, variable_name
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces.server import AirflowServer, ServerError, find_server
from airflow_ml_pipelines.core.workspaces.workspace import (
    BLOB_STORE,
    FILE_STORE,
    ComputeTargetSpec,
    DatastoreSpec,
    Workspace,
)
from airflow_ml_pipelines.doctor.findings import Examination, Finding
from airflow_ml_pipelines.doctor.stores import examine_store
from airflow_ml_pipelines.execution.targets.registry import open_target

__all__ = ["examine_server", "examine_target", "workspace_examinations"]

_CONNECT_SECONDS = 10.0


def workspace_examinations(workspace: Workspace) -> Iterator[Examination]:
    """Yield what there is to examine of a workspace.

    The two datastores that every workspace has lie under the root, and are examined with it.
    """
    yield Examination("root", partial(_examine_root, workspace))
    for name, spec in workspace.declared_datastores.items():
        if name not in (BLOB_STORE, FILE_STORE):
            yield Examination(f"datastore {name}", partial(_examine_datastore, workspace, spec))
    yield Examination("what is registered", partial(_examine_registered, workspace))
    for name, target in workspace.declared_compute_targets.items():
        yield Examination(f"compute target {name}", partial(examine_target, target))
    server = find_server(workspace.server)
    if server is not None:
        yield Examination("Airflow server", partial(examine_server, server))
    mlflow = workspace.mlflow or os.environ.get("MLFLOW_TRACKING_URI", "")
    if mlflow.startswith(("http://", "https://")):  # else a folder or a database of its own
        yield Examination("MLflow server", partial(_examine_mlflow, mlflow))


def _examine_root(workspace: Workspace) -> Iterator[Finding]:
    spec = workspace.root
    yield from _examine_credentials("root", spec)
    yield from _at(spec, "root", workspace.store, root=True)


def _examine_datastore(workspace: Workspace, spec: DatastoreSpec) -> Iterator[Finding]:
    what = f"datastore {spec.name}"
    yield from _examine_credentials(what, spec)
    if not is_database(spec.url):
        yield from _at(spec, what, workspace.datastore(spec.name), root=False)
        return
    database = workspace.database(spec.name)
    try:
        connection = database.connect(_CONNECT_SECONDS)
    except Exception as error:  # noqa: BLE001 - every driver has exceptions of its own
        text = mask_url(" ".join(str(error).split()))
        yield Finding(
            what, "error", f"it can't be reached: {text}", "check its address, and the connection's user"
        )
        return
    with closing(connection):
        yield Finding(what, "ok", f"{mask_url(spec.url)}: it answers")


def _at(spec: DatastoreSpec, what: str, store: Store, *, root: bool) -> Iterator[Finding]:
    for finding in examine_store(what, store, root=root):
        text = f"{mask_url(spec.url)}: {finding.text}" if finding.level == "ok" else finding.text
        yield Finding(finding.what, finding.level, text, finding.advice)


def _examine_credentials(what: str, spec: DatastoreSpec) -> Iterator[Finding]:
    """Yield which credentials there are, by their names. :raises WorkspaceError: where one is missing."""
    if spec.connection is not None:
        found = find_connection(spec.connection, what)
        yield Finding(what, "ok", f"connection {spec.connection} is there, of type {found.conn_type}")
    names = {variable_name(reference, what) for reference in spec.credentials.values()}
    missing = sorted(name for name in names if not os.environ.get(name))
    if missing:
        raise WorkspaceError(f"{', '.join(missing)} is not set here: set it to the credential that it names")
    if names:
        yield Finding(what, "ok", f"{', '.join(sorted(names))} set")


def _examine_registered(workspace: Workspace) -> Iterator[Finding]:
    """Yield what is known by code alone, and examine it. The root is read for it."""
    for name, spec in workspace.datastores().items():
        if name not in workspace.declared_datastores:
            yield from _examine_datastore(workspace, spec)
    for name, target in workspace.compute_targets().items():
        if name not in workspace.declared_compute_targets:
            yield from examine_target(target)


def examine_target(spec: ComputeTargetSpec) -> Iterator[Finding]:
    """Yield whether a compute target can be used. :raises ComputeTargetException: where it can't."""
    open_target(spec).check()
    yield Finding(f"compute target {spec.name}", "ok", f"of type {spec.type}: it can be used")


def examine_server(server: AirflowServer) -> Iterator[Finding]:
    """Yield whether an Airflow server can be called, and takes the token. :raises WorkspaceError: without a token."""
    what, url = "Airflow server", server.url.rstrip("/")
    try:
        health = server.call("GET", f"{url}/api/v2/monitor/health")
    except ServerError as error:
        advice = "check its address and whether it is up" if not error.status else "is it an Airflow 3?"
        yield Finding(what, "error", str(error), advice)
        return
    for part, state in health.items() if isinstance(health, dict) else ():
        if isinstance(state, dict) and state.get("status") == "unhealthy":
            yield Finding(what, "warning", f"its {part} gives no sign of life", f"start it (airflow {part})")
    try:
        server.call("GET", f"{server.address('pipelines')}?limit=1")
    except ServerError as error:
        yield Finding(what, "error", str(error), _ADVICE.get(error.status, "see the API server's log"))
        return
    yield Finding(
        what, "ok", f"{url}: it answers, and takes the token of {server.token.removeprefix('env:')}"
    )


def _examine_mlflow(url: str) -> Iterator[Finding]:
    """Yield whether an MLflow server answers, be it that it wants to know who asks."""
    what, shown = "MLflow server", mask_url(url).rstrip("/")
    try:
        urlopen(f"{shown}/health", timeout=_CONNECT_SECONDS).close()  # noqa: S310 - the scheme was looked at
    except HTTPError as error:
        error.close()
        if error.code >= 500:
            yield Finding(
                what, "warning", f"{shown} answers {error.code}", "see its log; steps run without it"
            )
            return
    except (OSError, HTTPException, ValueError) as error:
        text = f"no answer from {shown}: {getattr(error, 'reason', error)}"
        yield Finding(what, "warning", text, "check its address and whether it is up; steps run without it")
        return
    yield Finding(what, "ok", f"{shown}: it answers")


_ADVICE = {
    401: "the token has expired or is none: get a new one",
    403: "the token's user may not do that: give it a role that may",
    404: "this package is not installed there: install it where the API server runs",
    409: "see to its workspace: [ml_pipelines] workspace of its configuration",
    503: "its workspace can't be read from there",
}
