"""The workspace of a run."""

from __future__ import annotations

from airflow_ml_pipelines.runtime.surroundings import Workspace

__all__ = ["Workspace"]
__path__: list[str] = []
