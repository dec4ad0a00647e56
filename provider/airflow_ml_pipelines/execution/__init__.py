"""Runs steps on compute targets, and whole pipelines in this process. Never imports Airflow."""
