"""Airflow sensors: whether a step's result is there already."""
