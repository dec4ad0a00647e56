"""Commands in processes of their own that end, or whose file system fails, at the n-th change to it.

An audit hook sees every change before it is made, whoever makes it: files opened for writing, renamed, linked and
removed, folders made and removed. What the hook raises is what the change fails with.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from airflow_ml_pipelines.core.errors import MlPipelinesError

Fault = Literal["none", "killed", "full", "full for a moment", "read-only"]

_FORKS = multiprocessing.get_context("forkserver")
_STARTING = threading.Lock()
_FORKS.set_forkserver_preload(
    [
        "airflow_ml_pipelines.execution.runner",
        "airflow_ml_pipelines.runtime.launcher",
        "airflow_ml_pipelines.workspace_file",
        "dag_factory",
        "dag_factory.cli",
        "dag_factory.definitions.definition",
        "dag_factory.terminal.narrate",
    ]
)

_REMOVING = frozenset({"os.remove", "os.rmdir"})
_CHANGES = frozenset(
    {"os.rename", "os.link", "os.symlink", "os.mkdir", "os.utime", "os.truncate", *_REMOVING}
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    :param code: its exit code, negative for a signal.
    :param text: what it wrote to its output, and ``error`` to its standard error.
    :param changes: how many changes it made, or tried to make.
    """

    code: int
    text: str
    error: str
    changes: int


class Faults:
    """Lets changes below some folders fail.

    :param at: the change at which it begins, from 1 on.
    """

    def __init__(self, folders: Sequence[Path], fault: Fault, at: int) -> None:
        self._tops = tuple(os.path.join(os.path.realpath(folder), "") for folder in folders)
        self._fault = fault
        self._at = at
        self.count = 0

    def install(self) -> None:
        sys.addaudithook(self._look)

    def _look(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITING:
                return
        elif event in _CHANGES:
            path = arguments[1] if event in ("os.rename", "os.link", "os.symlink") else arguments[0]
        else:
            return
        if isinstance(path, str | bytes | os.PathLike) and os.path.abspath(os.fsdecode(path)).startswith(
            self._tops
        ):
            self.count += 1
            self._fail(event, os.fsdecode(path))

    def _fail(self, event: str, path: str) -> None:
        if self._fault == "killed" and self.count == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._fault == "read-only" and self.count >= self._at:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        full = self.count == self._at if self._fault == "full for a moment" else self.count >= self._at
        if self._fault.startswith("full") and full and event not in _REMOVING:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def run_forked(
    work: Callable[[], object],
    log: Path,
    folders: Sequence[Path],
    fault: Fault = "none",
    at: int = 0,
    variables: Mapping[str, str] | None = None,
) -> Ended:
    """Do something to its end in a process of its own; several threads may do so at once.

    :param work: returns the exit code, or nothing.
    :param log: a folder for what it writes.
    :param folders: where it meets the fault.
    :param variables: of its environment, besides those of this process.
    """
    log.mkdir(exist_ok=True)
    variables = {**os.environ, **(variables or {})}
    process = _FORKS.Process(target=_run, args=(work, log, variables, list(folders), fault, at))
    with _STARTING:
        process.start()
        # whoever starts the next one must not ask for the exit code of this one, which can be read but once
        multiprocessing.process._children.discard(process)
    process.join(120)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{work} at {fault} {at}: {(log / 'error').read_text()}")
    changes = (log / "changes").read_text() if (log / "changes").exists() else ""
    return Ended(
        process.exitcode, (log / "text").read_text(), (log / "error").read_text(), int(changes or at)
    )


def _run(
    work: Callable[[], object],
    log: Path,
    variables: Mapping[str, str],
    folders: list[Path],
    fault: Fault,
    at: int,
) -> None:
    os.environ.clear()
    os.environ.update(variables)
    tempfile.tempdir = None  # as these variables have it
    for number, name in ((1, "text"), (2, "error")):
        descriptor = os.open(log / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    (log / "changes").unlink(missing_ok=True)
    faults = Faults(folders, fault, at)
    faults.install()
    code: object = 1
    try:
        code = work()
    except MlPipelinesError as error:
        sys.stderr.write(f"error: {error}\n")
    finally:
        (log / "changes").write_text(str(faults.count))
    sys.exit(int(code or 0))  # type: ignore[call-overload]
