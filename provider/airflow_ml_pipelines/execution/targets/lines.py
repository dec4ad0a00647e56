"""Puts the lines together that come in pieces."""

from __future__ import annotations

from collections import deque

from airflow_ml_pipelines.execution.targets.port import OnLine
from airflow_ml_pipelines.runtime.launcher import STDERR_MARK

__all__ = ["Lines", "MergedLines"]

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


class MergedLines:
    """Tells the lines of a log in which the launcher has marked those of the standard error.

    What is written before the launcher is there has no marks.
    """

    def __init__(self, on_line: OnLine) -> None:
        self._lines = Lines(self._sort)
        self._on_line = on_line
        self._last: deque[str] = deque(maxlen=_TAIL)
        self._errors: deque[str] = deque(maxlen=_TAIL)

    @property
    def tail(self) -> deque[str]:
        """The last lines of the standard error; of all where there are none of it."""
        return self._errors or self._last

    def add(self, data: bytes) -> None:
        """Take a piece."""
        self._lines.add("stdout", data)

    def close(self) -> None:
        """Tell what was not ended by a line break."""
        self._lines.close()

    def _sort(self, _stream: str, line: str) -> None:
        if not line.startswith(STDERR_MARK):
            self._last.append(line)
            self._on_line("stdout", line)
            return
        text = line.removeprefix(STDERR_MARK)
        self._errors.append(text)
        self._on_line("stderr", text)
