"""Fingerprints of data from outside of the pipeline: what identifies it in a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.locations import Found, find, glob_matcher
from airflow_ml_pipelines.core.manifest import Manifest
from airflow_ml_pipelines.core.spec import Data, Location
from airflow_ml_pipelines.core.statcache import StatCache
from airflow_ml_pipelines.core.store import Store, open_store
from airflow_ml_pipelines.core.tree import Tree, scan_file, scan_tree

__all__ = ["Fingerprint", "OpenDatastore", "find_location", "fingerprint_data"]

OpenDatastore = Callable[[str | None], Store]


@dataclass(frozen=True)
class Fingerprint:
    """What identifies data.

    :param document: what the key document has for it: ``kind`` is ``content``, ``etag`` or ``path``.
    :param manifest: gives its files where its content was read, else None.
    """

    document: dict[str, Any]
    read_manifest: Callable[[], Manifest] | None = None

    @property
    def manifest(self) -> Manifest | None:
        """The files, None where their content was not read."""
        return None if self.read_manifest is None else self.read_manifest()


def fingerprint_data(data: Data, open_datastore: OpenDatastore, method: str, cache: StatCache) -> Fingerprint:
    """Return what identifies data.

    ``content`` reads what changed since the last time, on a store that is a local path, and takes the store's own
    strong versions on any other; ``etag`` takes those versions everywhere; ``path`` takes the place alone.

    :raises DataError: where there is nothing.
    """
    if method == "path":
        places = [[location.datastore, location.path] for location in data.locations]
        return Fingerprint({"kind": "path", "locations": places})
    found = [find_location(location, open_datastore) for location in data.locations]
    if method == "content" and all(item.local is not None for item in found):
        manifests = [_content(item, cache) for item in found]
        if len(manifests) == 1:
            digest, read = manifests[0]
            return Fingerprint({"kind": "content", "digest": digest}, read)
        return Fingerprint(
            {"kind": "content", "digest": _together("content", [digest for digest, _ in manifests])}
        )
    return Fingerprint({"kind": "etag", "digest": _together("etag", [_versions(item) for item in found])})


def find_location(location: Location, open_datastore: OpenDatastore) -> Found:
    """Return what lies at a location. :raises DataError: where there is nothing."""
    if location.datastore is None and "://" in location.path:
        base, _, name = location.path.rpartition("/")
        return find(open_store(base), name)
    return find(open_datastore(location.datastore), location.path)


def _content(found: Found, cache: StatCache) -> tuple[str, Callable[[], Manifest]]:
    local = found.local
    if local is None:
        raise DataError(f"{found.path!r} in {found.store.url} is not on this machine")
    if found.kind == "file":
        return _tree(scan_file(local, cache=cache))
    tree = scan_tree(local, cache=cache)
    if found.kind == "folder":
        return _tree(tree)
    matches = glob_matcher(found.relative(found.path))
    manifest = Manifest.of(entry for entry in tree.manifest if matches(entry.path))
    return manifest.digest, lambda: manifest


def _tree(tree: Tree) -> tuple[str, Callable[[], Manifest]]:
    return tree.digest, lambda: tree.manifest


def _versions(found: Found) -> list[list[Any]]:
    versions = []
    for path in found.files:
        info = found.store.info(path)
        if info is None:
            raise DataError(f"{path!r} in {found.store.url} is gone since it was listed")
        versions.append([found.relative(path), info.size, info.version])
    return versions


def _together(kind: str, parts: list[Any]) -> str:
    return digest_document(f"ml-pipelines/data/{kind}/1", parts)
