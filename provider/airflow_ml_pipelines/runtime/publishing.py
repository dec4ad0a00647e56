"""Makes room for the outputs of a job, and brings them to their destinations when the script has ended well.

``mount`` on a store of this machine: the script writes at the destination itself. Otherwise it writes in a folder of the
launcher's (or at ``source``), and the files are copied afterwards. Files at the destination are never replaced by an
``upload`` unless ``overwrite`` is set. ``direct``: the script writes at the destination by its URL, wherever that is.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from airflow_ml_pipelines.core.errors import DataError, explain_os_error
from airflow_ml_pipelines.core.files.digest import digest_file
from airflow_ml_pipelines.core.files.manifest import Entry, Manifest
from airflow_ml_pipelines.core.files.statcache import NoStatCache, StatCache
from airflow_ml_pipelines.core.files.tree import scan_file, scan_tree
from airflow_ml_pipelines.core.globs import glob_matcher
from airflow_ml_pipelines.core.layout import segment
from airflow_ml_pipelines.core.progress import advance, measured
from airflow_ml_pipelines.core.stores.store import ObjectInfo, Store, check_path, join
from airflow_ml_pipelines.runtime.job import Job, JobOutput
from airflow_ml_pipelines.runtime.stop import Stop
from airflow_ml_pipelines.runtime.stores import Stores

__all__ = ["PreparedOutput", "prepare_outputs", "publish_outputs", "stored_manifest"]

_THREADS = 16
_SHOWN = 3


@dataclass(frozen=True)
class PreparedOutput:
    """An output for which there is room.

    :param local: the path that the script writes at.
    :param mounted: whether that is the destination itself.
    :param link: a link to the destination that was made for the script, to be taken away when it has ended.
    """

    name: str
    item: JobOutput
    store: Store
    path: str
    local: str
    mounted: bool
    link: str | None = None

    def remove(self) -> None:
        """Take the link away."""
        if self.link is not None and os.path.islink(self.link):
            os.unlink(self.link)


def prepare_outputs(
    job: Job, stores: Stores, folder: Path, directory: Path, prepared: dict[str, PreparedOutput]
) -> None:
    """Make room for each output.

    :param folder: where the launcher may put files.
    :param directory: the script's source directory, to which ``source`` is relative.
    :param prepared: takes each output by its name.
    :raises DataError: where that can't be done.
    """
    for name, item in job.outputs.items():
        try:
            prepared[name] = _prepare(name, item, stores.open(item.store), folder, directory)
        except DataError as error:
            raise DataError(f"output {name!r}: {error}") from None
        except OSError as error:
            raise DataError(f"output {name!r} can't be written: {explain_os_error(error)}") from error


def publish_outputs(prepared: Iterable[PreparedOutput], cache: StatCache, stop: Stop) -> dict[str, Manifest]:
    """Bring each output to its destination and return what is there.

    :raises DataError: where an output is missing, or its destination is taken or can't be written.
    :raises StoppedError: where the job is to end.
    """
    published = {}
    for output in prepared:
        stop.check()
        try:
            published[output.name] = _publish(output, cache, stop)
        except DataError as error:
            raise DataError(f"output {output.name!r}: {error}") from None
        except OSError as error:
            raise DataError(
                f"output {output.name!r} can't be written to {output.store.url}: {explain_os_error(error)}"
            ) from error
    return published


# --- before the script -------------------------------------------------------------------------------------------


def _prepare(name: str, item: JobOutput, store: Store, folder: Path, directory: Path) -> PreparedOutput:
    path = check_path(item.path.lstrip("/"))
    destination = store.local_path(path)
    if item.mode == "direct":  # who writes by URLs makes folders, and some refuse one that is there
        if destination is not None:
            _make_room(str(destination), create=False)
        return PreparedOutput(name, item, store, path, item.source or f"{store.url}/{path}", mounted=False)
    mounted = item.mode == "mount" and destination is not None
    given = None if item.source is None else os.path.normpath(directory / item.source)
    if mounted:
        _make_room(str(destination), create=item.create)
        if given is None:
            return PreparedOutput(name, item, store, path, str(destination), mounted)
        _clear(given)
        os.makedirs(os.path.dirname(given), exist_ok=True)
        os.symlink(str(destination), given)
        return PreparedOutput(name, item, store, path, given, mounted, link=given)
    local = given or str(folder / segment(name))
    _make_room(local, create=item.create)
    return PreparedOutput(name, item, store, path, local, mounted)


def _make_room(path: str, *, create: bool) -> None:
    try:
        os.makedirs(path if create else os.path.dirname(path), exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DataError(f"can't make the folder {path}: it, or a part of its path, is a file") from None


def _clear(path: str) -> None:
    if os.path.islink(path):
        os.unlink(path)
    elif os.path.isdir(path) and not os.listdir(path):
        os.rmdir(path)
    elif os.path.lexists(path):
        raise DataError(
            f"its source {path} is there already, and can't be a link to the destination: give another path"
        )


# --- after the script --------------------------------------------------------------------------------------------


def _publish(output: PreparedOutput, cache: StatCache, stop: Stop) -> Manifest:
    if output.item.mode == "direct":
        return stored_manifest(output.store, output.path, cache, stop)
    destination = output.store.local_path(output.path)
    local = str(destination) if output.mounted else output.local
    if not os.path.exists(local):
        if not output.item.create or os.path.islink(local):
            raise DataError(f"the script was to write it at {output.local}, and nothing is there")
        os.makedirs(local)  # the script has removed the folder that was made for it
    if not os.path.isfile(local) and not os.path.isdir(local):
        raise DataError(f"{local} is neither a file nor a folder")
    if output.mounted:
        return _manifest(output.store, output.path, local, cache)
    _upload(output, stop)
    if destination is not None:
        if os.path.isdir(local):
            os.makedirs(destination, exist_ok=True)
        return _manifest(output.store, output.path, str(destination), cache)
    return _remote_manifest(output, stop)


def stored_manifest(store: Store, path: str, cache: StatCache, stop: Stop) -> Manifest:
    """Return what lies at a path of a store, whoever wrote it there: each file is read once.

    :raises DataError: where there is nothing.
    """
    local = store.local_path(path)
    if local is not None:
        if not os.path.exists(local):
            raise DataError(f"it was to be written at {local}, and nothing is there")
        return _manifest(store, path, str(local), cache)
    infos = {info.path: info for info in store.walk(path) if info.path != path}
    single = store.info(path) if not infos else None
    if single is not None:
        infos[path] = single
    if not infos:
        raise DataError(f"it was to be written at {store.url}/{path}, and nothing is there")
    skip = len(path) + 1 if path else 0

    def entry(info: ObjectInfo) -> Entry:
        stop.check()
        with tempfile.TemporaryDirectory(prefix="ml-pipelines-") as folder:
            copy = Path(folder, "copy")
            store.download(info.path, copy)
            digest, size = digest_file(copy)
        name = path.rpartition("/")[2] if single else info.path[skip:]
        return Entry(name, size, digest, version=info.version)

    with ThreadPoolExecutor(min(_THREADS, len(infos)), thread_name_prefix="digest") as pool:
        return Manifest.of(pool.map(entry, infos.values()), single=single is not None)


def _manifest(store: Store, path: str, local: str, cache: StatCache) -> Manifest:
    """Return what is at a destination on this machine. The versions are from before the files were read."""
    if not os.path.isdir(local):
        info = store.info(path)
        (entry,) = scan_file(local, cache=cache).manifest.entries
        return Manifest((replace(entry, version=info.version if info else ""),), single=True)
    versions = {info.path: info.version for info in store.walk(path)}
    manifest = scan_tree(local, cache=cache).manifest
    _check_names(entry.path for entry in manifest)
    entries = tuple(
        replace(entry, version=versions.get(join(path, entry.path), "")) for entry in manifest.entries
    )
    return Manifest(entries)


def _files(output: PreparedOutput) -> tuple[Manifest, bool]:
    """Return the files to upload, and whether the output is one file and no folder."""
    if os.path.isfile(output.local):
        return scan_file(output.local, cache=NoStatCache()).manifest, True
    rules = _Globs.of(output.item.globs)
    manifest = scan_tree(output.local, rules=rules, cache=NoStatCache()).manifest
    _check_names(entry.path for entry in manifest)
    return manifest, False


def _upload(output: PreparedOutput, stop: Stop) -> None:
    source = output.local
    single = not os.path.isdir(source)
    paths = [""] if single else sorted(_source_paths(output))
    _check_names(paths)
    if not output.item.overwrite and output.item.mode == "upload":
        wanted = {join(output.path, path) for path in paths}
        if taken := sorted(path for path in _existing(output) if path in wanted):
            raise DataError(
                f"{_shown(taken)} is at its destination in {output.store.url} already, and an upload replaces nothing: "
                "use overwrite=True, or {run-id} in the destination"
            )
    remote = output.store.local_path(output.path) is None
    pairs = [
        (Path(source, *path.split("/")) if path else Path(source), join(output.path, path)) for path in paths
    ]
    what = f"uploading output {output.name!r} to {output.store.url}"
    with measured(what, lambda: sum(os.path.getsize(source) for source, _ in pairs)):
        _each(lambda pair: _bring(output, *pair), pairs, _THREADS if remote else 1, stop)


def _bring(output: PreparedOutput, source: Path, path: str) -> int:
    """Bring a file to its destination, and return its size.

    It is moved where it is the launcher's and on the same file system.
    """
    size = os.path.getsize(source)
    target = output.store.local_path(path)
    if target is not None and output.item.source is None:
        found = os.lstat(source)
        is_ours = os.path.realpath(source) == os.fspath(
            source
        )  # a folder may be a link to what is the user's
        if is_ours and stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            with suppress(OSError):
                os.makedirs(target.parent, exist_ok=True)
                os.replace(source, target)
                return size
    output.store.upload(source, path)
    return size


def _source_paths(output: PreparedOutput) -> Iterable[str]:
    from airflow_ml_pipelines.core.files.walk import list_tree

    rules = _Globs.of(output.item.globs)
    return (path for path in list_tree(output.local).paths() if rules.takes(path))


def _existing(output: PreparedOutput) -> dict[str, ObjectInfo]:
    found = {info.path: info for info in output.store.walk(output.path)}
    info = output.store.info(output.path)
    return {**found, output.path: info} if info is not None else found


def _remote_manifest(output: PreparedOutput, stop: Stop) -> Manifest:
    """Return what is at a destination elsewhere: what was uploaded just now, and files that were there before."""
    local, single = _files(output)
    existing = _existing(output)
    if single:
        info = existing.get(output.path)
        name = output.path.rpartition("/")[2]
        return Manifest(
            tuple(replace(e, path=name, version=info.version if info else "") for e in local), single=True
        )
    entries = {entry.path: entry for entry in local}
    skip = len(output.path) + 1 if output.path else 0
    versions = {path[skip:]: info for path, info in existing.items() if path != output.path}
    if lost := sorted(entries.keys() - versions.keys()):
        raise DataError(f"{_shown(lost)} was uploaded to {output.store.url} and is not there")
    others = [path for path in versions if path not in entries]
    with tempfile.TemporaryDirectory(prefix="ml-pipelines-") as folder:
        for path in others:
            stop.check()
            copy = Path(folder, "copy")
            output.store.download(versions[path].path, copy)
            digest, size = digest_file(copy)
            entries[path] = Entry(path, size, digest)
    return Manifest.of(replace(entry, version=versions[path].version) for path, entry in entries.items())


def _each(
    action: Callable[[tuple[Path, str]], int], pairs: list[tuple[Path, str]], threads: int, stop: Stop
) -> None:
    if threads == 1 or len(pairs) < 2:
        for pair in pairs:
            stop.check()
            advance(action(pair))
        return
    with ThreadPoolExecutor(min(threads, len(pairs)), thread_name_prefix="upload") as pool:
        try:
            for size in pool.map(action, pairs):
                stop.check()
                advance(size)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _check_names(paths: Iterable[str]) -> None:
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"the name of file {path!r} is not UTF-8, which not every store can hold: rename it"
            ) from None


def _shown(paths: Iterable[str]) -> str:
    names = sorted(paths)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


@dataclass(frozen=True)
class _Globs:
    """The files that an output's globs take; all where there are none."""

    key: str
    takes: Callable[[str], bool]
    names: frozenset[str] = frozenset()
    endings: tuple[str, ...] = ()

    @classmethod
    def of(cls, globs: tuple[str, ...]) -> _Globs:
        matches = [glob_matcher(pattern) for pattern in globs]
        return cls("\0".join(globs), lambda path: not matches or any(match(path) for match in matches))

    def enters(self, folder: str) -> bool:  # noqa: ARG002
        return True
