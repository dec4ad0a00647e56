"""How many steps may run at once on a compute target."""

from __future__ import annotations

from typing import NamedTuple

from airflow_ml_pipelines.core.layout import segment
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec

__all__ = ["Pool", "max_nodes", "pool_of"]


class Pool(NamedTuple):
    """A pool of Airflow that keeps to what a compute target takes."""

    name: str
    slots: int


def max_nodes(spec: ComputeTargetSpec) -> int | None:
    """Return how many steps may run at once on a target, None for any number."""
    found = spec.options.get("max_nodes")
    return found if isinstance(found, int) and found > 0 else None


def pool_of(workspace: str, spec: ComputeTargetSpec) -> Pool | None:
    """Return the pool of a target; None where it has no limit, or is the machine of each worker.

    :param workspace: its name.
    """
    limit = max_nodes(spec)
    if limit is None or spec.type == "local":
        return None
    return Pool(f"ml-pipelines-{segment(workspace)}-{segment(spec.name)}", limit)
