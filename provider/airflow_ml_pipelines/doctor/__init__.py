"""Finds out whether a workspace, this machine and Airflow are as pipelines need them, and says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from airflow_ml_pipelines.core.errors import MlPipelinesError
from airflow_ml_pipelines.core.stores.credentials import mask_url
from airflow_ml_pipelines.core.workspaces.workspace import Workspace, default_cache_directory
from airflow_ml_pipelines.doctor.airflow_here import examine_airflow, is_configured
from airflow_ml_pipelines.doctor.findings import Examination, Finding, Level, examine_all
from airflow_ml_pipelines.doctor.machine import examine_cache, examine_environments, examine_versions
from airflow_ml_pipelines.doctor.parts import workspace_examinations
from airflow_ml_pipelines.workspace_file import load_workspace

__all__ = ["SECONDS", "Finding", "Level", "examine"]

SECONDS = 20.0
"""How long each look may take, unless something else is said."""


def examine(path: Path | str | None = None, *, seconds: float = SECONDS) -> Iterator[Finding]:
    """Look at everything and yield what is found, each thing within a time limit and all at the same time.

    :param path: of the workspace; see :func:`~airflow_ml_pipelines.workspace_file.load_workspace`.
    :param seconds: how long each look may take.
    """
    workspace: Workspace | None = None
    parts: list[Examination] = []
    try:
        workspace = load_workspace(path)
        yield Finding("workspace file", "ok", f"{workspace.file}: workspace {workspace.name!r}")
        parts += workspace_examinations(workspace)
    except MlPipelinesError as error:
        yield Finding("workspace file", "error", mask_url(str(error)))
    environments = {} if workspace is None else workspace.declared_environments
    cache = default_cache_directory() if workspace is None else workspace.cache_directory
    parts += [
        Examination("cache", lambda: examine_cache(cache), "is it on a file server that is away?"),
        Examination("environments", lambda: examine_environments(environments)),
        Examination("versions", examine_versions),
    ]
    if is_configured():
        limit = 0.9 * seconds  # so that its process is ended
        parts.append(Examination("Airflow here", lambda: examine_airflow(workspace, limit)))
    yield from examine_all(parts, seconds)
