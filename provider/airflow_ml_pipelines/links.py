"""Links that tasks show in Airflow's UI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from airflow_ml_pipelines._airflow import BaseOperatorLink, conf

__all__ = ["ReusedFromLink", "task_url"]


class ReusedFromLink(BaseOperatorLink):  # type: ignore[misc]
    """Leads from a task whose step was reused to the task that made the result."""

    name: ClassVar[str] = "Reused from"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the address, "" where nothing was reused or no scheduler ran the original.

        :param operator: has the address as ``reused_from_url``.
        """
        return str(getattr(operator, "reused_from_url", ""))


def task_url(place: Mapping[str, Any], step: str | None) -> str:
    """Return the address of a step's task, or of the run for None, in Airflow's UI.

    :param place: see :func:`airflow_ml_pipelines._tasks.write_place`.
    """
    base = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
    url = f"{base}/dags/{quote(place['dag_id'], safe='')}/runs/{quote(place['run_id'], safe='')}"
    task = place["tasks"].get(step)
    return f"{url}/tasks/{quote(task, safe='')}" if task else url
