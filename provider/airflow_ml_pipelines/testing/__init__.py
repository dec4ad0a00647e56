"""What tests and demonstrations of pipelines need: an Airflow of their own."""

from airflow_ml_pipelines.testing.local_airflow import LocalAirflow
from airflow_ml_pipelines.testing.rest_api import AirflowApi, AirflowApiError, LocalAirflowError

__all__ = ["AirflowApi", "AirflowApiError", "LocalAirflow", "LocalAirflowError"]
