"""Removes what compute targets still have of jobs that nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_ml_pipelines.core.errors import NotFoundError
from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.places import place_path
from airflow_ml_pipelines.execution.step import SIGN_OF_LIFE
from airflow_ml_pipelines.execution.targets.port import Owner, Reaped, Tidy
from airflow_ml_pipelines.execution.targets.registry import open_target

__all__ = ["UNWATCHED", "reap", "why_reap"]

UNWATCHED = 3600.0
"""Seconds after which a job that nobody follows any more is given up."""


def reap(
    workspace: Workspace, target: str, *, unwatched: float = UNWATCHED, dry: bool = False
) -> Iterator[Reaped]:
    """Remove what a compute target has of the workspace's jobs that nobody needs, and yield it.

    :param unwatched: how many seconds a job may run that nobody follows: so long a worker may be away.
    :param dry: remove nothing, say what would be.
    :raises ComputeTargetException: where there is no such target, or it can't be used.
    """
    seen: list[Reaped] = []

    def why(owner: Owner) -> str | None:
        reason = why_reap(workspace, owner, unwatched)
        if dry and reason is not None:
            seen.append(Reaped("", owner, reason))
        return None if dry else reason

    opened = open_target(workspace.compute_target(target))
    yield from opened.reap(workspace, why)
    yield from seen
    if not dry and isinstance(opened, Tidy):
        opened.tidy()


def why_reap(workspace: Workspace, owner: Owner, unwatched: float) -> str | None:
    """Return why nobody needs what belongs to an attempt; None where somebody may."""
    store = workspace.store
    folder = RunFolder(store, owner.pipeline, owner.run)
    try:
        folder.read_run()
    except NotFoundError:
        return "its run is not in the workspace any more"
    document = folder.read_step(owner.step)
    if document is None:
        return "its step was planned again"
    if document.attempt != owner.attempt:
        return f"attempt {document.attempt} came after it"
    if document.status != "running":
        return f"its step is {document.status}"
    sign = store.info(place_path(folder.attempt_folder(owner.step, owner.attempt)))
    age = 0.0 if sign is None else store.clock() - sign.modified
    if age > max(unwatched, 2 * SIGN_OF_LIFE):
        return f"nobody has followed it for {age:.0f} seconds"
    return None
