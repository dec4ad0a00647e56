"""Runs one step: a data transfer."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_ml_pipelines.operators.step import StepOperator

__all__ = ["DataTransferOperator"]


class DataTransferOperator(StepOperator):
    """Copies data, unless an earlier run copied the same to the same place."""

    template_fields: Sequence[str] = ("definition_digest",)
    ui_color = "#d9f0d3"
