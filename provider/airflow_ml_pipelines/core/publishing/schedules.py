"""Schedules of published pipelines and endpoints.

::

    schedules/<id>/<state>.json            watches/<id>/: see :mod:`airflow_ml_pipelines.core.publishing.watches`
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from airflow_ml_pipelines.core.errors import WorkspaceError, did_you_mean
from airflow_ml_pipelines.core.layout import segment
from airflow_ml_pipelines.core.publishing.recurrence import Recurrence
from airflow_ml_pipelines.core.publishing.states import change_state, find_states, read_state, update_state
from airflow_ml_pipelines.core.publishing.watches import Watch
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["ScheduleDocument", "change_schedule", "create_schedule", "find_schedules", "read_schedule"]

_FOLDER = "schedules"


class ScheduleDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule.

    :param pipeline: the id of a published pipeline; None where it is an endpoint's.
    :param endpoint: the id of an endpoint, whose default version runs.
    :param parameters: values of its runs.
    :param recurrence: when it runs; None where it runs when files come.
    :param watch: the files whose coming makes it run.
    """

    schema: int = 1
    id: str
    name: str
    description: str | None = None
    status: Literal["Active", "Disabled"] = "Active"
    pipeline: str | None = None
    endpoint: str | None = None
    experiment: str
    parameters: dict[str, Any] = {}
    recurrence: Recurrence | None = None
    watch: Watch | None = None
    continue_on_step_failure: bool | None = None
    created: float

    @property
    def dag_id(self) -> str:
        """The id of the DAG that the schedule's runs are of."""
        return f"{segment(self.name).replace('=', '-')}.{self.id[:8]}"

    @property
    def watch_dag_id(self) -> str:
        """The id of the DAG that starts those runs when files come."""
        return f"{self.dag_id}.files"


def create_schedule(store: Store, name: str, **fields: Any) -> ScheduleDocument:
    """Keep a schedule.

    :param fields: further fields of :class:`ScheduleDocument`.
    """
    document = ScheduleDocument(id=secrets.token_hex(16), name=name, created=time.time(), **fields)
    return change_state(store, f"{_FOLDER}/{document.id}", ScheduleDocument, lambda _: document)


def read_schedule(store: Store, identity: str) -> ScheduleDocument:
    """Return a schedule by its id. :raises WorkspaceError: where there is none."""
    safe = identity == segment(identity)
    found = read_state(store, f"{_FOLDER}/{identity}", ScheduleDocument) if safe else None
    if found is None:
        known = [item.id for item in find_schedules(store)]
        raise WorkspaceError(
            f"there is no schedule {identity[:100]!r} in {store.url}.{did_you_mean(identity[:100], known)}"
        )
    return found


def change_schedule(
    store: Store, identity: str, change: Callable[[ScheduleDocument], ScheduleDocument]
) -> ScheduleDocument:
    """Change a schedule; of any number of changes at once none is lost."""
    missing = f"there is no schedule {identity!r} in {store.url}"
    return update_state(store, f"{_FOLDER}/{identity}", ScheduleDocument, change, missing)


def find_schedules(store: Store) -> Iterator[ScheduleDocument]:
    """Yield the schedules, the oldest first."""
    yield from sorted(find_states(store, _FOLDER, ScheduleDocument), key=lambda item: item.created)
