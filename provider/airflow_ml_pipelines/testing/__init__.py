"""What tests and demonstrations of pipelines need: an Airflow of their own."""

from airflow_ml_pipelines.testing.local_airflow import AirflowApiError, LocalAirflow, LocalAirflowError

__all__ = ["AirflowApiError", "LocalAirflow", "LocalAirflowError"]
