"""Every ``*.pipeline.yaml`` of this folder as a DAG of Airflow."""

from pathlib import Path

from dag_factory import load_pipelines

load_pipelines(Path(__file__).parent)
