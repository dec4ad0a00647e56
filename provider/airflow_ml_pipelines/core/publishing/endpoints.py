"""Pipeline endpoints: stable names whose default version can change.

::

    endpoints/<id>/<state>.json            what it is; :mod:`airflow_ml_pipelines.core.publishing.states`
    endpoint-names/<name>/<state>.json     whose name it is

The versions are numbered ``0``, ``1``, … in the order in which they were added.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from airflow_ml_pipelines.core.errors import WorkspaceError, did_you_mean
from airflow_ml_pipelines.core.layout import segment
from airflow_ml_pipelines.core.publishing.published import check_name
from airflow_ml_pipelines.core.publishing.states import change_state, find_states, read_state, update_state
from airflow_ml_pipelines.core.stores.store import Store

__all__ = [
    "EndpointDocument",
    "add_version",
    "archive_endpoint",
    "change_endpoint",
    "create_endpoint",
    "find_endpoints",
    "reactivate_endpoint",
    "read_endpoint",
    "rename_endpoint",
    "switch_endpoint",
]

EndpointStatus = Literal["Active", "Disabled", "Archived"]

_FOLDER = "endpoints"
_NAMES = "endpoint-names"
_UNSETTLED = 60.0


class EndpointDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pipeline endpoint.

    :param versions: the ids of the published pipelines, by their version.
    :param default: the version that runs where none is named.
    """

    schema: int = 1
    id: str
    name: str
    description: str | None = None
    status: EndpointStatus = "Active"
    versions: tuple[str, ...]
    default: str = "0"
    created: float

    def pipeline(self, version: str | None = None) -> str:
        """Return the id of the published pipeline of a version; of the default one for None.

        :raises WorkspaceError: where there is no such version.
        """
        wanted = self.default if version is None else version
        known = [str(number) for number in range(len(self.versions))]
        if wanted not in known:
            raise WorkspaceError(
                f"endpoint {self.name!r} has no version {wanted!r}.{did_you_mean(str(wanted), known)}"
            )
        return self.versions[int(wanted)]


class NameDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose name a name is; nobody's where ``endpoint`` is None."""

    schema: int = 1
    name: str
    endpoint: str | None
    changed: float


def create_endpoint(
    store: Store, name: str, pipeline: str, description: str | None = None
) -> EndpointDocument:
    """Make an endpoint with a published pipeline as its version 0.

    :param pipeline: the published pipeline's id.
    :raises WorkspaceError: where there is one of that name.
    """
    check_name(name, "PipelineEndpoint(name=…)")
    document = EndpointDocument(
        id=secrets.token_hex(16),
        name=name,
        description=description,
        versions=(pipeline,),
        created=time.time(),
    )
    change_state(store, f"{_FOLDER}/{document.id}", EndpointDocument, lambda _: document)
    try:
        _claim(store, name, document.id)
    except WorkspaceError:
        store.delete(f"{_FOLDER}/{document.id}/1.json")
        raise
    return document


def read_endpoint(store: Store, *, identity: str | None = None, name: str | None = None) -> EndpointDocument:
    """Return an endpoint by its id or its name.

    :raises WorkspaceError: where there is none.
    """
    if identity is None and name is not None:
        claim = read_state(store, f"{_NAMES}/{segment(name)}", NameDocument)
        identity = claim.endpoint if claim is not None else None
    elif identity is not None and identity != segment(identity):
        identity = None
    found = read_state(store, f"{_FOLDER}/{identity}", EndpointDocument) if identity else None
    if found is None or (name is not None and found.name != name):
        known = [document.name for document in find_endpoints(store, active_only=False)]
        wanted = name if name is not None else identity
        raise WorkspaceError(
            f"there is no endpoint {wanted!r} in {store.url}.{did_you_mean(str(wanted), known)}"
        )
    return found


def find_endpoints(store: Store, *, active_only: bool = True) -> Iterator[EndpointDocument]:
    """Yield the endpoints, by name; without those that are disabled or archived, if wanted."""
    found = find_states(store, _FOLDER, EndpointDocument)
    documents = [item for item in found if item.status == "Archived" or _owns(store, item)]
    for document in sorted(documents, key=lambda item: (item.name, item.created)):
        if document.status == "Active" or not active_only:
            yield document


def change_endpoint(
    store: Store, identity: str, change: Callable[[EndpointDocument], EndpointDocument]
) -> EndpointDocument:
    """Change an endpoint; of any number of changes at once none is lost."""
    missing = f"there is no endpoint {identity!r} in {store.url}"
    return update_state(store, f"{_FOLDER}/{identity}", EndpointDocument, change, missing)


def add_version(store: Store, identity: str, pipeline: str, *, default: bool = False) -> EndpointDocument:
    """Add a published pipeline to an endpoint as its next version.

    :param default: whether it becomes the version that runs where none is named.
    """

    def add(last: EndpointDocument) -> EndpointDocument:
        number = str(len(last.versions))
        return msgspec.structs.replace(
            last, versions=(*last.versions, pipeline), default=number if default else last.default
        )

    return change_endpoint(store, identity, add)


def rename_endpoint(store: Store, identity: str, name: str) -> EndpointDocument:
    """Give an endpoint another name. :raises WorkspaceError: where another one has it."""
    check_name(name, "PipelineEndpoint.set_name(name=…)")
    before = read_endpoint(store, identity=identity)
    _claim(store, name, identity)
    document = change_endpoint(store, identity, lambda last: msgspec.structs.replace(last, name=name))
    if before.name != name:
        _release(store, before.name, identity)
    return document


def switch_endpoint(store: Store, identity: str, status: Literal["Active", "Disabled"]) -> EndpointDocument:
    """Enable or disable an endpoint. :raises WorkspaceError: where it is archived."""

    def change(last: EndpointDocument) -> EndpointDocument:
        if last.status == "Archived":
            raise WorkspaceError(f"endpoint {identity!r} is archived: call reactivate(name) first")
        return msgspec.structs.replace(last, status=status)

    return change_endpoint(store, identity, change)


def archive_endpoint(store: Store, identity: str) -> EndpointDocument:
    """Disable an endpoint and free its name; its id becomes its name."""
    before = read_endpoint(store, identity=identity)
    document = change_endpoint(
        store, identity, lambda last: msgspec.structs.replace(last, name=identity, status="Archived")
    )
    _release(store, before.name, identity)
    return document


def reactivate_endpoint(store: Store, identity: str, name: str) -> EndpointDocument:
    """Bring an archived endpoint back under a name. :raises WorkspaceError: where another one has the name."""
    check_name(name, "PipelineEndpoint.reactivate(name=…)")
    _claim(store, name, identity)
    return change_endpoint(
        store, identity, lambda last: msgspec.structs.replace(last, name=name, status="Active")
    )


# --- names -------------------------------------------------------------------------------------------------------


def _claim(store: Store, name: str, identity: str) -> None:
    """Take a name. One whose endpoint has another name is free, after the time that renaming may take."""

    def take(last: NameDocument | None) -> NameDocument:
        if last is not None and last.endpoint == identity:
            return last
        if last is not None and last.endpoint is not None:
            holder = read_state(store, f"{_FOLDER}/{last.endpoint}", EndpointDocument)
            unsettled = store.clock() - last.changed < _UNSETTLED
            if holder is not None and (holder.name == name or unsettled):
                raise WorkspaceError(
                    f"there is an endpoint {name!r} in {store.url} already: add a version to it, or take another name"
                )
        return NameDocument(name=name, endpoint=identity, changed=store.clock())

    change_state(store, f"{_NAMES}/{segment(name)}", NameDocument, take)


def _release(store: Store, name: str, identity: str) -> None:
    def free(last: NameDocument | None) -> NameDocument:
        if last is not None and last.endpoint != identity:
            return last
        return NameDocument(name=name, endpoint=None, changed=store.clock())

    change_state(store, f"{_NAMES}/{segment(name)}", NameDocument, free)


def _owns(store: Store, document: EndpointDocument) -> bool:
    claim = read_state(store, f"{_NAMES}/{segment(document.name)}", NameDocument)
    return claim is not None and claim.endpoint == document.id
