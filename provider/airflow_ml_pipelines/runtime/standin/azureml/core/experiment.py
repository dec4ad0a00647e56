"""The experiment of a run."""

from __future__ import annotations

from airflow_ml_pipelines.runtime.surroundings import Experiment

__all__ = ["Experiment"]
__path__: list[str] = []
