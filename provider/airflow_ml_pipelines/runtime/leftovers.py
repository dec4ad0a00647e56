"""Finds and ends the processes of a program, those that it left behind too."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

__all__ = ["Group"]

_PROC = "/proc"
_KILL_SECONDS = 2.0


class Group:
    """The processes of a program: its process group, and on Linux also those that left the group.

    :param leader: the group's id.
    :param mark: ``NAME=value``, an environment variable that the program was started with and that no other one has.
    """

    def __init__(self, leader: int, mark: bytes) -> None:
        self._leader = leader
        self._mark = mark
        self._started = _started(leader)
        self._gone = False

    def members(self) -> list[int]:
        """Return the processes that run; elsewhere than on Linux the leader for the whole group."""
        if self._gone:
            return []
        if self._started is None:
            found = [self._leader] if self._has_group() else []
        else:
            found = [int(name) for name in os.listdir(_PROC) if name.isdigit() and self._is_member(name)]
        self._gone = (
            not found
        )  # nobody is left to start another one, and the group's id may become another group's
        return found

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of them."""
        if self._gone:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._leader, number)
        for process in self.members():
            with suppress(ProcessLookupError, PermissionError):
                if os.getpgid(process) != self._leader:
                    os.kill(process, number)

    def kill(self) -> None:
        """End all of them, for certain; return when they are gone."""
        limit = time.monotonic() + _KILL_SECONDS
        while self.members() and time.monotonic() < limit:
            self.signal(signal.SIGKILL)
            time.sleep(0.002)

    def _has_group(self) -> bool:
        try:
            os.killpg(self._leader, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # on macOS: nothing but zombies
            return False
        return True

    def _is_member(self, name: str) -> bool:
        try:
            fields = _stat(name)
            if fields[0] in "ZX" or int(fields[19]) < (self._started or 0):
                return False
            if int(fields[2]) == self._leader:
                return True
            with open(f"{_PROC}/{name}/environ", "rb") as file:
                return self._mark in file.read().split(b"\0")
        except (OSError, ValueError, IndexError):  # it is gone, or somebody else's
            return False


def _stat(process: str) -> list[str]:
    """Return the fields of a process's ``stat`` that come after its name, the state first."""
    with open(f"{_PROC}/{process}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].decode("ascii").split()


def _started(process: int) -> int | None:
    """Return when a process started, by the system's ticks; None where that can't be known."""
    try:
        return int(_stat(str(process))[19])
    except (OSError, ValueError, IndexError):
        return None
