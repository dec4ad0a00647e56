"""Says on a container or pod which attempt at which step of which workspace it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.targets.port import Owner
from airflow_ml_pipelines.runtime.job import Job

__all__ = ["job_name", "make_labels", "read_labels", "workspace_label"]

_PREFIX = "ml-pipelines."


def job_name(job: Job) -> str:
    """Return a name that only this attempt has, and that can be told before anything is started."""
    return f"ml-pipelines-{hashlib.sha256(job.folder.encode()).hexdigest()[:20]}"


def workspace_label(workspace: Workspace) -> tuple[str, str]:
    """Return the label that everything of a workspace has: its name and value."""
    return f"{_PREFIX}workspace", hashlib.sha256(workspace.store.url.encode()).hexdigest()[:20]


def make_labels(workspace: Workspace, job: Job, target: str) -> dict[str, str]:
    """Return the labels of what runs a job."""
    name, value = workspace_label(workspace)
    return {
        name: value,
        f"{_PREFIX}target": target,
        f"{_PREFIX}pipeline": job.run.pipeline,
        f"{_PREFIX}run": job.run.run,
        f"{_PREFIX}step": job.run.step,
        f"{_PREFIX}attempt": str(job.run.attempt),
    }


def read_labels(labels: Mapping[str, str]) -> Owner | None:
    """Return what something with these labels belongs to; None where they are not ours."""
    try:
        pipeline, run, step = (labels[f"{_PREFIX}{name}"] for name in ("pipeline", "run", "step"))
        return Owner(pipeline, run, step, int(labels[f"{_PREFIX}attempt"]))
    except (KeyError, ValueError):
        return None
