"""REST calls for pipeline endpoints."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.publishing.endpoints import (
    EndpointDocument,
    find_endpoints,
    read_endpoint,
    switch_endpoint,
)
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.plugin.access import Access, AccessDep, WorkspaceDep, readable
from airflow_ml_pipelines.plugin.bodies import DocumentRoute
from airflow_ml_pipelines.plugin.models import Endpoint, EndpointPage, Status, Submission, Submitted
from airflow_ml_pipelines.plugin.routes.pipelines import Key, Limit, Offset, read_pipeline
from airflow_ml_pipelines.plugin.submit import submit

__all__ = ["may_change", "read_endpoint_of", "require_change", "router"]

_SHOWN = 200

router = APIRouter(prefix="/endpoints", tags=["pipeline endpoints"], route_class=DocumentRoute)


@router.get("")
def list_endpoints(
    workspace: WorkspaceDep,
    access: AccessDep,
    *,
    active_only: bool = True,
    limit: Limit = 100,
    offset: Offset = 0,
) -> EndpointPage:
    """Return the endpoints whose default pipeline the user may see, by name."""
    found = find_endpoints(workspace.store, active_only=active_only)
    shown = [document for document in found if access.may("GET", document.pipeline())]
    return EndpointPage(total=len(shown), items=[_describe(item) for item in shown[offset : offset + limit]])


@router.get("/{endpoint_id}")
def get_endpoint(endpoint_id: str, workspace: WorkspaceDep, access: AccessDep) -> Endpoint:
    """Return an endpoint, by its id or name."""
    return _describe(read_endpoint_of(workspace, access, endpoint_id))


@router.post("/{endpoint_id}")
async def submit_endpoint(
    endpoint_id: str,
    body: Submission,
    request: Request,
    workspace: WorkspaceDep,
    access: AccessDep,
    idempotency_key: Key = None,
) -> Submitted:
    """Start a run of an endpoint's default version."""
    return await _submit(endpoint_id, None, body, request, workspace, access, idempotency_key)


@router.post("/{endpoint_id}/{version}")
async def submit_endpoint_version(
    endpoint_id: str,
    version: str,
    body: Submission,
    request: Request,
    workspace: WorkspaceDep,
    access: AccessDep,
    idempotency_key: Key = None,
) -> Submitted:
    """Start a run of a version of an endpoint."""
    return await _submit(endpoint_id, version, body, request, workspace, access, idempotency_key)


@router.patch("/{endpoint_id}")
def change_endpoint(endpoint_id: str, body: Status, workspace: WorkspaceDep, access: AccessDep) -> Endpoint:
    """Enable or disable an endpoint, which takes the right to change the pipeline of each of its versions."""
    document = read_endpoint_of(workspace, access, endpoint_id)
    require_change(access, document)
    return _describe(switch_endpoint(workspace.store, document.id, body.status))


def may_change(access: Access, document: EndpointDocument) -> bool:
    """Return whether the user may enable and disable an endpoint: whether they may do so with all that it runs."""
    return all(access.may("PUT", pipeline) for pipeline in dict.fromkeys(document.versions))


def require_change(access: Access, document: EndpointDocument) -> None:
    """Refuse with 403 where the user may not."""
    for pipeline in dict.fromkeys(document.versions):
        access.require("PUT", pipeline)


async def _submit(
    endpoint_id: str,
    version: str | None,
    body: Submission,
    request: Request,
    workspace: Workspace,
    access: Access,
    key: str | None,
) -> Submitted:
    endpoint = await run_in_threadpool(read_endpoint_of, workspace, access, endpoint_id)
    if endpoint.status != "Active":
        raise WorkspaceError(f"endpoint {endpoint.name!r} is {endpoint.status.lower()}")
    document = await run_in_threadpool(read_pipeline, workspace, access, endpoint.pipeline(version))
    access.require("POST", document.id, runs=True)
    return await submit(
        request, workspace, access, document, body, key=key, tags={"pipeline_endpoint": endpoint.id}
    )


def read_endpoint_of(workspace: Workspace, access: Access, wanted: str) -> EndpointDocument:
    """Return an endpoint by its id or name. :raises MissingError: where there is none that the user may see."""

    def find() -> EndpointDocument:
        try:
            return read_endpoint(workspace.store, identity=wanted)
        except WorkspaceError:
            return read_endpoint(workspace.store, name=wanted)

    return readable(
        find, access, lambda document: document.pipeline(), what=f"pipeline endpoint {wanted[:_SHOWN]!r}"
    )


def _describe(document: EndpointDocument) -> Endpoint:
    return Endpoint(
        id=document.id,
        name=document.name,
        description=document.description,
        status=document.status,
        default_version=document.default,
        versions=list(document.versions),
        created=document.created,
    )
