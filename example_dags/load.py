"""Every ``*.pipeline.yaml`` of this folder as a DAG of Airflow."""

from dag_factory import load_pipelines

load_pipelines()
