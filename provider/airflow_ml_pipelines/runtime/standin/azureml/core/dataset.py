"""Datasets that a script makes or finds."""

from __future__ import annotations

from airflow_ml_pipelines.runtime.surroundings import Dataset

__all__ = ["Dataset"]
__path__: list[str] = []
