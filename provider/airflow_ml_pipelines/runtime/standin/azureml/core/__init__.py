"""The names of ``azureml.core`` that scripts use at run time, each imported when it is asked for."""

from __future__ import annotations

from typing import Any

__all__ = ["Dataset", "Datastore", "Experiment", "Model", "Run", "Workspace"]


def __getattr__(name: str) -> Any:
    if name == "Run":
        from airflow_ml_pipelines.runtime.run import Run

        return Run
    if name == "Model":
        from .model import Model

        return Model
    if name in __all__:
        from airflow_ml_pipelines.runtime import surroundings

        return getattr(surroundings, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
