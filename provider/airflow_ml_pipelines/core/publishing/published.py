"""Published pipelines: definitions whose sources are pinned, so that they run the same ever after.

::

    pipelines/<name>/<number>.json            the definition; never changed
    pipelines/<name>/<number>.status.json     where it is not ``Active``

A name may be published any number of times; the number makes the id (``<name>.<number>``), which is also the id of the
DAG. What people call its version is a label.
"""

from __future__ import annotations

import functools
import hashlib
import re
import time
from collections.abc import Iterator
from typing import Literal

import msgspec

from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import DefinitionError, NotFoundError, WorkspaceError, did_you_mean
from airflow_ml_pipelines.core.layout import numbered, segment
from airflow_ml_pipelines.core.spec import PipelineSpec, Publication
from airflow_ml_pipelines.core.stores.parallel import each
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces import registry
from airflow_ml_pipelines.core.workspaces.registry import PublishedDocument
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = [
    "PublishedDocument",
    "Status",
    "check_name",
    "find_published",
    "publish",
    "read_published",
    "read_status",
    "write_status",
]

Status = Literal["Active", "Disabled", "Deleted"]

_FOLDER = registry.FOLDERS[PublishedDocument]
_LONGEST = 200
_IDENTITY = re.compile(r"(?!\.+\.)([A-Za-z0-9._-]{1,150})\.([0-9]{1,9})")


class StatusDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a published pipeline."""

    schema: int = 1
    status: Status
    changed: float


def check_name(name: str, what: str) -> str:
    """Return a name that people give.

    :raises DefinitionError: where it is empty, longer than 200 characters, or has control characters.
    """
    if not name.strip():
        raise DefinitionError(f"{what}: the name is empty")
    if len(name) > _LONGEST:
        raise DefinitionError(
            f"{what}: expected a name of at most {_LONGEST} characters, found {len(name)} of them"
        )
    if not name.isprintable():
        raise DefinitionError(f"{what}: {name!r} has characters that can't be printed: take them out")
    return name


# --- publishing --------------------------------------------------------------------------------------------------


def publish(
    workspace: Workspace,
    spec: PipelineSpec,
    *,
    name: str | None = None,
    description: str | None = None,
    version: str | None = None,
    continue_on_step_failure: bool | None = None,
    run: str | None = None,
    submitted: bool = False,
) -> PublishedDocument:
    """Publish a pipeline that is pinned.

    :param name: what it is published under; the pipeline's name if left out.
    :param version: a label.
    :param run: the id of the run that it is published from, if it is.
    :param submitted: only for a server to run it: under a name of its own, without being listed, and the same as the last
        time where nothing has changed.
    :raises DefinitionError: where the name can't be one.
    """
    if spec.publication is None or any(step.pinned is None for step in spec.steps):
        raise DefinitionError(f"pipeline {spec.name!r} is not pinned: pin it first, then publish it")
    family = check_name(name or spec.family, "publish(name=…)")
    name = f"{family}.submitted" if submitted else family
    git = spec.publication.git
    described = spec.description if description is None else description
    go_on = spec.continue_on_step_failure if continue_on_step_failure is None else continue_on_step_failure

    def make(number: int) -> PublishedDocument:
        identity = _id(name, number)
        return PublishedDocument(
            id=identity,
            name=name,
            number=number,
            version=version,
            run=run,
            submitted=submitted,
            created=time.time(),
            spec=msgspec.structs.replace(
                spec,
                name=identity,
                description=described,
                continue_on_step_failure=go_on,
                publication=Publication(id=identity, name=family, git=git),
            ),
        )

    def same(last: PublishedDocument) -> bool:
        if not (submitted and last.submitted):
            return False
        is_equal = _content(last.spec) == _content(make(last.number).spec)
        return is_equal and read_status(workspace.store, last) != "Deleted"

    return registry.add_version(workspace.store, PublishedDocument, name, same=same, make=make)


def _content(spec: PipelineSpec) -> PipelineSpec:
    """Return a published pipeline without what says only when and where it was published."""
    return msgspec.structs.replace(spec, publication=None)


def _id(name: str, number: int) -> str:
    """Return the id of a published pipeline: letters, digits and ``._-``, as Airflow wants ids of DAGs."""
    stem = segment(name)
    if "=" in stem:  # which folders may have
        stem = f"{stem.replace('=', '-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"{stem}.{number}"


# --- finding -----------------------------------------------------------------------------------------------------


def find_published(
    store: Store, *, active_only: bool = True, submitted: bool = False
) -> Iterator[tuple[PublishedDocument, Status]]:
    """Yield published pipelines with their status, by name and number; never those that were deleted.

    :param submitted: also what nobody published, but submitted to a server.
    """
    versions = {info.path: info.version for info in store.walk(_FOLDER)}
    paths = sorted((path.rpartition("/")[0], number, path) for path in versions if (number := numbered(path)))

    def read(item: tuple[str, int, str]) -> tuple[PublishedDocument | None, Status]:
        folder, number, path = item
        place = f"{folder}/{number}"
        status = read_status(store, place) if f"{place}.status.json" in versions else "Active"
        wanted = status == "Active" or (status == "Disabled" and not active_only)
        return _read_once(store, path, versions[path]) if wanted else None, status  # type: ignore[arg-type]

    for document, status in each(store, read, paths):
        if document is not None and (submitted or not document.submitted):
            yield document, status


@functools.lru_cache(maxsize=4096)
def _read_once(store: Store, path: str, version: str) -> PublishedDocument | None:  # noqa: ARG001
    """Return a document, which never changes: who lists them again and again reads each once.

    :param version: the store's own; another one where there is another document since a root was emptied.
    """
    return registry.read_or_skip(store, path, PublishedDocument)


def read_published(store: Store, identity: str, *, deleted: bool = False) -> PublishedDocument:
    """Return a published pipeline by its id.

    :param deleted: whether one that was deleted will do; runs of it may still be under way.
    :raises WorkspaceError: where there is none, or it was deleted.
    """
    if found := _IDENTITY.fullmatch(identity):
        place = f"{_FOLDER}/{found[1]}/{found[2]}"
        document = _read(store, place)
        if document is not None and document.id == identity:
            if not deleted and read_status(store, place) == "Deleted":
                raise WorkspaceError(f"published pipeline {identity!r} was deleted")
            return document
    known = {document.id: document for document, _ in find_published(store, active_only=False)}
    if identity in known:
        return known[identity]
    raise WorkspaceError(
        f"there is no published pipeline {identity[:_LONGEST]!r} in {store.url}.{did_you_mean(identity[:_LONGEST], known)}"
    )


def read_status(store: Store, place: PublishedDocument | str) -> Status:
    """Return the status of a published pipeline."""
    try:
        data = store.get(f"{_place(place)}.status.json")
    except NotFoundError:
        return "Active"
    return read_document(data, StatusDocument, what="status", schema=1).status


def write_status(store: Store, document: PublishedDocument, status: Status) -> None:
    """Set the status of a published pipeline."""
    changed = StatusDocument(status=status, changed=time.time())
    store.put(f"{_place(document)}.status.json", write_document(changed))


def _place(document: PublishedDocument | str) -> str:
    if isinstance(document, str):
        return document
    return f"{_FOLDER}/{segment(document.name)}/{document.number}"


def _read(store: Store, place: str) -> PublishedDocument | None:
    try:
        data = store.get(f"{place}.json")
    except NotFoundError:
        return None
    return read_document(data, PublishedDocument, what=f"{store.url}/{place}.json", schema=registry.SCHEMA)
