"""Links that tasks show in Airflow's UI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from airflow_ml_pipelines._airflow import BaseOperatorLink, conf
from airflow_ml_pipelines.core.workspaces.server import STEP_ROUTE

__all__ = ["DatabricksRunLink", "ReusedFromLink", "StepLink", "airflow_path", "task_url"]


class ReusedFromLink(BaseOperatorLink):  # type: ignore[misc]
    """Leads from a task whose step was reused to the task that made the result."""

    name: ClassVar[str] = "Reused from"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the address, "" where nothing was reused or no scheduler ran the original.

        :param operator: has the address as ``reused_from_url``.
        """
        return str(getattr(operator, "reused_from_url", ""))


class StepLink(BaseOperatorLink):  # type: ignore[misc]
    """Leads from a task to the page of its step: the decision, its explanation, what it read and made."""

    name: ClassVar[str] = "Step"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the address of the tab beside the task's log."""
        path = airflow_path(ti_key.dag_id, ti_key.run_id, ti_key.task_id)
        return f"{path}/plugin/{STEP_ROUTE}"


def airflow_path(dag_id: str, run_id: str = "", task_id: str = "") -> str:
    """Return where Airflow's UI shows a DAG, a run or a task."""
    base = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
    parts = ("dags", dag_id, *(("runs", run_id) if run_id else ()), *(("tasks", task_id) if task_id else ()))
    return base + "".join(f"/{quote(part, safe='')}" for part in parts)


class DatabricksRunLink(BaseOperatorLink):  # type: ignore[misc]
    """Leads from a task to the page of its run on Databricks."""

    name: ClassVar[str] = "Databricks run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the address, "" where nothing ran there.

        :param operator: has the address as ``run_url``.
        """
        return str(getattr(operator, "run_url", ""))


def task_url(place: Mapping[str, Any], step: str | None) -> str:
    """Return the address of a step's task, or of the run for None, in Airflow's UI.

    :param place: see :func:`airflow_ml_pipelines.core.runs.place.write_place`.
    """
    return airflow_path(place["dag_id"], place["run_id"], place["tasks"].get(step) or "")
