"""The names of ``azureml.core`` that scripts use at run time."""

from __future__ import annotations

from airflow_ml_pipelines.runtime.run import Run

from .dataset import Dataset
from .datastore import Datastore
from .experiment import Experiment
from .model import Model
from .workspace import Workspace

__all__ = ["Dataset", "Datastore", "Experiment", "Model", "Run", "Workspace"]
