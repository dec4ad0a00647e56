"""Finds and removes pipelines that nobody published, only submitted to a server: like runs, by their age.

The last one under a name is what the next number follows from, so of that one the document stays, as one that was deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from airflow_ml_pipelines.core.gc.policy import QUIET_SECONDS
from airflow_ml_pipelines.core.gc.report import Item
from airflow_ml_pipelines.core.layout import numbered, segment
from airflow_ml_pipelines.core.publishing.endpoints import find_endpoints
from airflow_ml_pipelines.core.publishing.published import read_status, write_status
from airflow_ml_pipelines.core.publishing.schedules import find_schedules
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces.registry import FOLDERS, PublishedDocument, read_or_skip

__all__ = ["OldSubmission", "find_submitted", "remove_submitted"]


class OldSubmission(NamedTuple):
    """A pipeline that was submitted long ago.

    :param is_last: whether no later one has its name.
    """

    item: Item
    document: PublishedDocument
    is_last: bool


def find_submitted(store: Store, began: float, older_than: float) -> Iterator[OldSubmission]:
    """Yield what was submitted long ago, has no run any more, and is of no endpoint and no schedule.

    :param older_than: seconds; less than the seven days that a run may wait to be planned do not count.
    """
    before = began - max(older_than, QUIET_SECONDS)
    infos = {info.path: info for info in store.walk(FOLDERS[PublishedDocument]) if numbered(info.path)}
    last: dict[str, int] = {}
    for path in infos:
        folder = path.rpartition("/")[0]
        last[folder] = max(numbered(path), last.get(folder, 0))
    named: set[str] | None = None
    for path, info in infos.items():
        if info.modified >= before:
            continue
        document = read_or_skip(store, path, PublishedDocument)
        if document is None or not document.submitted or _has_runs(store, document.id):
            continue
        is_last = last[path.rpartition("/")[0]] == document.number
        if is_last and read_status(store, document) == "Deleted":
            continue
        if named is None:
            named = _named(store)
        if document.id not in named:
            reason = "it was submitted long ago, and none of its runs is left"
            item = Item(action="remove", kind="submitted pipeline", path=path, size=info.size, reason=reason)
            yield OldSubmission(item, document, is_last)


def remove_submitted(store: Store, old: OldSubmission) -> None:
    """Remove what was found."""
    if old.is_last:
        write_status(store, old.document, "Deleted")
        return
    store.delete(old.item.path)
    store.delete(f"{old.item.path.removesuffix('.json')}.status.json")


def _has_runs(store: Store, pipeline: str) -> bool:
    return next(iter(store.walk(f"runs/{segment(pipeline)}")), None) is not None


def _named(store: Store) -> set[str]:
    """Return the pipelines that endpoints and schedules run."""
    found = {
        pipeline for endpoint in find_endpoints(store, active_only=False) for pipeline in endpoint.versions
    }
    return found | {schedule.pipeline for schedule in find_schedules(store) if schedule.pipeline}
