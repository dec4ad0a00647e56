"""Errors that scripts catch."""

from __future__ import annotations

from airflow_ml_pipelines.runtime.run import RunEnvironmentException

__all__ = ["RunEnvironmentException"]
__path__: list[str] = []
