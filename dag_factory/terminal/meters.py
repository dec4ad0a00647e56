"""Shows on a terminal how far long work is, below what is printed, and takes it away again."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self, TextIO

from airflow_ml_pipelines.core.progress import Meter, progress_text, told_to
from dag_factory.terminal.printing import shows_colours

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Meters"]

_SLOW = 1.0
"""Seconds after which work is long."""


class Meters:
    """The long work that goes on, while this is entered: a line each, with a bar, a rate and the time that is left.

    Nothing is shown where no terminal is, and for work that is soon done; rich is imported when something is shown.

    :param stream: where to show it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._active: dict[int, Meter] = {}
        self._tasks: dict[int, TaskID] = {}
        self._shown: Progress | None = None
        self._timer: threading.Timer | None = None
        self._told = ExitStack()

    def __enter__(self) -> Self:
        if self._stream.isatty():
            self._told.enter_context(told_to(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._told.close()
        with self._lock:
            self._active.clear()
            self.hide()

    def on_progress(self, meter: Meter) -> None:
        """Take work that begins, or of which more is done."""
        with self._lock:
            self._active[id(meter)] = meter
            if self._shown is not None:
                self._show_meter(self._shown, meter)
            elif self._timer is None:
                self._wait()

    def on_end(self, meter: Meter) -> None:
        """Take work that is over."""
        with self._lock:
            self._active.pop(id(meter), None)
            task = self._tasks.pop(id(meter), None)
            if self._shown is not None and task is not None:
                self._shown.remove_task(task)
            if not self._active:
                self.hide()

    def hide(self) -> None:
        """Take the lines away, so that something can be printed; they come back if the work still goes on."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._shown is not None:
                self._shown.stop()
                self._shown = None
                self._tasks.clear()
            if self._active:
                self._wait()

    def _wait(self) -> None:
        self._timer = threading.Timer(_SLOW, self._show)
        self._timer.daemon = True
        self._timer.start()

    def _show(self) -> None:
        with self._lock:
            self._timer = None
            if self._active and self._shown is None:
                self._shown = _make_progress(self._stream)
                for meter in self._active.values():
                    self._show_meter(self._shown, meter)
                self._shown.start()

    def _show_meter(self, shown: Progress, meter: Meter) -> None:
        task = self._tasks.get(id(meter))
        if task is None:
            task = self._tasks[id(meter)] = shown.add_task("", total=meter.total, meter=meter)
        shown.update(task, completed=meter.done)


def _make_progress(stream: TextIO) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task
    from rich.table import Column
    from rich.text import Text

    class Amount(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(progress_text(task.fields["meter"]), overflow="ellipsis", no_wrap=True)

    console = Console(
        file=stream, force_terminal=True, no_color=not shows_colours(stream), force_jupyter=False
    )
    return Progress(
        BarColumn(bar_width=20),
        Amount(table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        expand=True,
    )
