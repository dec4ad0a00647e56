"""REST calls for published pipelines."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool

from airflow_ml_pipelines.core.publishing.published import (
    PublishedDocument,
    find_published,
    read_published,
    read_status,
    write_status,
)
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.plugin.access import Access, AccessDep, WorkspaceDep, readable
from airflow_ml_pipelines.plugin.bodies import DocumentRoute
from airflow_ml_pipelines.plugin.models import (
    Parameter,
    Pipeline,
    PipelinePage,
    Status,
    Submission,
    Submitted,
)
from airflow_ml_pipelines.plugin.submit import submit

__all__ = ["Key", "Limit", "Offset", "describe", "read_pipeline", "router"]

_SHOWN = 200

router = APIRouter(prefix="/pipelines", tags=["published pipelines"], route_class=DocumentRoute)

Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, le=10_000_000)]
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)]


@router.get("")
def list_pipelines(
    workspace: WorkspaceDep,
    access: AccessDep,
    *,
    active_only: bool = True,
    limit: Limit = 100,
    offset: Offset = 0,
) -> PipelinePage:
    """Return the published pipelines that the user may see, by name and number."""
    found = find_published(workspace.store, active_only=active_only)
    shown = [(document, status) for document, status in found if access.may("GET", document.id)]
    page = shown[offset : offset + limit]
    return PipelinePage(total=len(shown), items=[describe(*item) for item in page])


@router.get("/{pipeline_id}")
def get_pipeline(pipeline_id: str, workspace: WorkspaceDep, access: AccessDep) -> Pipeline:
    """Return a published pipeline."""
    document = read_pipeline(workspace, access, pipeline_id)
    return describe(document, read_status(workspace.store, document))


@router.post("/{pipeline_id}")
async def submit_pipeline(
    pipeline_id: str,
    body: Submission,
    request: Request,
    workspace: WorkspaceDep,
    access: AccessDep,
    idempotency_key: Key = None,
) -> Submitted:
    """Start a run of a published pipeline."""
    document = await run_in_threadpool(read_pipeline, workspace, access, pipeline_id)
    access.require("POST", document.id, runs=True)
    return await submit(request, workspace, access, document, body, key=idempotency_key)


@router.patch("/{pipeline_id}")
def change_pipeline(pipeline_id: str, body: Status, workspace: WorkspaceDep, access: AccessDep) -> Pipeline:
    """Enable or disable a published pipeline."""
    document = read_pipeline(workspace, access, pipeline_id)
    access.require("PUT", document.id)
    write_status(workspace.store, document, body.status)
    return describe(document, body.status)


def describe(document: PublishedDocument, status: str) -> Pipeline:
    """Return a published pipeline as it is answered."""
    spec = document.spec
    return Pipeline(
        id=document.id,
        name=document.name,
        number=document.number,
        version=document.version,
        description=spec.description,
        status=status,
        created=document.created,
        steps=[step.name for step in spec.steps],
        parameters=[
            Parameter(
                name=item.name,
                type=item.type,
                required=item.required,
                default=item.default,
                enum=list(item.enum),
                minimum=item.minimum,
                maximum=item.maximum,
                description=item.description,
            )
            for item in spec.parameters
        ],
        git=spec.publication.git if spec.publication else {},
    )


def read_pipeline(workspace: Workspace, access: Access, identity: str) -> PublishedDocument:
    """Return a published pipeline that the user may see. :raises MissingError: where there is none."""
    return readable(
        lambda: read_published(workspace.store, identity),
        access,
        lambda document: document.id,
        what=f"published pipeline {identity[:_SHOWN]!r}",
    )
