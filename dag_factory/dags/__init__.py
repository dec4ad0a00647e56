"""Airflow DAGs of definitions and of published pipelines."""
