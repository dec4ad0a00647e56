"""What tells a workspace from any other: an id under its root, made once.

Outputs lie under it on datastores that other workspaces may use too, where equal names of pipelines and runs must not
meet. It is no part of a key.
"""

from __future__ import annotations

import secrets

import msgspec

from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import NotFoundError
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["PATH", "SCHEMA", "WorkspaceDocument", "find_identity", "make_identity"]

SCHEMA = 1
PATH = "workspace.json"


class WorkspaceDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a workspace.

    :param id: twelve hexadecimal digits.
    """

    schema: int = SCHEMA
    id: str


def find_identity(store: Store) -> str | None:
    """Return the id of the workspace at a root, None where it has none yet.

    :raises DocumentError: where it can't be read.
    """
    try:
        data = store.get(PATH)
    except NotFoundError:
        return None
    return read_document(data, WorkspaceDocument, what=f"{store.url}/{PATH}", schema=SCHEMA).id


def make_identity(store: Store) -> str:
    """Return the id of the workspace at a root; of any number of processes that make it at once one does."""
    while (known := find_identity(store)) is None:
        store.create(PATH, write_document(WorkspaceDocument(id=secrets.token_hex(6))))
    return known
