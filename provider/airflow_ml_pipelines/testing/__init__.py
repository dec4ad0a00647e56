"""What tests and demonstrations of pipelines need: an Airflow of their own, a compute target that runs nothing.

``airflow_ml_pipelines.testing.compute_contract`` has the tests that every compute target passes; it needs pytest.
"""

from airflow_ml_pipelines.testing.compute_target import FakeComputeTarget, FakeStep
from airflow_ml_pipelines.testing.local_airflow import LocalAirflow
from airflow_ml_pipelines.testing.rest_api import AirflowApi, AirflowApiError, LocalAirflowError

__all__ = [
    "AirflowApi",
    "AirflowApiError",
    "FakeComputeTarget",
    "FakeStep",
    "LocalAirflow",
    "LocalAirflowError",
]
