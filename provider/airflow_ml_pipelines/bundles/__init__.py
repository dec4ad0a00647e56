"""Airflow DAG bundles: every pipeline definition of a folder as a DAG file of its own."""
