"""What code registers in a workspace: documents under its root, versions by exclusive create.

::

    datastores/<name>.json   compute/<name>.json   defaults.json
    environments/<name>/<version>.json   datasets/<name>/<version>.json   pipelines/<name>/<number>.json

Versions are 1, 2, …; of any number of registrations at once each gets its own, or the one that says the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import DocumentError, NotFoundError, WorkspaceError, did_you_mean
from airflow_ml_pipelines.core.layout import numbered, segment
from airflow_ml_pipelines.core.runs.folder import Origin
from airflow_ml_pipelines.core.spec import Data, EnvironmentSpec, PipelineSpec
from airflow_ml_pipelines.core.stores.store import Store

__all__ = [
    "FOLDERS",
    "SCHEMA",
    "ComputeDocument",
    "ComputeTargetSpec",
    "DatasetRecord",
    "DatastoreDocument",
    "DatastoreSpec",
    "DefaultsDocument",
    "EnvironmentDocument",
    "PublishedDocument",
    "add_version",
    "dataset_uri",
    "find_latest",
    "find_versions",
    "read_defaults",
    "read_or_skip",
    "read_version",
]

SCHEMA = 1


@dataclass(frozen=True)
class DatastoreSpec:
    """A datastore, without any secret.

    :param url: a local path, a URL that fsspec knows, or one of a database.
    :param options: for fsspec.
    :param connection: the id of an Airflow connection that has the credentials.
    :param credentials: options for fsspec whose values are in environment variables: ``{"secret": "env:NAME"}``.
    """

    name: str
    url: str
    options: Mapping[str, Any] = field(default_factory=dict)
    connection: str | None = None
    credentials: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ComputeTargetSpec:
    """A compute target.

    :param type: what kind it is: ``local``, …
    :param options: what that kind takes.
    """

    name: str
    type: str = "local"
    options: Mapping[str, Any] = field(default_factory=dict)


class DatasetRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version of a registered dataset.

    :param digest: of the manifest of its files when it was registered, None where they were not read.
    :param files: how many there were then, None where that was not known; ``size`` likewise, in bytes.
    :param origin: the step that made it, None for data that somebody registered.
    :param created: seconds since the epoch.
    """

    schema: int = SCHEMA
    name: str
    version: int
    data: Data
    digest: str | None = None
    files: int | None = None
    size: int | None = None
    origin: Origin | None = None
    description: str | None = None
    tags: dict[str, str] = {}
    created: float


def dataset_uri(name: str) -> str:
    """Return the URI of the Airflow asset that a dataset is."""
    return f"ml-pipelines://datasets/{quote(name, safe='')}"


class DatastoreDocument(msgspec.Struct, frozen=True):
    """A registered datastore."""

    spec: DatastoreSpec
    schema: int = SCHEMA


class ComputeDocument(msgspec.Struct, frozen=True):
    """A registered compute target."""

    spec: ComputeTargetSpec
    schema: int = SCHEMA


class EnvironmentDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a registered environment."""

    schema: int = SCHEMA
    environment: EnvironmentSpec
    created: float


class PublishedDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A published pipeline.

    :param number: of those that were published under the name, from 1 on.
    :param version: a label.
    :param run: the id of the run that it was published from, if it was.
    :param submitted: whether nobody published it: a run of it was sent to a server.
    """

    schema: int = SCHEMA
    id: str
    name: str
    number: int
    version: str | None = None
    run: str | None = None
    submitted: bool = False
    spec: PipelineSpec
    created: float


class DefaultsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The defaults that code has set."""

    schema: int = SCHEMA
    default_datastore: str | None = None


Document = DatastoreDocument | ComputeDocument | EnvironmentDocument | DatasetRecord | PublishedDocument

_log = logging.getLogger(__name__)
_T = TypeVar("_T", bound=Document)
FOLDERS: Mapping[type, str] = {
    DatastoreDocument: "datastores",
    ComputeDocument: "compute",
    EnvironmentDocument: "environments",
    DatasetRecord: "datasets",
    PublishedDocument: "pipelines",
}


def find_latest(store: Store, kind: type[_T]) -> list[_T]:
    """Return the latest version of each name of a kind with versions; those that can't be read are left out."""
    latest: dict[str, int] = {}
    for info in store.walk(FOLDERS[kind]):
        if number := numbered(info.path):
            folder = info.path.rpartition("/")[0]
            latest[folder] = max(number, latest.get(folder, 0))
    found = (
        read_or_skip(store, f"{folder}/{number}.json", kind) for folder, number in sorted(latest.items())
    )
    return [document for document in found if document is not None]


def find_versions(store: Store, kind: type[_T], name: str) -> list[int]:
    """Return the versions that a name has, the oldest first."""
    folder = f"{FOLDERS[kind]}/{segment(name)}"
    return sorted(number for info in store.walk(folder) if (number := numbered(info.path)))


def read_version(store: Store, kind: type[_T], name: str, version: str | int | None, where: str) -> _T | None:
    """Return a version of a name, the latest one for None; None where there is no such name.

    :param where: how an error calls the workspace.
    :raises WorkspaceError: where the name has no such version.
    :raises DocumentError: where it can't be read.
    """
    versions = find_versions(store, kind, name)
    if not versions:
        return None
    noun = FOLDERS[kind].removesuffix("s")
    if version not in (None, "latest") and str(version) not in map(str, versions):
        raise WorkspaceError(
            f"{noun} {name!r} in {where} has no version {version}.{did_you_mean(str(version), versions)}"
        )
    path = _path(kind, name, versions[-1] if version in (None, "latest") else int(str(version)))
    try:
        return read_document(store.get(path), kind, what=f"{store.url}/{path}", schema=SCHEMA)
    except NotFoundError:
        raise WorkspaceError(f"{noun} {name!r}: {store.url}/{path} was removed just now") from None


def add_version(
    store: Store, kind: type[_T], name: str, *, same: Callable[[_T], bool], make: Callable[[int], _T]
) -> _T:
    """Register a version, or return the latest one where that says the same.

    :param same: whether a version says what is to be registered.
    :param make: makes the document of a version's number.
    """
    known = max(find_versions(store, kind, name), default=0)
    while True:
        if known:
            latest = read_or_skip(store, _path(kind, name, known), kind)
            if latest is not None and same(latest):
                return latest
        document = make(known + 1)
        if store.create(_path(kind, name, known + 1), write_document(document)):
            return document
        known += 1  # another one came first, even where a listing does not show it yet


def read_defaults(store: Store) -> DefaultsDocument:
    """Return the defaults that code has set.

    :raises DocumentError: where they can't be read.
    """
    try:
        return read_document(
            store.get("defaults.json"), DefaultsDocument, what="defaults.json", schema=SCHEMA
        )
    except NotFoundError:
        return DefaultsDocument()


def read_or_skip(store: Store, path: str, kind: type[_T]) -> _T | None:
    """Return a document, None where there is none or it can't be read; the latter is logged."""
    try:
        return read_document(store.get(path), kind, what=f"{store.url}/{path}", schema=SCHEMA)
    except NotFoundError:
        return None
    except DocumentError as error:  # a newer version of this package may have written it
        _log.warning("left out: %s", error)
        return None


def _path(kind: type[_T], name: str, version: int) -> str:
    return f"{FOLDERS[kind]}/{segment(name)}/{version}.json"
