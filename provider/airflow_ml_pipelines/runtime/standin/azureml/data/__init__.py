"""What inputs of mode ``direct`` are."""

from __future__ import annotations

from airflow_ml_pipelines.runtime.datasets import FileDataset, TabularDataset

from .datapath import DataPath

__all__ = ["DataPath", "FileDataset", "TabularDataset"]
