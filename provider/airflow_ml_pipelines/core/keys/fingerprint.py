"""Fingerprints of data from outside of the pipeline: what identifies it in a key."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.errors import DataError, StoreError
from airflow_ml_pipelines.core.files.digest import Digester
from airflow_ml_pipelines.core.files.manifest import Entry, Manifest, encode_files
from airflow_ml_pipelines.core.files.statcache import StatCache
from airflow_ml_pipelines.core.files.tree import Tree, recall_file, recall_tree, scan_file, scan_tree
from airflow_ml_pipelines.core.files.walk import EVERYTHING, Rules
from airflow_ml_pipelines.core.progress import advance, measured
from airflow_ml_pipelines.core.spec import Data, Location
from airflow_ml_pipelines.core.stores.locations import Found, GlobRules, find, split_url
from airflow_ml_pipelines.core.stores.meta import is_strong
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.core.stores.store import Store, join

__all__ = [
    "PENDING",
    "Fingerprint",
    "OpenDatastore",
    "find_location",
    "fingerprint_data",
    "list_data",
    "recall_digests",
]

OpenDatastore = Callable[[str | None], Store]
OpenUrl = Callable[[str], Store]

PENDING = "pending"
"""The ``kind`` of a fingerprint of data that a step is still to make."""

_PIECE = 1 << 20


@dataclass(frozen=True)
class Fingerprint:
    """What identifies data.

    :param document: what the key document has for it: ``kind`` is ``content``, ``etag`` or ``path``.
    :param files: how many files there are; 0 for ``path``, which does not look.
    :param size: their bytes together.
    :param read_manifest: gives the files where their content was read, at one location; else None.
    :param read_stored: gives the files as manifests are stored, of several locations as if they were one; where no
        content was read, with the store's versions and without digests. None for ``path``.
    """

    document: dict[str, Any]
    files: int = 0
    size: int = 0
    read_manifest: Callable[[], Manifest] | None = None
    read_stored: Callable[[], bytes] | None = None

    @property
    def manifest(self) -> Manifest | None:
        """The files, None where their content was not read."""
        return None if self.read_manifest is None else self.read_manifest()


def fingerprint_data(
    data: Data,
    open_datastore: OpenDatastore,
    method: str,
    cache: StatCache,
    *,
    open_url: OpenUrl = open_store,
) -> Fingerprint:
    """Return what identifies data.

    ``content`` is the digest of the files' manifest where the store is a local path (only what changed since the last
    time is read), and the store's own strong versions elsewhere; a store that has none is read. ``etag`` is what
    versions the store has, everywhere. ``path`` is the place alone.

    :raises DataError: where there is nothing, or it can't be read.
    """
    if method == "path":
        named = [[location.datastore, location.path] for location in data.locations]
        return Fingerprint({"kind": "path", "locations": named})
    places = list_data(data, open_datastore, open_url=open_url)
    parts = [_fingerprint(found, method, cache) for found in places]
    if len(parts) == 1:
        return parts[0]
    documents = [part.document for part in parts]
    kind = "content" if all(document["kind"] == "content" for document in documents) else "etag"
    document = {"kind": kind, "digest": digest_document("ml-pipelines/data/1", documents)}
    return Fingerprint(
        document,
        sum(part.files for part in parts),
        sum(part.size for part in parts),
        read_stored=lambda: _join(
            [(found.base, part) for found, part in zip(places, parts, strict=True)], document["digest"]
        ),
    )


def list_data(
    data: Data, open_datastore: OpenDatastore, *, open_url: OpenUrl = open_store
) -> tuple[Found, ...]:
    """Return what lies at each location of data. :raises DataError: where there is nothing."""
    return tuple(find_location(location, open_datastore, open_url) for location in data.locations)


def find_location(location: Location, open_datastore: OpenDatastore, open_url: OpenUrl = open_store) -> Found:
    """Return what lies at a location. :raises DataError: where there is nothing."""
    try:
        if location.is_url:
            url, path = split_url(location.path)
            return find(open_url(url), path)
        return find(open_datastore(location.datastore), location.path)
    except DataError as error:
        name = "" if location.datastore is None else f"datastore {location.datastore!r}: "
        raise DataError(f"{name}{error}") from None
    except StoreError as error:
        raise DataError(f"{location.path!r} can't be looked at: {error}") from error


def _fingerprint(found: Found, method: str, cache: StatCache) -> Fingerprint:
    if method == "content":
        if found.local is not None:
            return _of_tree(_scan(found, cache))
        if not all(is_strong(info.version) for info in found.objects):
            return _of_manifest(_read(found))
    versions = [(found.relative(info.path), info.size, info.version) for info in found.objects]
    digest = digest_document("ml-pipelines/data/etag/1", versions)
    return Fingerprint(
        {"kind": "etag", "digest": digest},
        len(versions),
        sum(info.size for info in found.objects),
        read_stored=lambda: encode_files(
            ((path, size, "", False, version) for path, size, version in versions), digest
        ),
    )


def _scan(found: Found, cache: StatCache) -> Tree:
    """Return the files of a place on this machine with their digests; only what has changed is read.

    :raises DataError: where there is none any more, or one can't be read.
    """
    local = found.local
    assert local is not None
    if found.kind == "file":
        return scan_file(local, cache=cache)
    tree = scan_tree(local, rules=_rules(found), cache=cache)
    if not tree.files:
        raise DataError(f"{found.where} has no file any more")
    return tree


def recall_digests(found: Found, cache: StatCache) -> dict[str, str]:
    """Return the digests that are known of files without reading them, by relative path."""
    local = found.local
    if local is None:
        return {}
    if found.kind == "file":
        return recall_file(local, cache=cache)
    return recall_tree(local, rules=_rules(found), cache=cache)


def _rules(found: Found) -> Rules:
    return GlobRules(found.relative(found.path)) if found.kind == "glob" else EVERYTHING


def _read(found: Found) -> Manifest:
    """Read files whose store has no version that tells whether they changed."""
    with measured(f"reading {found.where}", sum(info.size for info in found.objects)):
        return Manifest.of(_read_objects(found), single=found.kind == "file")


def _read_objects(found: Found) -> Iterator[Entry]:
    for info in found.objects:
        digester = Digester()
        try:
            with found.store.open(info.path) as file:
                while data := file.read(_PIECE):
                    digester.update(data)
                    advance(len(data))
        except (StoreError, OSError) as error:
            raise DataError(f"{info.path!r} in {found.store.url} can't be read: {error}") from error
        yield Entry(found.relative(info.path), digester.size, digester.hexdigest())


def _join(parts: Iterable[tuple[str, Fingerprint]], digest: str) -> bytes:
    """Return the files of several locations as one manifest, each with the folder that its location begins at."""
    rows = [
        (join(base, path), size, content, bool(executable), version)
        for base, part in parts
        if part.read_stored is not None
        for path, size, content, executable, version in json.loads(part.read_stored())["files"]
    ]
    return encode_files(sorted(rows), digest)


def _of_tree(tree: Tree) -> Fingerprint:
    document = {"kind": "content", "digest": tree.digest}
    return Fingerprint(document, tree.files, tree.size, lambda: tree.manifest, tree.encode)


def _of_manifest(manifest: Manifest) -> Fingerprint:
    document = {"kind": "content", "digest": manifest.digest}
    return Fingerprint(document, len(manifest), manifest.size, lambda: manifest, manifest.encode)
