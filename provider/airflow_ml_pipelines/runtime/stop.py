"""Knows whether a job is to end early, and ends the work that is at hand."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["LOOK_SECONDS", "Stop", "StoppedError"]

LOOK_SECONDS = 0.2
"""How often the caller is asked at most."""


class StoppedError(Exception):
    """The job is to end. Its text is the reason."""


class Stop:
    """Asks the caller, several times a second and no more often, whether the job is to end.

    :param canceled: returns the reason, None to go on.
    """

    def __init__(self, canceled: Callable[[], str | None]) -> None:
        self._canceled = canceled
        self._next = 0.0
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Why the job is to end, None where it is not."""
        if self._reason is None and time.monotonic() >= self._next:
            self._reason = self._canceled()
            self._next = time.monotonic() + LOOK_SECONDS
        return self._reason

    def check(self) -> None:
        """Go on, or not. :raises StoppedError: where the job is to end."""
        if (reason := self.reason) is not None:
            raise StoppedError(reason)
