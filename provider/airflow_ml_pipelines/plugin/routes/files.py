"""REST calls for the files of runs: logs, what scripts put into ``./outputs``, and what steps made for others."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from airflow_ml_pipelines.core.errors import InvalidPathError
from airflow_ml_pipelines.core.files.manifest import Entry
from airflow_ml_pipelines.core.reuse.verify import read_manifest
from airflow_ml_pipelines.core.runs.folder import OutputDocument
from airflow_ml_pipelines.core.stores.store import check_path, join
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.plugin.access import Access, AccessDep, MissingError, WorkspaceDep
from airflow_ml_pipelines.plugin.models import File, FilePage
from airflow_ml_pipelines.plugin.routes.pipelines import Limit, Offset
from airflow_ml_pipelines.plugin.routes.runs import open_run, read_step
from airflow_ml_pipelines.plugin.serve import RESPONSES, serve_file

__all__ = ["router"]

_SHOWN = 200
_KEPT = ("logs/", "outputs/")

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
    folder = _folder(workspace, access, pipeline, run, step)
    skip = len(folder) + 1
    found = {info.path[skip:]: info.size for info in workspace.store.walk(folder)} if folder else {}
    items = [File(path=path, size=size) for path, size in sorted(found.items()) if path.startswith(_KEPT)]
    return FilePage(total=len(items), items=items[offset : offset + limit])


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
    folder = _folder(workspace, access, pipeline, run, step)
    if not folder or not path.startswith(_KEPT) or not _is_plain(path):
        raise MissingError(f"step {step[:_SHOWN]!r} kept no file {path[:_SHOWN]!r}")
    return serve_file(workspace.store, f"{folder}/{path}", range)


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
    document = _output(workspace, access, pipeline, run, step, output)
    entries = read_manifest(workspace, document).entries
    items = [
        File(path=entry.path, size=entry.size, digest=entry.digest)
        for entry in entries[offset : offset + limit]
    ]
    return FilePage(total=len(entries), items=items)


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
    document = _output(workspace, access, pipeline, run, step, output)
    known: dict[str, Entry] = {entry.path: entry for entry in read_manifest(workspace, document)}
    if path not in known or not _is_plain(path):
        raise MissingError(f"output {output[:_SHOWN]!r} has no file {path[:_SHOWN]!r}")
    place = document.path if document.single else join(document.path, path)
    return serve_file(workspace.datastore(document.datastore), place, range)


def _folder(workspace: Workspace, access: Access, pipeline: str, run: str, step: str) -> str:
    """Return the folder of the attempt that made a step's results, "" where there is none.

    The logs of a reused step are those of another run, which the user has to be allowed to see as well.
    """
    document = read_step(open_run(workspace, access, pipeline, run), step)
    if (origin := document.reused_from) is not None:
        open_run(workspace, access, origin.pipeline, origin.run)
    return document.folder


def _output(
    workspace: Workspace, access: Access, pipeline: str, run: str, step: str, output: str
) -> OutputDocument:
    document = read_step(open_run(workspace, access, pipeline, run), step)
    if output not in document.outputs:
        raise MissingError(f"step {step[:_SHOWN]!r} has made no output {output[:_SHOWN]!r}")
    return document.outputs[output]


def _is_plain(path: str) -> bool:
    try:
        return check_path(path) == path
    except InvalidPathError:
        return False
