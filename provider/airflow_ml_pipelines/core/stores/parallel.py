"""Does the same to many things of a store: several at once where each is a request to a server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["each"]

_THREADS = 16

_T = TypeVar("_T")
_R = TypeVar("_R")


def each(store: Store, work: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
    """Yield what a function makes of each item, in order; items are taken only as fast as results are.

    :param store: one of this machine is asked by this thread alone: several would wait for each other.
    """
    if store.local_path("") is not None:
        yield from map(work, items)
        return
    ahead: deque[Future[_R]] = deque()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="each") as pool:
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) >= 2 * _THREADS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
