"""Airflow operators: the plan of a run, and its steps."""
