"""Which run of which DAG a run is, written into its folder so that others can link to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_ml_pipelines.core.canonical import pretty_json
from airflow_ml_pipelines.core.errors import DefinitionError, NotFoundError
from airflow_ml_pipelines.core.runs.folder import RunFolder

__all__ = ["read_place", "write_place"]

_PLACE = "airflow.json"


def write_place(folder: RunFolder, dag_id: str, run_id: str, tasks: Mapping[str, str]) -> None:
    """Write into a run's folder which DAG run it is, so that others can link to it.

    :param tasks: the task that runs each step.
    :raises DefinitionError: where another DAG has a run of the same pipeline and id.
    """
    known = read_place(folder)
    if known is not None and known["dag_id"] != dag_id:
        raise DefinitionError(
            f"run {run_id!r} of pipeline {folder.pipeline!r} belongs to DAG {known['dag_id']!r}: two DAGs of one "
            "pipeline need a name each for their pipelines, or run ids that differ"
        )
    document = {"schema": 1, "dag_id": dag_id, "run_id": run_id, "tasks": dict(tasks)}
    folder.store.put(f"{folder.path}/{_PLACE}", pretty_json(document))


def read_place(folder: RunFolder) -> dict[str, Any] | None:
    """Return which DAG run a run is, as :func:`write_place` wrote it; None where no scheduler ran it."""
    try:
        document = json.loads(folder.store.get(f"{folder.path}/{_PLACE}"))
        return {
            "dag_id": str(document["dag_id"]),
            "run_id": str(document["run_id"]),
            "tasks": dict(document["tasks"]),
        }
    except (NotFoundError, ValueError, KeyError, TypeError):  # it only serves links
        return None
