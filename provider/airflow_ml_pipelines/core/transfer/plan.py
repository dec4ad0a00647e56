"""Plans a transfer: which files go where, which are there already, and which should not be there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.files.statcache import StatCache
from airflow_ml_pipelines.core.keys.fingerprint import recall_digests
from airflow_ml_pipelines.core.stores.locations import Found
from airflow_ml_pipelines.core.stores.meta import is_strong
from airflow_ml_pipelines.core.stores.obstore_store import ObstoreStore
from airflow_ml_pipelines.core.stores.store import ObjectInfo, Store, is_unfinished, join
from airflow_ml_pipelines.core.transfer.copies import Copied, Copy
from airflow_ml_pipelines.core.transfer.journal import Entry
from airflow_ml_pipelines.core.transfer.names import refuse_names
from airflow_ml_pipelines.core.transfer.pieces import is_md5
from airflow_ml_pipelines.core.transfer.services import identity, service_copier

__all__ = [
    "FileType",
    "Place",
    "TransferPlan",
    "choose_place",
    "list_copies",
    "plan_transfer",
    "refuse_extra",
    "refuse_overlap",
]

FileType = Literal["file", "directory"]

_SHOWN = 5


@dataclass(frozen=True)
class Place:
    """Where files are copied to.

    :param path: of the one file, else of the folder.
    :param label: how errors call it.
    """

    store: Store
    path: str
    single: bool
    label: str


@dataclass(frozen=True)
class TransferPlan:
    """What a transfer does.

    :param todo: what is to be copied.
    :param done: what is there already, and is what it should be.
    :param extra: the paths of other files in the destination's folder.
    :param obsolete: those of them that an earlier transfer has brought, and whose source is gone.
    :param leftovers: the paths of files that a killed transfer did not complete.
    """

    place: Place
    todo: tuple[Copy, ...]
    done: tuple[Copied, ...]
    extra: tuple[str, ...] = ()
    obsolete: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes to copy."""
        return sum(copy.info.size for copy in self.todo)


def choose_place(
    source: Sequence[Found],
    store: Store,
    path: str,
    label: str,
    *,
    source_type: FileType | None,
    target_type: FileType | None,
) -> Place:
    """Return where a source goes.

    :param source_type: what the source has to be; None: whatever it is.
    :param target_type: None: what is at the path already, else what the source is.
    :raises DataError: where source and destination don't fit.
    """
    single = len(source) == 1 and source[0].kind == "file"
    if source_type == "file" and not single:
        files = sum(len(found.objects) for found in source)
        raise DataError(
            f"{source[0].where}: expected one file, as source_reference_type says, found "
            + (f"a folder with {files} files" if len(source) == 1 else f"{len(source)} places")
        )
    if source_type == "directory" and len(source) == 1 and single:
        raise DataError(f"{source[0].where}: expected a folder, as source_reference_type says, found a file")
    there = None if not path else _type_of(store, path)
    if target_type is None:
        target_type = there or ("file" if single and path else "directory")
    if target_type == "file" and not single:
        raise DataError(
            f"{label} is {'a file' if there == 'file' else 'to be a file, as destination_reference_type says'}, and "
            f"the source {source[0].where} is a folder: give the path of a folder"
        )
    if there is not None and there != target_type:
        nouns = {"file": "a file", "directory": "a folder"}
        raise DataError(f"{label}: expected {nouns[target_type]} or nothing there, found {nouns[there]}")
    if target_type == "file":
        return Place(store, path, True, label)
    if single:
        return Place(store, join(path, source[0].path.rpartition("/")[2]), True, label)
    return Place(store, path, False, label)


def _type_of(store: Store, path: str) -> FileType | None:
    if store.info(path) is not None:
        return "file"
    return "directory" if any(True for _ in store.walk(path)) else None


def list_copies(source: Sequence[Found], place: Place, cache: StatCache) -> list[Copy]:
    """Return what is to lie at a place. :raises DataError: where two files have one name, or a place can't have one."""
    copies: dict[str, Copy] = {}
    for found in source:
        digests = recall_digests(found, cache)
        for info in found.objects:
            name = found.relative(info.path)
            digest = digests.get(name, "")
            if place.single:
                name = place.path.rpartition("/")[2]
            other = copies.get(name)
            if other is not None:
                raise DataError(
                    f"two files of the source are called {name!r}, {other.info.path!r} in {other.store.url} and "
                    f"{info.path!r} in {found.store.url}: copy them to different folders, in two steps"
                )
            target = place.path if place.single else join(place.path, name)
            copies[name] = Copy(found.store, name, info, target, digest)
    refuse_names(copies, place.store, place.label)
    return list(copies.values())


def refuse_overlap(source: Sequence[Found], place: Place) -> None:
    """Refuse a source that the destination lies in, or the other way round. :raises DataError: naming both."""
    there = _whole_path(place.store, place.path)
    for found in source:
        here = _whole_path(found.store, found.base if found.kind == "glob" else found.path)
        if here.startswith(there) or there.startswith(here):
            raise DataError(
                f"{place.label} can't be the destination of {found.where}: one is, or lies in, the other"
            )


def _whole_path(store: Store, path: str) -> str:
    """Return what a place is called that may have several names: by links, or by the schemes of its URL."""
    local = store.local_path(path)
    if local is not None:
        return os.path.join(os.path.realpath(local), "")
    if isinstance(store, ObstoreStore):
        config = store.config
        server = [config.kind, *(str(config.settings.get(name)) for name in ("endpoint", "account_name"))]
        return "/".join([*server, config.bucket, join(config.prefix, path)]).rstrip("/") + "/"
    return join(store.url, path) + "/"


def plan_transfer(
    copies: Sequence[Copy], place: Place, journal: Mapping[str, Entry], mark: str
) -> TransferPlan:
    """Return what is to be done so that copies lie at a place.

    :param journal: what earlier transfers brought there.
    :param mark: what the names of files that are not complete begin with, after that of all such.
    """
    there, leftovers = _look(place, mark)
    server_side = {id(copy.store): copy.store for copy in copies}
    services = {key: service_copier(store, place.store) is not None for key, store in server_side.items()}
    todo: list[Copy] = []
    done: list[Copied] = []
    for copy in copies:
        known = _known(copy, there.pop(copy.target, None), journal.get(copy.name), services[id(copy.store)])
        if known is None:
            todo.append(copy)
        else:
            done.append(known)
    skip = len(place.path) + 1 if place.path else 0
    obsolete = [path for path in there if path[skip:] in journal]
    extra = [path for path in there if path[skip:] not in journal]
    return TransferPlan(place, tuple(todo), tuple(done), tuple(extra), tuple(obsolete), leftovers)


def _look(place: Place, mark: str) -> tuple[dict[str, ObjectInfo], tuple[str, ...]]:
    """Return what is at a place, and what a killed transfer did not complete there."""
    store = place.store
    if place.single:
        info = store.info(place.path)
        return {} if info is None else {place.path: info}, _leftovers_beside(place, mark)
    there, leftovers = {}, []
    for info in store.walk(place.path, unfinished=True):
        if not is_unfinished(info.path):
            there[info.path] = info
        elif mark in info.path.rpartition("/")[2]:
            leftovers.append(info.path)
    return there, tuple(leftovers)


def _leftovers_beside(place: Place, mark: str) -> tuple[str, ...]:
    folder = place.path.rpartition("/")[0]
    local = place.store.local_path(folder)
    if local is None or not local.is_dir():  # other stores show no object before it is whole
        return ()
    with os.scandir(
        local
    ) as entries:  # the folder may be a large one, which is none of the transfer's business
        names = [entry.name for entry in entries if is_unfinished(entry.name) and mark in entry.name]
    return tuple(join(folder, name) for name in names)


def _known(copy: Copy, there: ObjectInfo | None, entry: Entry | None, is_service: bool) -> Copied | None:
    """Return a file that needs not be copied, None where it does."""
    if there is None or there.size != copy.info.size:
        return None
    if (
        entry is not None
        and is_strong(copy.info.version)
        and (entry.source, entry.size, entry.version) == (copy.info.version, there.size, there.version)
    ):
        return Copied(copy, entry.digest, there.version)
    if is_service and is_md5(there.version) and there.version == copy.info.version:
        return Copied(copy, identity(copy), there.version)
    return None


def refuse_extra(plan: TransferPlan, *, delete_extra: bool) -> None:
    """Refuse files in the destination's folder that no transfer brought there.

    :param delete_extra: whether they are to be removed: then only those that lie elsewhere, where a link leads to.
    :raises DataError: naming some.
    """
    extra = [path for path in plan.extra if not delete_extra or _is_beyond_link(plan.place, path)]
    if not extra:
        return
    shown = ", ".join(sorted(extra)[:_SHOWN])
    more = f" and {len(extra) - _SHOWN} more" if len(extra) > _SHOWN else ""
    if delete_extra:
        raise DataError(
            f"{plan.place.label} has files that are not in the source, and that lie where a link leads to: {shown}{more}. "
            "They are not removed: remove the link"
        )
    raise DataError(
        f"{plan.place.label} has files that are not in the source and that no transfer has brought: {shown}{more}. Take "
        "another folder, remove them, or let the transfer remove them with delete_extra"
    )


def _is_beyond_link(place: Place, path: str) -> bool:
    """Return whether a folder on the way from a place to a file there is a link."""
    folder = path
    while len(folder := folder.rpartition("/")[0]) > len(place.path):
        local = place.store.local_path(folder)
        if local is not None and local.is_symlink():
            return True
    return False
