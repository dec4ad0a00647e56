"""Reads a log on and off: each time from a moment a little before what was read last, and each entry once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

__all__ = ["LogWindow"]

_OVERLAP = 10
_SECOND = 19  # characters of a time stamp up to its seconds: 2026-11-21T17:04:05


class LogWindow:
    """Knows which entries of a log were read, by their time stamps, as far back as they are read again.

    The streams of a container are written by two threads, so that an entry may come a little after a later one.
    """

    def __init__(self) -> None:
        self._newest = ""
        self._kept: Counter[tuple[str, bytes]] = Counter()

    @property
    def since(self) -> float | None:
        """Seconds since the epoch, by time stamps in UTC, from which the log is to be read again; None for all of it."""
        if not self._newest:
            return None
        return datetime.fromisoformat(self._newest).replace(tzinfo=UTC).timestamp() - _OVERLAP

    def new(self, entries: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        """Yield the entries that were not read yet, without their time stamps.

        :param entries: of a stream each: a time stamp, a blank, and what was written.
        """
        before, since = self._kept.copy(), self._since_text()
        for stream, entry in entries:
            stamp, _, text = entry.partition(b" ")
            second = stamp[:_SECOND].decode("ascii", "replace")
            if second < since:
                continue  # read long ago
            if before[stream, entry] > 0:
                before[stream, entry] -= 1
                continue
            self._kept[stream, entry] += 1
            self._newest = max(self._newest, second)
            yield stream, text
        oldest = self._since_text()
        for kept in [item for item in self._kept if item[1][:_SECOND].decode("ascii", "replace") < oldest]:
            del self._kept[kept]

    def _since_text(self) -> str:
        since = self.since
        return "" if since is None else datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S")
