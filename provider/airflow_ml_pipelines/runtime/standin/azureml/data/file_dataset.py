"""Where scripts import ``FileDataset`` from."""

from __future__ import annotations

from airflow_ml_pipelines.runtime.datasets import FileDataset

__all__ = ["FileDataset"]
__path__: list[str] = []
