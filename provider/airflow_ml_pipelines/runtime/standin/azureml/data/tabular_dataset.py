"""Where scripts import ``TabularDataset`` from."""

from __future__ import annotations

from airflow_ml_pipelines.runtime.datasets import TabularDataset

__all__ = ["TabularDataset"]
__path__: list[str] = []
