"""Which published pipelines are DAGs at a moment: an immutable document, so that a run keeps what it began with.

::

    dag-views/<digest>.json
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection
from typing import Any

import msgspec

from airflow_ml_pipelines.core.canonical import canonical_json
from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.publishing.endpoints import read_endpoint
from airflow_ml_pipelines.core.publishing.published import PublishedDocument, find_published, read_published
from airflow_ml_pipelines.core.publishing.recurrence import Recurrence
from airflow_ml_pipelines.core.publishing.schedules import ScheduleDocument, find_schedules
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["DagEntry", "DagView", "ScheduleEntry", "WatchEntry", "current_view", "read_view", "write_view"]

_DOMAIN = b"ml-pipelines/dag-view/1\n"
_RECENT = 3600.0
"""Seconds for which what was submitted to a server is a DAG, whether or not something newer was submitted since."""


class ScheduleEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What makes a DAG one of a schedule.

    :param recurrence: None where another DAG starts its runs.
    :param parameters: values in place of the pipeline's defaults.
    """

    id: str
    recurrence: Recurrence | None = None
    experiment: str
    parameters: dict[str, Any] = {}
    continue_on_step_failure: bool | None = None


class WatchEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What makes a DAG one that starts runs of another when files come.

    :param schedule: the schedule's id.
    :param starts: the id of the other DAG.
    """

    schedule: str
    starts: str


class DagEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a DAG is made of.

    :param pipeline: the id of a published pipeline.
    :param label: the version's label.
    :param schedule: None where it runs only when it is started.
    :param watch: None where it runs the pipeline itself.
    """

    pipeline: str
    label: str | None = None
    schedule: ScheduleEntry | None = None
    watch: WatchEntry | None = None


class DagView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The DAGs by their ids."""

    schema: int = 1
    dags: dict[str, DagEntry]

    @property
    def digest(self) -> str:
        """What the view is called."""
        document: Any = msgspec.to_builtins(self)
        return hashlib.sha256(_DOMAIN + canonical_json(document)).hexdigest()[:40]


def current_view(store: Store, keep: Collection[str] = ()) -> DagView:
    """Return the DAGs of the pipelines that are published and of their schedules, without what is disabled.

    :param keep: the ids of DAGs that are to stay in any case, since runs of them are under way; by themselves they start
        no more.
    """
    documents = [document for document, _ in find_published(store, submitted=True)]
    latest = {document.name: document.number for document in documents}
    recent = time.time() - _RECENT
    active = {
        document.id: DagEntry(pipeline=document.id, label=document.version)
        for document in documents
        if not document.submitted or document.number == latest[document.name] or document.created > recent
    }
    dags = dict(active)
    for schedule in find_schedules(store):
        pipeline, runs = _pipeline_of(store, schedule)
        runs = runs and schedule.status == "Active" and pipeline in active
        label = active[pipeline].label if pipeline in active else None
        entries = _entries(schedule, pipeline, label, runs=runs)
        dags |= {dag_id: entry for dag_id, entry in entries.items() if runs or dag_id in keep}
    for dag_id in keep:
        if dag_id not in dags and (document := _find(store, dag_id)) is not None:
            dags[dag_id] = DagEntry(pipeline=document.id, label=document.version)
    return DagView(dags=dags)


def _entries(
    schedule: ScheduleDocument, pipeline: str, label: str | None, *, runs: bool
) -> dict[str, DagEntry]:
    """Return the DAGs of a schedule by their ids.

    :param runs: whether they start runs by themselves.
    """
    entry = ScheduleEntry(
        id=schedule.id,
        recurrence=schedule.recurrence if runs else None,
        experiment=schedule.experiment,
        parameters=schedule.parameters,
        continue_on_step_failure=schedule.continue_on_step_failure,
    )
    found = {schedule.dag_id: DagEntry(pipeline=pipeline, label=label, schedule=entry)}
    if schedule.watch is not None:
        watch = WatchEntry(schedule=schedule.id, starts=schedule.dag_id)
        found[schedule.watch_dag_id] = DagEntry(pipeline=pipeline, watch=watch)
    return found


def _pipeline_of(store: Store, schedule: ScheduleDocument) -> tuple[str, bool]:
    """Return the published pipeline that a schedule runs at present, and whether it may: not of an endpoint that rests."""
    if schedule.endpoint is None:
        return schedule.pipeline or "", True
    try:
        endpoint = read_endpoint(store, identity=schedule.endpoint)
    except WorkspaceError:
        return "", False
    return endpoint.pipeline(), endpoint.status == "Active"


def _find(store: Store, identity: str) -> PublishedDocument | None:
    try:
        return read_published(store, identity, deleted=True)
    except WorkspaceError:
        return None


def write_view(store: Store, view: DagView) -> str:
    """Keep a view; return its digest."""
    store.create(_path(view.digest), write_document(view))
    return view.digest


def read_view(store: Store, digest: str) -> DagView:
    """Return a view that was kept. :raises NotFoundError: where there is none of that digest."""
    path = _path(digest)
    return read_document(store.get(path), DagView, what=f"{store.url}/{path}", schema=1)


def _path(digest: str) -> str:
    return f"dag-views/{digest}.json"
