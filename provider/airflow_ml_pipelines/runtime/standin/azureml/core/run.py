"""The run of a step."""

from __future__ import annotations

from airflow_ml_pipelines.runtime.run import OfflineRun as _OfflineRun
from airflow_ml_pipelines.runtime.run import Run

__all__ = ["Run", "_OfflineRun"]
__path__: list[str] = []  # so that a name that is missing is asked for as a module, and explained
