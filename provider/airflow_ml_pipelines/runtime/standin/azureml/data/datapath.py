"""Where scripts import ``DataPath`` from."""

from __future__ import annotations

from airflow_ml_pipelines.runtime.surroundings import DataPath

__all__ = ["DataPath"]
__path__: list[str] = []
