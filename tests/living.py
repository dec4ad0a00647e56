"""Which processes still live."""

from __future__ import annotations

from collections.abc import Iterable

import psutil


def is_alive(pid: int) -> bool:
    """Return whether a process has not ended; one that only nobody has waited for yet has."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def living(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return those that have not ended."""
    return [process for process in processes if is_alive(process.pid)]
