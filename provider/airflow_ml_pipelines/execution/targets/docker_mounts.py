"""Which folders of the engine's machine a container sees."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.runtime.job import Job

__all__ = ["Mount", "job_mounts", "read_mounts"]


class Mount(NamedTuple):
    """A folder (or file) that a container sees."""

    source: str
    target: str
    read_only: bool


def read_mounts(texts: Iterable[str], where: str) -> list[Mount]:
    """Return what ``/source:/target`` and ``/source:/target:ro`` stand for.

    :raises ComputeTargetException: where a text is neither.
    """
    mounts = []
    for text in texts:
        source, _, rest = text.partition(":")
        target, _, mode = rest.partition(":")
        if not (os.path.isabs(source) and os.path.isabs(target)) or mode not in ("", "ro", "rw"):
            raise ComputeTargetException(
                f"{where}: mounts: expected '/source:/target' or '/source:/target:ro', found {text!r}"
            )
        mounts.append(Mount(os.path.normpath(source), os.path.normpath(target), mode == "ro"))
    return mounts


def job_mounts(job: Job) -> list[Mount]:
    """Return the local folders that a job works with, each at its own path.

    The workspace's own are made where they are not there yet.
    """
    written = {job.workspace.root, *job.workspace.datastores.values()}
    written |= {output.store for output in job.outputs.values()}
    read = {location["store"] for item in job.inputs.values() for location in item.locations}
    mounts = []
    for folder in _outermost(_local(written)):
        os.makedirs(folder, exist_ok=True)
        mounts.append(Mount(folder, folder, read_only=False))
    seen = [mount.source for mount in mounts]
    mounts += [
        Mount(folder, folder, read_only=True)
        for folder in _outermost(_local(read))
        if os.path.exists(folder) and not any(_is_in(folder, other) for other in seen)
    ]
    return mounts


def _local(urls: Iterable[str]) -> Iterator[str]:
    for url in urls:
        if url.startswith("file://"):
            path = open_store(url).local_path("")
            if path is not None:
                yield str(path)


def _outermost(folders: Iterable[str]) -> Sequence[str]:
    kept: list[str] = []
    for folder in sorted(set(folders)):
        if not any(_is_in(folder, other) for other in kept):
            kept.append(folder)
    return kept


def _is_in(folder: str, other: str) -> bool:
    return folder == other or folder.startswith(other.rstrip("/") + "/")
