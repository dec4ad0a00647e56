"""REST calls for the files of runs: logs, what scripts put into ``./outputs``, and what steps made for others."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from airflow_ml_pipelines.core.runs.folder import StepDocument
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.plugin.access import Access, AccessDep, WorkspaceDep
from airflow_ml_pipelines.plugin.files import KeptFile, find_kept, find_made, kept_files, made_files
from airflow_ml_pipelines.plugin.models import File, FilePage
from airflow_ml_pipelines.plugin.routes.pipelines import Limit, Offset
from airflow_ml_pipelines.plugin.routes.runs import open_run, read_step
from airflow_ml_pipelines.plugin.serve import RESPONSES, serve_file

__all__ = ["router"]

router = APIRouter(prefix="/runs/{pipeline}/{run}/steps/{step}", tags=["files of runs"])

Range = Annotated[str | None, Header(description="such as `bytes=0-65535`")]


@router.get("/files")
def list_files(
    pipeline: str,
    run: str,
    step: str,
    workspace: WorkspaceDep,
    access: AccessDep,
    limit: Limit = 100,
    offset: Offset = 0,
) -> FilePage:
    """Return the files that the step's run kept: its logs, and what the script put into `./outputs`."""
    found = kept_files(workspace, _folder(workspace, access, pipeline, run, step))
    return _page(len(found), found[offset : offset + limit])


@router.get("/files/{path:path}", response_class=StreamingResponse, responses=RESPONSES)
def get_file(
    pipeline: str,
    run: str,
    step: str,
    path: str,
    workspace: WorkspaceDep,
    access: AccessDep,
    range: Range = None,  # noqa: A002 - the header's name
) -> StreamingResponse:
    """Return such a file, or a part of it. Only text and images are for a browser to show."""
    file = find_kept(workspace, _folder(workspace, access, pipeline, run, step), path)
    return serve_file(file.store, file.path, range)


@router.get("/outputs/{output}/files")
def list_output_files(
    pipeline: str,
    run: str,
    step: str,
    output: str,
    workspace: WorkspaceDep,
    access: AccessDep,
    limit: Limit = 100,
    offset: Offset = 0,
) -> FilePage:
    """Return the files of an output; of a reused step those of the run that made it."""
    document = _document(workspace, access, pipeline, run, step)
    found = made_files(workspace, document, output, first=offset, most=limit)
    return _page(document.outputs[output].files, found)


@router.get("/outputs/{output}/files/{path:path}", response_class=StreamingResponse, responses=RESPONSES)
def get_output_file(
    pipeline: str,
    run: str,
    step: str,
    output: str,
    path: str,
    workspace: WorkspaceDep,
    access: AccessDep,
    range: Range = None,  # noqa: A002
) -> StreamingResponse:
    """Return a file of an output, or a part of it; the first bytes will do for a preview."""
    file = find_made(workspace, _document(workspace, access, pipeline, run, step), output, path)
    return serve_file(file.store, file.path, range)


def _document(workspace: Workspace, access: Access, pipeline: str, run: str, step: str) -> StepDocument:
    return read_step(open_run(workspace, access, pipeline, run), step)


def _folder(workspace: Workspace, access: Access, pipeline: str, run: str, step: str) -> str:
    """Return the folder of the attempt that made a step's results, "" where there is none.

    The logs of a reused step are those of another run, which the user has to be allowed to see as well.
    """
    document = _document(workspace, access, pipeline, run, step)
    if (origin := document.reused_from) is not None:
        open_run(workspace, access, origin.pipeline, origin.run)
    return document.folder


def _page(total: int, found: list[KeptFile]) -> FilePage:
    return FilePage(
        total=total, items=[File(path=file.name, size=file.size, digest=file.digest) for file in found]
    )
