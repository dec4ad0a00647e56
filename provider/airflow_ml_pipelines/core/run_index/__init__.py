"""An index of the workspace's runs, so that ten thousand of them can be listed, filtered and counted at once.

A store answers by path; it can't say which runs had a metric above a value. The index is a SQLite file beside the other
caches: made of the runs' documents, brought up to date from listings, never asked what is true. Whoever removes it loses
the time that it takes to make it again.
"""

from __future__ import annotations

from airflow_ml_pipelines.core.run_index.conditions import Condition, Kind, read_condition
from airflow_ml_pipelines.core.run_index.database import open_index
from airflow_ml_pipelines.core.run_index.entry import Entry, read_entry
from airflow_ml_pipelines.core.run_index.queries import (
    Flow,
    Listed,
    ListedPage,
    RunFilter,
    Savings,
    choices,
    dags_of,
    datasets_used,
    find_run,
    flows,
    list_page,
    list_savings,
    metric_series,
    steps_savings,
)
from airflow_ml_pipelines.core.run_index.refresh import Progress, RunIndex, Seen

__all__ = [
    "Condition",
    "Entry",
    "Flow",
    "Kind",
    "Listed",
    "ListedPage",
    "Progress",
    "RunFilter",
    "RunIndex",
    "Savings",
    "Seen",
    "choices",
    "dags_of",
    "datasets_used",
    "find_run",
    "flows",
    "list_page",
    "list_savings",
    "metric_series",
    "open_index",
    "read_condition",
    "read_entry",
    "steps_savings",
]
