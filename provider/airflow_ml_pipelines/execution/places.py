"""What an attempt's folder says of its job: where it runs, and what it was given. By that, every process finds it."""

from __future__ import annotations

import json

from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import DocumentError, NotFoundError
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.targets.port import SCHEMA, Found, Place
from airflow_ml_pipelines.execution.targets.registry import open_target, used_target
from airflow_ml_pipelines.runtime.job import Job

__all__ = ["find_job", "job_path", "place_path", "read_job", "read_place", "remove_job", "write_place"]


def read_place(store: Store, folder: str) -> Place | None:
    """Return where an attempt's job runs, None where it ended with the process that started it.

    :param folder: the attempt's, under the workspace's root.
    """
    path = place_path(folder)
    try:
        return read_document(store.get(path), Place, what=path, schema=SCHEMA)
    except (NotFoundError, DocumentError):
        return None


def write_place(store: Store, folder: str, place: Place) -> None:
    """Write where an attempt's job runs; writing it again says that somebody follows it."""
    store.put(place_path(folder), write_document(place))


def place_path(folder: str) -> str:
    """Return where it is written where an attempt's job runs; when it was last written somebody followed the job."""
    return f"{folder}/place.json"


def read_job(store: Store, folder: str) -> Job:
    """Return an attempt's job as it was kept, so without the values of its variables.

    :raises NotFoundError: where no launcher runs it.
    :raises DocumentError: where it can't be read.
    """
    path = job_path(folder)
    try:
        return Job.from_dict(json.loads(store.get(path)))
    except ValueError:
        raise DocumentError(f"{path} is no JSON document") from None


def job_path(folder: str) -> str:
    """Return where an attempt's job is kept."""
    return f"{folder}/job.json"


def find_job(workspace: Workspace, folder: str) -> Found | None:
    """Find the job of an attempt, by what its folder says; None where it is gone.

    It is there to be looked at and removed. To follow it, whoever has the step takes it over.

    :raises MlPipelinesError: where that can't be known.
    """
    store = workspace.store
    place = read_place(store, folder)
    if place is None:
        return None
    target = used_target()
    if target is None:
        spec = workspace.compute_target(place.target)
        if spec.type == "databricks":
            from airflow_ml_pipelines.execution.databricks_job import find_run

            return find_run(spec, place)
        target = open_target(spec)
    return target.find(place, read_job(store, folder), workspace)


def remove_job(workspace: Workspace, folder: str) -> bool:
    """Remove what is there of the job of an attempt, and return whether there was anything.

    :raises MlPipelinesError: where that can't be known.
    """
    running = find_job(workspace, folder)
    if running is None:
        return False
    running.remove()
    return True
