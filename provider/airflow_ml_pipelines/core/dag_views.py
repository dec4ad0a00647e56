"""Which published pipelines are DAGs at a moment: an immutable document, so that a run keeps what it began with.

::

    dag-views/<digest>.json
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from airflow_ml_pipelines.core.canonical import canonical_json
from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.endpoints import read_endpoint
from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.published import find_published
from airflow_ml_pipelines.core.recurrence import Recurrence
from airflow_ml_pipelines.core.schedules import ScheduleDocument, find_schedules
from airflow_ml_pipelines.core.store import Store

__all__ = ["DagEntry", "DagView", "ScheduleEntry", "WatchEntry", "current_view", "read_view", "write_view"]

_DOMAIN = b"ml-pipelines/dag-view/1\n"


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


def current_view(store: Store) -> DagView:
    """Return the DAGs of the pipelines that are published and of their schedules, without what is disabled."""
    found = {
        document.id: DagEntry(pipeline=document.id, label=document.version)
        for document, _ in find_published(store)
    }
    scheduled = {}
    for schedule in find_schedules(store):
        pipeline = _pipeline_of(store, schedule)
        if schedule.status == "Active" and pipeline in found:
            scheduled[schedule.dag_id] = DagEntry(
                pipeline=pipeline,
                label=found[pipeline].label,
                schedule=ScheduleEntry(
                    id=schedule.id,
                    recurrence=schedule.recurrence,
                    experiment=schedule.experiment,
                    parameters=schedule.parameters,
                    continue_on_step_failure=schedule.continue_on_step_failure,
                ),
            )
            if schedule.watch is not None:
                scheduled[schedule.watch_dag_id] = DagEntry(
                    pipeline=pipeline, watch=WatchEntry(schedule=schedule.id, starts=schedule.dag_id)
                )
    return DagView(dags={**found, **scheduled})


def _pipeline_of(store: Store, schedule: ScheduleDocument) -> str | None:
    """Return the published pipeline that a schedule runs at present, None where its endpoint does not run."""
    if schedule.endpoint is None:
        return schedule.pipeline
    try:
        endpoint = read_endpoint(store, identity=schedule.endpoint)
    except WorkspaceError:
        return None
    return endpoint.pipeline() if endpoint.status == "Active" else None


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
