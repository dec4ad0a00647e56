"""Turns errors of checks into problems of a definition."""

from __future__ import annotations

from collections.abc import Callable

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.written.problems import Path, Problem

__all__ = ["caught"]


def caught(path: Path, check: Callable[[], object]) -> list[Problem]:
    """Return what is wrong where a check raises an error of the workspace."""
    try:
        check()
    except WorkspaceError as error:
        return [Problem(path, str(error))]
    return []
