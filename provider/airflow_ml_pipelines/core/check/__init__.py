"""Checks that what lies under a workspace's root is consistent.

Three levels tell whose doing a finding is:

``broken``
    what no run, however it ended, may leave behind: a document that is half-written or says something else than its
    place, a record without its manifests, a run that finished without its outputs. It is a fault of this package or of
    the store.
``damaged``
    what somebody else changed or removed: files of an output, a datastore that is no longer known. The next run that
    needs it sets the record aside and makes the result again.
``note``
    what a run that was killed leaves, and what does no harm: steps that were running, half-written files under names of
    their own, leases that nobody renews, snapshots without their list.

Look while nothing runs; otherwise a finding may be of that moment alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from airflow_ml_pipelines.core.check.look import Finding, Level, Look
from airflow_ml_pipelines.core.check.reuse import check_leases, check_records
from airflow_ml_pipelines.core.check.runs import check_runs
from airflow_ml_pipelines.core.check.shelves import (
    check_histories,
    check_manifests,
    check_others,
    check_registered,
    check_snapshots,
)
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["Finding", "Level", "check_workspace"]

_PARTS = {
    "records": check_records,
    "runs": check_runs,
    "leases": check_leases,
    "snapshots": check_snapshots,
    "manifests": check_manifests,
    "histories": check_histories,
    "what is registered": check_registered,
    "what else there is": check_others,
}


def check_workspace(
    workspace: Workspace, *, data: bool = True, on_progress: Callable[[str], None] = lambda _: None
) -> Iterator[Finding]:
    """Yield whatever is not as it should be under a workspace's root.

    :param data: compare the files of outputs with their manifests too, which lists the datastores.
    :param on_progress: told what is being looked at.
    :raises StoreError: where the root can't be read.
    """
    look = Look(workspace, data=data)
    for name, check in _PARTS.items():
        on_progress(f"checking {name}")
        yield from check(look)
