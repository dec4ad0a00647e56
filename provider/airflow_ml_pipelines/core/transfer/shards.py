"""Divides a transfer among several processes, and copies one's share."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from airflow_ml_pipelines.core.progress import measured
from airflow_ml_pipelines.core.transfer.copies import Copied, Copy
from airflow_ml_pipelines.core.transfer.journal import Journal
from airflow_ml_pipelines.core.transfer.plan import Place, TransferPlan, plan_transfer, refuse_extra
from airflow_ml_pipelines.core.transfer.transfer import copy_files, journal_entry

__all__ = ["copy_share", "divide"]

_EACH = 64 << 10  # bytes that could be copied in the time that an object takes beside its bytes


def divide(copies: Sequence[Copy], shards: int) -> list[list[Copy]]:
    """Return shares of about the same size, the same ones for the same files, whoever divides them."""
    shares: list[list[Copy]] = [[] for _ in range(shards)]
    loads = [(0, shard) for shard in range(shards)]
    for copy in sorted(copies, key=lambda item: (-item.info.size, item.name)):
        load, shard = heapq.heappop(loads)
        shares[shard].append(copy)
        heapq.heappush(loads, (load + copy.info.size + _EACH, shard))
    return shares


def copy_share(
    copies: Sequence[Copy],
    shard: int,
    shards: int,
    place: Place,
    journal: Journal,
    mark: str,
    *,
    delete_extra: bool,
    check: Callable[[], None],
    log: Callable[[str], None],
) -> int:
    """Copy a share of the files and note them in the journal; return how many were copied.

    Nothing is removed and nothing is said to be complete: that is up to the transfer that comes after all shares.

    :param shard: from 0 on.
    """
    whole = plan_transfer(copies, place, journal.read(), mark)
    refuse_extra(whole, delete_extra=delete_extra)
    share = {copy.name for copy in divide(copies, shards)[shard]}
    todo = tuple(copy for copy in whole.todo if copy.name in share)
    log(f"share {shard + 1} of {shards}: {len(todo)} of {len(share)} files are to be copied to {place.label}")

    def on_copied(item: Copied) -> None:
        journal.add(item.copy.name, journal_entry(item))

    plan = TransferPlan(place, todo, ())
    try:
        with measured(f"copying to {place.label}", plan.size):
            copy_files(plan, mark, on_copied, check)
    finally:
        journal.flush()
    return len(todo)
