"""Airflow triggers: waiting for a result that another run makes."""
