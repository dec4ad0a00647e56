"""Run a command in a process group of its own and end all that it started when the starter is gone.

``python -m airflow_ml_pipelines.testing.keeper COMMAND…`` runs the command until it ends or until standard input does.
The starter holds the other end of standard input, which is closed whatever becomes of the starter, ``SIGKILL`` included.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import psutil

__all__ = ["main"]

GRACE_SECONDS = 8.0
"""How long the group has between ``SIGTERM`` and ``SIGKILL``."""


def main() -> int:
    """Run the command of the command line and return its exit status, 0 where it was told to end.

    :raises SystemExit: where this process shares a group with others, which would be ended too.
    """
    if os.getpgid(0) != os.getpid():
        raise SystemExit(
            "keeper: expected to be the leader of a process group: start me in a session of my own"
        )
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    for wait in (_wait_for_starter, command.wait):
        threading.Thread(target=_then, args=(wait, ended), daemon=True).start()
    ended.wait()
    status = command.poll()
    _end(_members())
    return 0 if status is None else abs(status)


def _then(wait: object, ended: threading.Event) -> None:
    with suppress(OSError):
        wait()  # type: ignore[operator]
    ended.set()


def _wait_for_starter() -> None:
    while os.read(0, 4096):
        pass


def _members() -> list[psutil.Process]:
    """Return all that is in the group or descends from this process, but for this process."""
    found = {process.pid: process for process in psutil.Process().children(recursive=True)}
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):
            if os.getpgid(pid) == os.getpid():
                found.setdefault(pid, psutil.Process(pid))
    found.pop(os.getpid(), None)
    return list(found.values())


def _end(members: list[psutil.Process]) -> None:
    for process in members:
        with suppress(psutil.Error):
            process.terminate()
    until = time.monotonic() + GRACE_SECONDS
    while any(map(_alive, members)) and time.monotonic() < until:
        time.sleep(0.05)
    for process in {*members, *_members()}:
        with suppress(psutil.Error):
            process.kill()


def _alive(process: psutil.Process) -> bool:
    try:
        # a zombie is at its end; in a container whose first process reaps nothing it is never seen to go
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


if __name__ == "__main__":
    raise SystemExit(main())
