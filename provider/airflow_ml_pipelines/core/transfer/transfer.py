"""Copies files from one place to another, so that all of them are there, or it is said that they are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.files.manifest import Entry as ManifestEntry
from airflow_ml_pipelines.core.files.manifest import Manifest
from airflow_ml_pipelines.core.progress import measured
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.obstore_store import ObstoreStore
from airflow_ml_pipelines.core.stores.parallel import each
from airflow_ml_pipelines.core.stores.store import ObjectInfo, Store
from airflow_ml_pipelines.core.transfer.copies import Copied, Copier, Copy
from airflow_ml_pipelines.core.transfer.journal import Entry, Journal
from airflow_ml_pipelines.core.transfer.local import LocalCopier
from airflow_ml_pipelines.core.transfer.plan import Place, TransferPlan, plan_transfer, refuse_extra
from airflow_ml_pipelines.core.transfer.services import service_copier
from airflow_ml_pipelines.core.transfer.streams import StreamCopier
from airflow_ml_pipelines.core.transfer.threads import ThreadCopier

__all__ = ["Transferred", "copy_files", "journal_entry", "transfer_files"]

_SHOWN = 5


@dataclass(frozen=True)
class Transferred:
    """What a transfer did.

    :param manifest: of all files that are at the destination now.
    :param copied: how many were copied; the others were there.
    :param size: bytes of those.
    :param removed: how many were removed whose source is gone.
    """

    manifest: Manifest
    copied: int
    size: int
    removed: int


def transfer_files(
    copies: Sequence[Copy],
    place: Place,
    journal: Journal,
    mark: str,
    *,
    delete_extra: bool,
    check: Callable[[], None],
    log: Callable[[str], None],
) -> Transferred:
    """Bring files to a place, and check that they are there and no others. What is there already is left as it is.

    :param mark: tells what this transfer has not completed from what others write; nobody else writes with it.
    :param check: called several times a second; what it raises ends the work.
    :raises MlPipelinesError: naming the file that could not be copied. What was copied is kept, and known to the next
        transfer to the same place.
    """
    plan = plan_transfer(copies, place, journal.read(), mark)
    refuse_extra(plan, delete_extra=delete_extra)
    removed = (*plan.obsolete, *plan.extra)
    log(_story(plan, len(removed)))
    for _ in each(place.store, place.store.delete, (*plan.leftovers, *removed)):
        check()
    done = {item.copy.name: item for item in plan.done}

    def on_copied(item: Copied) -> None:
        done[item.copy.name] = item
        journal.add(item.copy.name, journal_entry(item))

    try:
        with measured(f"copying to {place.label}", plan.size):
            copy_files(plan, mark, on_copied, check)
    finally:
        journal.flush()
    found = _check(place, done)
    entries = {name: journal_entry(item, found[item.copy.target].version) for name, item in done.items()}
    journal.replace(entries)
    manifest = Manifest.of(
        (
            ManifestEntry(name, entry.size, entry.digest, version=entry.version)
            for name, entry in entries.items()
        ),
        single=place.single,
    )
    return Transferred(manifest, len(plan.todo), plan.size, len(removed))


def _story(plan: TransferPlan, removed: int) -> str:
    parts = [
        f"{len(plan.todo)} of {len(plan.todo) + len(plan.done)} files are to be copied to {plan.place.label}"
    ]
    if plan.done:
        parts.append(f"{len(plan.done)} are there")
    if plan.leftovers:
        parts.append(f"{len(plan.leftovers)} half-written ones of a killed transfer are removed")
    if removed:
        parts.append(f"{removed} that are not in the source are removed")
    return "; ".join(parts)


def copy_files(
    plan: TransferPlan, mark: str, on_copied: Callable[[Copied], None], check: Callable[[], None]
) -> None:
    groups: dict[int, list[Copy]] = {}
    for copy in plan.todo:
        groups.setdefault(id(copy.store), []).append(copy)
    target = plan.place.store
    for copies in groups.values():
        source, left = copies[0].store, copies
        service = service_copier(source, target)
        if service is not None:
            left = [copy for copy in copies if copy.info.size > service.largest]
            service.copy([copy for copy in copies if copy.info.size <= service.largest], on_copied, check)
        _copier(source, target, mark).copy(left, on_copied, check)


def _copier(source: Store, target: Store, mark: str) -> Copier:
    """Return what copies from one store to another through this machine the fastest."""
    if isinstance(source, LocalStore) and isinstance(target, LocalStore):
        return LocalCopier(target, mark)
    if isinstance(source, LocalStore | ObstoreStore) and isinstance(target, LocalStore | ObstoreStore):
        return StreamCopier(target, mark)
    return ThreadCopier(target)


def journal_entry(item: Copied, version: str | None = None) -> Entry:
    return Entry(item.copy.info.version, item.copy.info.size, item.digest, version or item.version)


def _check(place: Place, done: dict[str, Copied]) -> dict[str, ObjectInfo]:
    """Return what lies at the destination, after all is there, of the right size, and nothing else.

    :raises DataError: where that is not so.
    """
    if place.single:
        info = place.store.info(place.path)
        found = {} if info is None else {place.path: info}
    else:
        found = {info.path: info for info in place.store.walk(place.path)}
    wanted = {item.copy.target: item for item in done.values()}
    wrong = [f"{path} is not there" for path in wanted.keys() - found.keys()]
    wrong += [f"{path} is none of its files" for path in found.keys() - wanted.keys()]
    for path in wanted.keys() & found.keys():
        item = wanted[path]
        if found[path].size != item.copy.info.size:
            wrong.append(f"{path} has {found[path].size} bytes instead of {item.copy.info.size}")
        elif item.version and found[path].version != item.version and not item.digest.startswith("md5:"):
            wrong.append(f"{path} was written by another")
    if wrong:
        shown = ", ".join(sorted(wrong)[:_SHOWN]) + (
            f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        )
        raise DataError(
            f"{place.label} is not what was copied: {shown}. Something else writes there: run the transfer again when "
            "nothing does"
        )
    return found
