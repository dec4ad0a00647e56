"""What tests of pipelines need: a run in memory, a fake compute target, stable keys, an Airflow of their own.

``airflow_ml_pipelines.testing.compute_contract`` has the tests that every compute target passes; it needs pytest. The
fixtures of :mod:`airflow_ml_pipelines.pytest_plugin` are there in every test.
"""

from airflow_ml_pipelines.testing.compute_target import FakeComputeTarget, FakeStep
from airflow_ml_pipelines.testing.keys import KeyDocuments, assert_key_stable, key_documents
from airflow_ml_pipelines.testing.local_airflow import LocalAirflow
from airflow_ml_pipelines.testing.memory import MemoryRun, memory_workspace, run_in_memory
from airflow_ml_pipelines.testing.rest_api import AirflowApi, AirflowApiError, LocalAirflowError

__all__ = [
    "AirflowApi",
    "AirflowApiError",
    "FakeComputeTarget",
    "FakeStep",
    "KeyDocuments",
    "LocalAirflow",
    "LocalAirflowError",
    "MemoryRun",
    "assert_key_stable",
    "key_documents",
    "memory_workspace",
    "run_in_memory",
]
