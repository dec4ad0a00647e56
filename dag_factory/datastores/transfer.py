"""Copies files between this machine and stores, many at once, and shows how far it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DataError, StoreError, explain_os_error
from airflow_ml_pipelines.core.progress import advance, measured

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["download_objects", "upload_files"]

_AT_ONCE = 16
_FEW = 8


def upload_files(
    store: Store, pairs: Sequence[tuple[Path, str]], label: str, *, overwrite: bool, show_progress: bool
) -> int:
    """Upload files to paths in a store; return how many were.

    :param label: what the store is called.
    :param overwrite: whether to replace what is there; it is left as it is otherwise.
    :raises StoreError: where an object can't be written.
    :raises DataError: where a local file can't be read.
    """
    there: set[str] = set()
    if not overwrite:
        there = _there(store, [path for _, path in pairs])
    todo = [(source, path) for source, path in pairs if path not in there]

    def upload(pair: tuple[Path, str]) -> int:
        source, path = pair
        try:
            store.upload(source, path)
            return source.stat().st_size
        except StoreError:
            raise
        except OSError as error:
            raise DataError(f"{source} can't be read: {explain_os_error(error, place=False)}") from error

    with (
        _shown(show_progress),
        measured(f"uploading to {label}", lambda: sum(p.stat().st_size for p, _ in todo)),
    ):
        for size in _each(upload, todo, local=_is_local(store)):
            advance(size)
    if show_progress:
        _say(f"uploaded {_files(todo)} to {label}" + _skipped(there, "are there already"))
    return len(todo)


def _there(store: Store, paths: Sequence[str]) -> set[str]:
    """Return which of some paths have an object: by one listing, where that asks less often than one look at each."""
    if _is_local(store) or len(paths) < _FEW:
        return {path for path in paths if store.info(path) is not None}
    top = os.path.commonpath([path.rpartition("/")[0] for path in paths])
    return {info.path for info in store.walk(top)} & set(paths)


def download_objects(
    items: Sequence[tuple[Store, str, Path]], label: str, *, overwrite: bool, show_progress: bool
) -> int:
    """Download objects of stores to local files; return how many were.

    :raises StoreError: where one can't be read.
    :raises DataError: where a local file can't be written; what was there is as it was.
    """
    todo = [item for item in items if overwrite or not item[2].exists()]

    def fetch(item: tuple[Store, str, Path]) -> None:
        store, path, target = item
        aside = target.with_name(f".~{target.name}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            store.download(path, aside)
            aside.replace(target)
        except StoreError:
            raise
        except OSError as error:
            raise DataError(f"{target} can't be written: {explain_os_error(error, place=False)}") from error
        finally:
            with suppress(OSError):
                aside.unlink()

    local = all(_is_local(store) for store, _, _ in todo)
    with _shown(show_progress), measured(f"downloading from {label}", len(todo), "files"):
        for _ in _each(fetch, todo, local=local):
            advance(1, "files")
    if show_progress:
        _say(
            f"downloaded {_files(todo)} from {label}"
            + _skipped(range(len(items) - len(todo)), "are there already")
        )
    return len(todo)


def _each(work: Callable[[Any], Any], items: Sequence[Any], *, local: bool) -> Iterator[Any]:
    """Yield what the work on each item gives: one after the other for local copies, which threads only slow down."""
    if local or len(items) < 2:
        yield from map(work, items)
    else:
        with ThreadPoolExecutor(min(_AT_ONCE, len(items))) as pool:
            yield from pool.map(work, items)


def _shown(show: bool) -> AbstractContextManager[object]:
    from dag_factory.terminal.meters import Meters

    return Meters(sys.stderr) if show else nullcontext()


def _is_local(store: Store) -> bool:
    return store.local_path("") is not None


def _files(items: Sequence[object]) -> str:
    return f"{len(items)} file{'' if len(items) == 1 else 's'}"


def _skipped(items: Any, why: str) -> str:
    return f"; {len(items)} {why}" if items else ""


def _say(text: str) -> None:
    print(text)  # noqa: T201
