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
from airflow_ml_pipelines.core.published import find_published
from airflow_ml_pipelines.core.store import Store

__all__ = ["DagEntry", "DagView", "current_view", "read_view", "write_view"]

_DOMAIN = b"ml-pipelines/dag-view/1\n"


class DagEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a DAG is made of.

    :param pipeline: the id of a published pipeline.
    :param label: the version's label.
    """

    pipeline: str
    label: str | None = None


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
    """Return the DAGs of the pipelines that are published and not disabled."""
    found = {
        document.id: DagEntry(pipeline=document.id, label=document.version)
        for document, _ in find_published(store)
    }
    return DagView(dags=found)


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
