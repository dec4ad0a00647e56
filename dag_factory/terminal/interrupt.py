"""Lets work that must not be cut off end by itself at Ctrl-C."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import threading

__all__ = ["INTERRUPTED", "Interrupt"]

INTERRUPTED = 130
"""The exit code of a command that was interrupted."""


class Interrupt:
    """Sets an event at Ctrl-C or a termination signal, while it is entered; a second one ends the process.

    :param text: what to say then.
    """

    def __init__(self, text: str) -> None:
        import threading

        self.event: threading.Event = threading.Event()
        self._text = text
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, *_: object) -> None:
        if self.event.is_set():
            raise KeyboardInterrupt
        self.event.set()
        sys.stderr.write(f"{self._text}\n")
