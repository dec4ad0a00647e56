"""Reads how a job ended that ran in another process, which may have ended without saying so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from airflow_ml_pipelines.core.errors import DocumentError, NotFoundError, StoreError
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.runtime.job import Job
from airflow_ml_pipelines.runtime.result import JobResult

__all__ = ["ended_without_result", "read_result"]


def read_result(workspace: Workspace, job: Job) -> JobResult | None:
    """Return how a job ended, as its launcher has written it; None where it has not.

    :raises StoreError: where the workspace can't be read.
    """
    store = workspace.store
    path = f"{job.folder.removeprefix(store.url).strip('/')}/result.json"
    try:
        return JobResult.from_dict(json.loads(store.get(path)))
    except NotFoundError:
        return None
    except (DocumentError, ValueError) as error:
        raise StoreError(f"{path} can't be read: {error}") from None


def ended_without_result(
    started: float, *, canceled: str | None, what: str, tail: Iterable[str] = ()
) -> JobResult:
    """Return the result of a job whose launcher was ended before it could write one.

    :param canceled: why it was to end, None where it was not.
    :param what: how it ended, such as ``the container ended with exit code 1``.
    :param tail: what it wrote last.
    """
    said = "\n".join(tail)
    return JobResult(
        status="failed" if canceled is None else "canceled",
        exit_code=None,
        error=canceled or (f"{what}:\n{said}" if said else what),
        started=started,
        finished=time.time(),
    )
