"""The workspace's datastores."""

from __future__ import annotations

from airflow_ml_pipelines.runtime.surroundings import Datastore

__all__ = ["Datastore"]
__path__: list[str] = []
