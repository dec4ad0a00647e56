"""Files of a datastore that are new or have changed, each told exactly once.

::

    watches/<id>/<number>.json         a batch: what there was at a look, and what of it is to be acted on
    watches/<id>/<number>.done.json    that has been

What is new is written down before anybody acts on it, as the next batch, by exclusive create. Whoever is killed in
between, it is found again under the same number, so that what is done for it can be named after that: a second attempt
is known for what it is. Nothing is looked for while a batch is not done.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import NotFoundError
from airflow_ml_pipelines.core.globs import glob_matcher, is_glob, split_glob
from airflow_ml_pipelines.core.layout import numbered
from airflow_ml_pipelines.core.stores.store import ObjectInfo, Store, check_path

__all__ = ["FOLDER", "MOST", "Batch", "RunPer", "Watch", "finish", "list_files", "look", "start"]

FOLDER = "watches"

MOST = 500
"""How many files a batch has at most, where each is acted on by itself; the next batch has the rest."""

RunPer = Literal["file", "poll"]

_SCHEMA = 1
_SETTLED = 2.0


class Watch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is looked at, and how.

    :param path: a folder, with all below it; a file; a glob.
    :param seconds: between two looks.
    :param run_per: whether there is a run for each ``file``, or one for all that a ``poll`` finds.
    :param parameter: the pipeline parameter that gets the file, or for a run of all the path.
    """

    datastore: str
    path: str = ""
    seconds: float
    run_per: RunPer = "file"
    parameter: str | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What there was at a look.

    :param place: the datastore and the path.
    :param files: the state of each file that is known: it changes whenever the file is written.
    :param changed: those to be acted on, sorted.
    """

    schema: int = _SCHEMA
    number: int
    place: tuple[str, str]
    files: dict[str, str]
    changed: tuple[str, ...] = ()
    made: float


def start(root: Store, identity: str, watch: Watch, datastore: Store) -> None:
    """Begin to watch: what is there already is no news.

    :param root: the workspace's store.
    :raises MlPipelinesError: where the datastore can't be listed.
    """
    last = _last(root, identity)
    files = {info.path: _state(info) for info in list_files(datastore, watch.path)}
    _create(root, identity, last, watch, files, ())


def look(root: Store, identity: str, watch: Watch, datastore: Store, *, keep: bool) -> Batch | None:
    """Return the batch that is to be acted on, None where nothing is new.

    :param keep: whether what is new is made a batch; else it is only told, as the batch that it would be.
    """
    last = _last(root, identity)
    while True:
        place = (watch.datastore, watch.path)
        if last is None or last.place != place:
            start(root, identity, watch, datastore)
            return None
        if last.changed and root.info(_done_path(identity, last.number)) is None:
            return last
        found = {info.path: info for info in list_files(datastore, watch.path)}
        changed = sorted(path for path, info in found.items() if _is_news(info, last, datastore))
        if watch.run_per == "file":
            changed = changed[:MOST]
        files = {path: state for path, state in last.files.items() if path in found}
        files |= {path: _state(found[path]) for path in changed}
        if files == last.files:
            return None
        if changed and not keep:
            return _next(last, watch, files, changed)
        made = _create(root, identity, last, watch, files, changed)
        if made is not None:
            return made if changed else None
        last = _last(root, identity)  # somebody else has looked at the same moment


def finish(root: Store, identity: str, number: int) -> None:
    """Say that a batch was acted on; what is not needed any more goes."""
    root.put(_done_path(identity, number), b"{}\n")
    for info in list(root.walk(f"{FOLDER}/{identity}")):
        stem = info.path.rpartition("/")[2].removesuffix(".json").removesuffix(".done")
        if stem.isdecimal() and int(stem) < number:
            root.delete(info.path)


def list_files(store: Store, path: str) -> Iterator[ObjectInfo]:
    """Yield the files of a folder with all below it, the file of that very name, or what a glob matches."""
    wanted = check_path(path.lstrip("/"))
    info = store.info(wanted) if wanted else None
    if info is not None:
        yield info
    elif is_glob(wanted):
        matches = glob_matcher(wanted)
        yield from (info for info in store.walk(split_glob(wanted)[0]) if matches(info.path))
    else:
        yield from store.walk(wanted)


def _is_news(info: ObjectInfo, last: Batch, datastore: Store) -> bool:
    """Return whether a file was written since; on a file system not before its writer has paused for a moment."""
    if last.files.get(info.path) == _state(info):
        return False
    return datastore.local_path("") is None or info.modified <= time.time() - _SETTLED


def _state(info: ObjectInfo) -> str:
    return f"{info.version} {info.modified!r}"


def _next(last: Batch | None, watch: Watch, files: dict[str, str], changed: Sequence[str]) -> Batch:
    return Batch(
        number=last.number + 1 if last else 1,
        place=(watch.datastore, watch.path),
        files=files,
        changed=tuple(changed),
        made=time.time(),
    )


def _create(
    root: Store,
    identity: str,
    last: Batch | None,
    watch: Watch,
    files: dict[str, str],
    changed: Sequence[str],
) -> Batch | None:
    """Keep the next batch; None where there is one by now."""
    batch = _next(last, watch, files, changed)
    return batch if root.create(_path(identity, batch.number), write_document(batch)) else None


def _last(root: Store, identity: str) -> Batch | None:
    """Return the last batch, None before there is one."""
    while True:
        number = max((numbered(info.path) for info in root.walk(f"{FOLDER}/{identity}")), default=0)
        if not number:
            return None
        path = _path(identity, number)
        try:
            data = root.get(path)
        except NotFoundError:  # done and removed just now, so there is a later one
            continue
        return read_document(data, Batch, what=f"{root.url}/{path}", schema=_SCHEMA)


def _path(identity: str, number: int) -> str:
    return f"{FOLDER}/{identity}/{number}.json"


def _done_path(identity: str, number: int) -> str:
    return f"{FOLDER}/{identity}/{number}.done.json"
