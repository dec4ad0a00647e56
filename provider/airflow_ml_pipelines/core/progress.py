"""How far long work is, told to whoever wants to know.

What does the work says so with :func:`measured` and :func:`advance`; who shows it listens with :func:`told_to`. Where
nobody listens it costs next to nothing. A thread has the listener of the context that it was started in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, Protocol

from airflow_ml_pipelines.core.amounts import seconds_text, size_text

__all__ = [
    "Listener",
    "Meter",
    "ProgressLog",
    "Unit",
    "advance",
    "measured",
    "progress_text",
    "told_to",
    "unmeasured",
]

Unit = Literal["bytes", "files", "runs", "records", "objects"]

_OFTEN = 0.1
_SELDOM = 10.0


@dataclass
class Meter:
    """A piece of work.

    :param what: what is being done, such as ``reading /data``.
    :param total: how much there is to do; None where that is not known.
    :param done: how much of it is done.
    :param started: by :func:`time.monotonic`.
    """

    what: str
    total: float | None
    unit: Unit
    started: float
    done: float = 0.0
    told: float = 0.0


class Listener(Protocol):
    """Is told of long work, from any thread."""

    def on_progress(self, meter: Meter) -> None:
        """Some of it is done; told when it begins, and then no more than ten times a second."""

    def on_end(self, meter: Meter) -> None:
        """It is over, done or not."""


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_meter: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Let somebody be told of the long work that is done meanwhile."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def measured(
    what: str, total: float | Callable[[], float] | None = None, unit: Unit = "bytes"
) -> Iterator[None]:
    """Do long work, of which :func:`advance` says how much is done.

    :param total: how much there is to do; a function is only called where somebody listens.
    """
    listener = _listener.get()
    if listener is None:
        yield
        return
    now = time.monotonic()
    meter = Meter(what, total() if callable(total) else total, unit, now, told=now)
    token = _meter.set(meter)
    listener.on_progress(meter)
    try:
        yield
    finally:
        _meter.reset(token)
        listener.on_end(meter)


@contextmanager
def unmeasured() -> Iterator[None]:
    """Do a part of the work that does not count as such, like reading again what was written."""
    token = _meter.set(None)
    try:
        yield
    finally:
        _meter.reset(token)


def advance(amount: float, unit: Unit = "bytes") -> None:
    """Say that some of the work is done; of no effect where it is measured in another unit."""
    meter = _meter.get()
    if meter is None or meter.unit != unit:
        return
    meter.done += amount
    now = time.monotonic()
    if now - meter.told >= _OFTEN:
        meter.told = now
        listener = _listener.get()
        if listener is not None:
            listener.on_progress(meter)


def progress_text(meter: Meter) -> str:
    """Return how far work is: ``reading /data: 1.2 GB of 3.4 GB, 120.0 MB/s, 18 s left``."""
    show = size_text if meter.unit == "bytes" else "{:.0f}".format
    unit = "" if meter.unit == "bytes" else f" {meter.unit}"
    if meter.total is None:
        return f"{meter.what}: {show(meter.done)}{unit}" if meter.done else meter.what
    parts = [f"{show(meter.done)} of {show(meter.total)}{unit}"]
    seconds = time.monotonic() - meter.started
    if meter.done and seconds > 0:
        rate = meter.done / seconds
        parts.append(f"{show(rate)}{unit}/s")
        parts.append(f"{seconds_text(max(meter.total - meter.done, 0) / rate)} left")
    return f"{meter.what}: {', '.join(parts)}"


class ProgressLog:
    """Writes a line into a log for work that takes long, every ten seconds."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._last: dict[int, float] = {}

    def on_progress(self, meter: Meter) -> None:
        """Say how far it is, if that was not said just now."""
        last = self._last.setdefault(id(meter), meter.started)
        if meter.told - last >= _SELDOM:
            self._last[id(meter)] = meter.told
            self._log(progress_text(meter))

    def on_end(self, meter: Meter) -> None:
        """Forget it."""
        self._last.pop(id(meter), None)
