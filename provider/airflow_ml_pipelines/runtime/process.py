"""Runs a program to its end, in a process group of its own that does not outlive the launcher.

The program holds one end of a pipe, the launcher the other. When the launcher is gone, however that came about, the
kernel ends the group (on Linux: a signal that is bound to the pipe; elsewhere a thread in the program does it, see
``bootstrap``). Memory is bounded whatever the program writes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from airflow_ml_pipelines.core.errors import EnvironmentBuildError, StepError, StoreError, explain_os_error
from airflow_ml_pipelines.runtime.leftovers import Group
from airflow_ml_pipelines.runtime.masking import Mask
from airflow_ml_pipelines.runtime.stop import LOOK_SECONDS, Stop

__all__ = ["GRACE_SECONDS", "LINE_BYTES", "Ended", "run_program"]

GRACE_SECONDS: Final = 3.0
"""How long a program that is to end has between SIGTERM and SIGKILL."""

LINE_BYTES: Final = 64 << 10
"""A longer line comes in pieces."""

_READ = 64 << 10
_TAIL_LINES = 20
_TAIL_CHARACTERS = 500
_LINGER_SECONDS = 0.5
_POLL_SECONDS = 0.02

OnLine = Callable[[str, str], None]


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    :param code: its exit code; negative for the signal that ended it.
    :param canceled: why it was ended early, None where it was not.
    :param timed_out: whether it ran out of time.
    :param left: how many processes it left behind; they are gone.
    :param tail: the last lines that it wrote to its standard error.
    """

    code: int
    canceled: str | None
    timed_out: bool
    left: int
    tail: tuple[str, ...]


def run_program(
    arguments: Sequence[str],
    *,
    directory: Path,
    variables: Mapping[str, str],
    mark: str,
    stdout: Path,
    stderr: Path,
    on_line: OnLine,
    stop: Stop,
    timeout: float | None,
    secrets: Sequence[str] = (),
) -> Ended:
    """Run a program to its end and return how it ended. None of its processes is left.

    :param mark: an environment variable of the program that no other program has with that value.
    :param stdout: the file that takes what it writes there; ``on_line`` is told every line as well.
    :param secrets: what is replaced by ``***`` in what it writes.
    :raises EnvironmentBuildError: where there is no such program.
    :raises StepError: where it can't be started with these arguments.
    :raises StoreError: where what it writes can't be kept.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(open(path, "ab", buffering=0)) for path in (stdout, stderr)]
        running = stack.enter_context(_Running(arguments, directory, variables, mark))
        pump = stack.enter_context(_Pump(running, files, on_line, secrets))
        ended = _wait(running, pump, stop, timeout)
    return Ended(ended.code, ended.canceled, ended.timed_out, ended.left, tuple(pump.tail))


def _wait(running: _Running, pump: _Pump, stop: Stop, timeout: float | None) -> Ended:
    limit = None if timeout is None else time.monotonic() + timeout
    pump.run(lambda: running.has_ended() or stop.reason is not None, limit)
    group = running.group
    left = 0
    canceled: str | None = None
    timed_out = False
    if not running.has_ended():
        canceled = stop.reason
        timed_out = canceled is None
        group.signal(signal.SIGTERM)
        pump.run(lambda: running.has_ended() and not group.members(), time.monotonic() + GRACE_SECONDS)
    else:  # helpers of its own, such as trackers of shared memory, end by themselves a moment later
        pump.run(lambda: not group.members(), time.monotonic() + _LINGER_SECONDS)
        left = len(group.members())
        if left:
            group.signal(signal.SIGTERM)
            pump.run(lambda: not group.members(), time.monotonic() + GRACE_SECONDS)
    group.kill()
    code = running.process.wait()
    pump.drain()
    return Ended(code, canceled, timed_out, left, ())


class _Running:
    """A program that runs, and the pipe that ties it to this process."""

    def __init__(
        self, arguments: Sequence[str], directory: Path, variables: Mapping[str, str], mark: str
    ) -> None:
        theirs, self._ours = os.pipe()
        try:
            armed = _arm(theirs)
            extra = {} if armed else {"ML_PIPELINES_WATCH": str(theirs)}
            self.process = _start(arguments, directory, {**variables, **extra}, theirs)
            if armed:
                with suppress(ProcessLookupError):
                    fcntl.fcntl(theirs, fcntl.F_SETOWN, -self.process.pid)
        except BaseException:
            os.close(self._ours)
            raise
        finally:
            os.close(theirs)
        self.group = Group(self.process.pid, f"{mark}={variables[mark]}".encode())
        self.exit_descriptor: int | None = None
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):
                self.exit_descriptor = os.pidfd_open(self.process.pid)

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.group.kill()
        self.process.wait()
        os.close(self._ours)
        if self.exit_descriptor is not None:
            os.close(self.exit_descriptor)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def _arm(descriptor: int) -> bool:
    """Let the kernel send SIGKILL to the owner that is set later, when the pipe's other end is closed.

    A thread that watches the pipe would do the same, but not while the script holds the interpreter's lock, and every
    later ``os.fork`` of the script would warn of it.
    """
    if not hasattr(fcntl, "F_SETSIG"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    except OSError:
        return False
    return True


def _start(
    arguments: Sequence[str], directory: Path, variables: Mapping[str, str], descriptor: int
) -> subprocess.Popen[bytes]:
    program = arguments[0]
    try:
        return subprocess.Popen(
            list(arguments),
            cwd=directory,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=(descriptor,),
        )
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        raise EnvironmentBuildError(
            f"the interpreter {program!r} can't be started: {error.strerror}. Make the environment again, or name another "
            "interpreter."
        ) from error
    except OSError as error:
        if error.errno == errno.E2BIG:
            size = sum(map(len, arguments))
            raise StepError(
                f"the script's arguments and environment variables are too long for the system ({size} characters of "
                "arguments): hand them over in a file"
            ) from error
        if error.errno == errno.ENOEXEC:
            raise EnvironmentBuildError(
                f"the interpreter {program!r} is no program: name another one"
            ) from error
        raise
    except (ValueError, UnicodeEncodeError) as error:
        raise StepError(
            f"the script can't be started: an argument or variable can't be handed over ({error})"
        ) from None


class _Pump:
    """Takes what the program writes, keeps it in files and hands it on by lines."""

    def __init__(
        self, running: _Running, files: Sequence[BinaryIO], on_line: OnLine, secrets: Sequence[str]
    ) -> None:
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._running = running
        self._selector = selectors.DefaultSelector()
        self._open = 2
        process = running.process
        for name, pipe, file in zip(
            ("stdout", "stderr"), (process.stdout, process.stderr), files, strict=True
        ):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(
                pipe,
                selectors.EVENT_READ,
                _Stream(name, pipe.fileno(), file, self._told(on_line), Mask(secrets)),
            )
        if running.exit_descriptor is not None:
            self._selector.register(running.exit_descriptor, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()

    def _told(self, on_line: OnLine) -> OnLine:
        def told(name: str, line: str) -> None:
            if name == "stderr":
                self.tail.append(line[:_TAIL_CHARACTERS])
            on_line(name, line)

        return told

    def run(self, until: Callable[[], bool], limit: float | None) -> None:
        """Go on until a condition holds or a time has come."""
        while not until():
            now = time.monotonic()
            if limit is not None and now >= limit:
                return
            pause = (
                LOOK_SECONDS if self._open and self._running.exit_descriptor is not None else _POLL_SECONDS
            )
            if self._running.process.returncode is not None:
                pause = _POLL_SECONDS
            self._turn(pause if limit is None else min(pause, limit - now))

    def drain(self) -> None:
        """Take what is still in the pipes. Nobody writes to them any more."""
        while self._open and self._turn(0):
            pass
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                key.data.finish()

    def _turn(self, pause: float) -> bool:
        """Wait and read once; return whether there was anything."""
        found = False
        for key, _ in self._selector.select(pause):
            if key.data is None:
                self._selector.unregister(key.fileobj)  # the program has ended, which the caller sees
            elif key.data.read():
                found = True
            else:
                key.data.finish()
                self._selector.unregister(key.fileobj)
                self._open -= 1
        return found


class _Stream:
    def __init__(self, name: str, descriptor: int, file: BinaryIO, on_line: OnLine, mask: Mask) -> None:
        self._name = name
        self._descriptor = descriptor
        self._file = file
        self._on_line = on_line
        self._mask = mask
        self._rest = b""

    def read(self) -> bool:
        """Read once; return False at the end."""
        try:
            data = os.read(self._descriptor, _READ)
        except BlockingIOError:
            return True
        if not data:
            return False
        self._take(self._mask.feed(data))
        return True

    def finish(self) -> None:
        self._take(self._mask.flush())
        if self._rest:
            self._hand_on(self._rest)
            self._rest = b""

    def _take(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise StoreError(
                f"what the script writes can't be kept in {self._file.name}: {explain_os_error(error, place=False)}"
            ) from error
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hand_on(line)
        while len(self._rest) > LINE_BYTES:
            piece = _cut(self._rest)
            self._hand_on(self._rest[:piece])
            self._rest = self._rest[piece:]

    def _hand_on(self, line: bytes) -> None:
        while len(line) > LINE_BYTES:
            piece = _cut(line)
            self._on_line(self._name, line[:piece].decode("utf-8", "replace"))
            line = line[piece:]
        line = line.rstrip(b"\r")
        # of a progress bar, which writes over itself, what one would see at its end
        self._on_line(self._name, line[line.rfind(b"\r") + 1 :].decode("utf-8", "replace"))


def _cut(line: bytes) -> int:
    """Return where to cut a long line so that no character is cut in two."""
    end = LINE_BYTES
    while end > LINE_BYTES - 4 and end < len(line) and line[end] & 0xC0 == 0x80:
        end -= 1
    return end
