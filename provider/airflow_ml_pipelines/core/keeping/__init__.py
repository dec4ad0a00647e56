"""What protects stored things that somebody relies on from a clean-up: fresh writes, tombstones and pins.

The clean-up itself is :mod:`airflow_ml_pipelines.core.gc`, which has the argument why the two never meet.
"""
