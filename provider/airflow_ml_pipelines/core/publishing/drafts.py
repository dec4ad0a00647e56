"""Drafts of pipelines: what is going to be published, and can still be changed.

::

    drafts/<id>/<state>.json
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.layout import segment
from airflow_ml_pipelines.core.publishing.states import change_state, find_states, read_state, update_state
from airflow_ml_pipelines.core.spec import PipelineSpec
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["DraftDocument", "change_draft", "create_draft", "find_drafts", "read_draft"]

_FOLDER = "drafts"


class DraftDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A draft of a pipeline.

    :param spec: the pipeline, pinned.
    :param parameters: values of runs that are started from it.
    :param properties: labels that are not changed any more.
    """

    schema: int = 1
    id: str
    name: str
    description: str | None = None
    experiment: str | None = None
    parameters: dict[str, Any] = {}
    continue_on_step_failure: bool | None = None
    tags: dict[str, str] = {}
    properties: dict[str, str] = {}
    deleted: bool = False
    spec: PipelineSpec
    created: float


def create_draft(store: Store, name: str, spec: PipelineSpec, **fields: Any) -> DraftDocument:
    """Keep a pipeline that is pinned as a draft.

    :param fields: further fields of :class:`DraftDocument`.
    """
    document = DraftDocument(id=secrets.token_hex(16), name=name, spec=spec, created=time.time(), **fields)
    return change_state(store, f"{_FOLDER}/{document.id}", DraftDocument, lambda _: document)


def read_draft(store: Store, identity: str) -> DraftDocument:
    """Return a draft by its id. :raises WorkspaceError: where there is none."""
    safe = identity == segment(identity)
    found = read_state(store, f"{_FOLDER}/{identity}", DraftDocument) if safe else None
    if found is None or found.deleted:
        raise WorkspaceError(f"there is no draft {identity!r} in {store.url}")
    return found


def change_draft(
    store: Store, identity: str, change: Callable[[DraftDocument], DraftDocument]
) -> DraftDocument:
    """Change a draft; of any number of changes at once none is lost."""
    missing = f"there is no draft {identity!r} in {store.url}"

    def changed(last: DraftDocument) -> DraftDocument:
        if last.deleted:
            raise WorkspaceError(missing)
        return change(last)

    return update_state(store, f"{_FOLDER}/{identity}", DraftDocument, changed, missing)


def find_drafts(store: Store) -> Iterator[DraftDocument]:
    """Yield the drafts, the oldest first."""
    found = find_states(store, _FOLDER, DraftDocument)
    yield from sorted((item for item in found if not item.deleted), key=lambda item: item.created)
