"""Airflow DAG bundles: definitions of a folder, and published pipelines, as DAG files of their own."""
