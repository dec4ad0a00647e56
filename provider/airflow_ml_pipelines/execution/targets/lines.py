"""Puts the lines together that come in pieces."""

from __future__ import annotations

from collections import deque

from airflow_ml_pipelines.execution.targets.port import OnLine

__all__ = ["Lines"]

_TAIL = 20


class Lines:
    """Tells the lines of streams that come in pieces.

    :ivar tail: the last lines of the standard error.
    """

    def __init__(self, on_line: OnLine) -> None:
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self._on_line = on_line
        self._rests: dict[str, bytes] = {}

    def add(self, stream: str, data: bytes) -> None:
        """Take a piece."""
        *lines, self._rests[stream] = (self._rests.get(stream, b"") + data).split(b"\n")
        for line in lines:
            self._tell(stream, line)

    def close(self) -> None:
        """Tell what was not ended by a line break."""
        for stream, rest in self._rests.items():
            if rest:
                self._tell(stream, rest)
        self._rests.clear()

    def _tell(self, stream: str, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        if stream == "stderr":
            self.tail.append(text)
        self._on_line(stream, text)
