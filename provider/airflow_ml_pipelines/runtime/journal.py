"""Keeps the events that a script logs: in a file of the attempt, or in memory where there is no attempt."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from airflow_ml_pipelines.core.metrics import encode_event, read_events

__all__ = ["FileJournal", "Journal", "MemoryJournal"]


class Journal:
    """Keeps nothing."""

    def add(self, **event: Any) -> None:
        """Keep an event."""

    def events(self) -> list[dict[str, Any]]:
        """Return all events so far, of every process."""
        return []


class FileJournal(Journal):
    """A file with an event a line; processes may add to it at the same time."""

    def __init__(self, path: str) -> None:
        self.path = path

    def add(self, **event: Any) -> None:
        # opened each time: a script may fork, close all its descriptors, or log ten times an hour
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(
                descriptor, encode_event({"at": time.time(), **event})
            )  # one write, so that lines stay whole
        finally:
            os.close(descriptor)

    def events(self) -> list[dict[str, Any]]:
        try:
            with open(self.path, "rb") as file:
                return read_events(file.read())
        except FileNotFoundError:
            return []


class MemoryJournal(Journal):
    """Remembers events and prints the metrics among them, for a script that runs without any orchestrator."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def add(self, **event: Any) -> None:
        self._lines.append(encode_event({"at": time.time(), **event}))
        if event["kind"] in ("metric", "tag", "property"):
            value = event.get("value")
            text = value if isinstance(value, str) else json.dumps(value)
            print(f"{event['kind']} {event['name']} = {text}", file=sys.stderr)  # noqa: T201 - the terminal is the log

    def events(self) -> list[dict[str, Any]]:
        return read_events(b"".join(self._lines))
