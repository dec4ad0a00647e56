"""Starts a server as a process and stops it again."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

_PATIENCE = 60


class Server:
    """A server that listens on a port of this machine."""

    def __init__(
        self,
        command: Sequence[str | Path],
        port: int,
        log: Path,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        patience: float = _PATIENCE,
    ) -> None:
        self.port = port
        self.log = log
        self._command = [str(part) for part in command]
        self._env = {**os.environ, **(env or {})}
        self._user = user
        self._patience = patience
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                user=self._user,
                start_new_session=True,
            )
        until = time.monotonic() + self._patience
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"{self._command[0]} does not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def lacking(what: str, how: str) -> None:
    """Say that a server is not installed: an error where all are to be there, elsewhere a skip."""
    text = f"{what} is not installed: {how}"
    if os.environ.get("CI") or os.environ.get("ML_PIPELINES_TEST_SERVERS") == "all":
        pytest.fail(text)
    pytest.skip(text)
