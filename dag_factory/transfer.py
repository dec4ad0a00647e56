"""Copies files between this machine and stores, many at once, and shows how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.store import Store

__all__ = ["download_objects", "upload_files"]

_AT_ONCE = 16
_QUIET = 0.5


def upload_files(
    store: Store, pairs: Sequence[tuple[Path, str]], label: str, *, overwrite: bool, show_progress: bool
) -> int:
    """Upload files to paths in a store; return how many were.

    :param label: what the store is called.
    :param overwrite: whether to replace what is there; it is left as it is otherwise.
    """
    there: set[str] = set()
    if not overwrite:
        there = {path for _, path in pairs if store.info(path) is not None}
    todo = [(source, path) for source, path in pairs if path not in there]
    _each(
        lambda pair: store.upload(*pair), todo, _is_local(store), f"uploading to {label}", show=show_progress
    )
    if show_progress:
        _say(f"uploaded {_files(todo)} to {label}" + _skipped(there, "are there already"))
    return len(todo)


def download_objects(
    items: Sequence[tuple[Store, str, Path]], label: str, *, overwrite: bool, show_progress: bool
) -> int:
    """Download objects of stores to local files; return how many were."""
    todo = [item for item in items if overwrite or not item[2].exists()]

    def fetch(item: tuple[Store, str, Path]) -> None:
        store, path, target = item
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".~{target.name}")
        try:
            store.download(path, aside)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)

    local = all(_is_local(store) for store, _, _ in todo)
    _each(fetch, todo, local, f"downloading from {label}", show=show_progress)
    if show_progress:
        _say(
            f"downloaded {_files(todo)} from {label}"
            + _skipped(range(len(items) - len(todo)), "are there already")
        )
    return len(todo)


def _each(
    work: Callable[[Any], object], items: Sequence[Any], local: bool, label: str, *, show: bool
) -> None:
    """Do the work on each item: one after the other for local copies, which threads only slow down."""
    show = show and sys.stderr.isatty()
    begin = time.monotonic()

    def count(results: Iterable[object]) -> None:
        for done, _ in enumerate(results, 1):
            if show and time.monotonic() - begin > _QUIET:
                sys.stderr.write(f"\r{label}: {done} of {len(items)} ")
                sys.stderr.flush()

    if local or len(items) < 2:
        count(map(work, items))
    else:
        with ThreadPoolExecutor(min(_AT_ONCE, len(items))) as pool:
            count(pool.map(work, items))
    if show and time.monotonic() - begin > _QUIET:
        sys.stderr.write("\r\033[K")


def _is_local(store: Store) -> bool:
    return store.local_path("") is not None


def _files(items: Sequence[object]) -> str:
    return f"{len(items)} file{'' if len(items) == 1 else 's'}"


def _skipped(items: Any, why: str) -> str:
    return f"; {len(items)} {why}" if items else ""


def _say(text: str) -> None:
    print(text)  # noqa: T201
