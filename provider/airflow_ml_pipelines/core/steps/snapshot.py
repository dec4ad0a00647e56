"""Takes source directories as snapshots, and stores each snapshot once."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from airflow_ml_pipelines.core.canonical import canonical_json
from airflow_ml_pipelines.core.errors import (
    DataError,
    DocumentError,
    NotFoundError,
    SnapshotError,
    StoreError,
    explain_os_error,
)
from airflow_ml_pipelines.core.files.archive import write_archive
from airflow_ml_pipelines.core.files.ignore import IgnoreRules
from airflow_ml_pipelines.core.files.manifest import Manifest
from airflow_ml_pipelines.core.files.statcache import StatCache
from airflow_ml_pipelines.core.files.tree import Tree, scan_file, scan_tree
from airflow_ml_pipelines.core.keeping.fresh import freshen
from airflow_ml_pipelines.core.progress import measured
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["NoSnapshot", "Snapshot", "StoredSnapshot", "digest_paths", "take_snapshot"]

_TRIES = 3
_SHOWN = 5


@dataclass(frozen=True)
class Snapshot:
    """The files of a source directory at one moment.

    :param digest: of the files' paths, bytes and executable bits.
    """

    directory: Path
    digest: str
    _rules: IgnoreRules
    _cache: StatCache
    _tree: Tree

    @property
    def manifest(self) -> Manifest:
        """The files. :raises SnapshotError: where the directory has changed and they are no longer known."""
        try:
            return self._tree.manifest
        except DataError as error:
            raise SnapshotError(str(error)) from None

    def encode(self) -> bytes:
        """Return the files as a manifest is stored. :raises DataError: as :attr:`manifest`."""
        return self._tree.encode()

    def publish(self, store: Store) -> str:
        """Store the files as an archive and their list beside it, and return the archive's path in the store.

        Does nothing where both are there. What is stored is what was digested: files that changed meanwhile are looked
        at again a few times.

        :raises SnapshotError: where the files have changed since the snapshot was taken, and for a file name that not
            every system can have.
        """
        archive, listing = _places(self.digest)
        if freshen(store, archive) and freshen(store, listing):
            return archive
        with _temporary_folder() as folder:
            file = Path(folder, "snapshot.zip")
            with measured(f"packing {self.directory}", self._tree.size):
                manifest = self._pack(file)
            with measured(f"storing the snapshot of {self.directory}", file.stat().st_size):
                store.upload(file, archive)
        store.put(listing, canonical_json(manifest.to_dict()))
        return archive

    def _pack(self, file: Path) -> Manifest:
        expected = self.manifest
        for _ in range(_TRIES):
            try:
                found = write_archive(((entry, self.directory / entry.path) for entry in expected), file)
            except FileNotFoundError:
                found = _scan(self.directory, self._rules, self._cache).manifest
            except OSError as error:
                reason = explain_os_error(error)
                raise SnapshotError(
                    f"the snapshot of {self.directory} can't be packed into {file}: {reason}"
                ) from None
            else:
                if found.digest == self.digest:
                    return found
        raise SnapshotError(
            f"{self.directory} has changed since its snapshot was taken ({_differences(expected, found)}): "
            "wait until nothing writes to it, and start again"
        )


class NoSnapshot:
    """What a step has that runs no script."""

    digest = ""
    manifest = Manifest(())

    def publish(self, store: Store) -> str:  # noqa: ARG002
        """Return "": nothing is stored."""
        return ""


@dataclass(frozen=True)
class StoredSnapshot:
    """A snapshot that was taken and stored before.

    :param store: the workspace's root.
    """

    digest: str
    store: Store

    @property
    def manifest(self) -> Manifest:
        """The files. :raises SnapshotError: where their list is gone."""
        try:
            return Manifest.from_dict(json.loads(self.store.get(_places(self.digest)[1])))
        except (NotFoundError, DocumentError, ValueError):
            raise self._gone() from None

    def publish(self, store: Store) -> str:
        """Return the archive's path in the store. :raises SnapshotError: where it is gone."""
        archive, _ = _places(self.digest)
        if not freshen(store, archive):
            raise self._gone()
        return archive

    def _gone(self) -> SnapshotError:
        return SnapshotError(
            f"the stored snapshot {self.digest} is gone from {self.store.url}: publish the pipeline again"
        )


def take_snapshot(directory: Path, *, ignore: Sequence[str] = (), cache: StatCache) -> Snapshot:
    """Take a directory as it is now, without the files that are ignored.

    Links to files and folders inside the directory count as what they lead to.

    :param ignore: git patterns on top of the ignore file's.
    :raises SnapshotError: where there is no such directory, for a link that leaves it or leads nowhere, for what is
        neither file nor folder, and for a file that can't be read.
    """
    top = Path(os.path.abspath(directory))
    if not top.is_dir():
        found = "a file" if top.exists() else "nothing there"
        raise SnapshotError(f"source_directory {str(directory)!r}: expected a folder at {top}, found {found}")
    rules = IgnoreRules.read(top, ignore)
    tree = _scan(top, rules, cache)
    return Snapshot(top, tree.digest, rules, cache, tree)


def digest_paths(base: Path, paths: Sequence[str], cache: StatCache) -> dict[str, str]:
    """Return the digest of each of some files and folders, by the path as it was given.

    Of a folder, what no snapshot has (caches, virtual environments, editors' files) does not count.

    :param base: what relative paths are relative to.
    :raises SnapshotError: where there is nothing at a path, or it can't be read.
    """
    found: dict[str, str] = {}
    for path in paths:
        top = base / path
        try:
            if top.is_dir():
                tree = scan_tree(top, rules=IgnoreRules(), executable=True, cache=cache)
            else:
                tree = scan_file(top, executable=True, cache=cache)
        except DataError as error:
            raise SnapshotError(f"hash_paths {path!r}: {error}") from None
        found[path] = tree.digest
    return found


@contextmanager
def _temporary_folder() -> Iterator[str]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="ml-pipelines-", ignore_cleanup_errors=True)
    except OSError as error:
        raise StoreError(f"there is no place to pack a snapshot in: {explain_os_error(error)}") from error
    with folder as name:
        yield name


def _places(digest: str) -> tuple[str, str]:
    """Return where a snapshot's archive and the list of its files lie."""
    return f"snapshots/{digest}.zip", f"snapshots/{digest}.json"


def _scan(directory: Path, rules: IgnoreRules, cache: StatCache) -> Tree:
    try:
        return scan_tree(directory, rules=rules, executable=True, contained=True, cache=cache)
    except DataError as error:
        raise SnapshotError(str(error)) from None


def _differences(expected: Manifest, found: Manifest) -> str:
    before = {entry.path: entry for entry in expected}
    after = {entry.path: entry for entry in found}
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    return ", ".join(changed[:_SHOWN]) + more
