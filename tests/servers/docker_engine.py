"""A Docker engine for tests, and a base image that is made of this machine's own Python, without any registry."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from servers.images import FileSystem, engine_client
from servers.process import lacking

BASE_IMAGE = f"ml-pipelines-test-python:{'.'.join(map(str, sys.version_info[:3]))}"

_DEFAULT = "unix:///var/run/docker.sock"
_PATIENCE = 300  # of a machine that is busy with other things


@contextlib.contextmanager
def docker_engine(folder: Path) -> Iterator[str]:
    """Yield the URL of an engine: the one that there is, else one that is started in a folder and ended again."""
    url = os.environ.get("DOCKER_HOST") or _DEFAULT
    if _answers(url):
        yield url
        return
    engine = OwnEngine(folder)
    engine.start()
    try:
        yield engine.url
    finally:
        engine.stop()


class OwnEngine:
    """An engine that a test may stop and start again.

    :param options: of ``dockerd``; one beside another leaves the machine's network alone.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        if shutil.which("dockerd") is None or os.getuid() != 0:
            lacking(
                "a Docker engine", "as root: apt-get install docker.io; or start one that this user may use"
            )
        self.folder = folder
        # the names of sockets may have 107 characters, and folders of tests may have more
        self._sockets = Path(tempfile.mkdtemp(prefix="engine-", dir="/tmp"))
        self.url = f"unix://{self._sockets}/docker.sock"
        places = {"data-root": folder / "data", "exec-root": self._sockets, "pidfile": folder / "pid"}
        self._command = ["dockerd", *options, "--host", self.url]
        for option, place in places.items():
            self._command += [f"--{option}", str(place)]
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it, again where it ends by itself: it waits only seconds for parts of its own."""
        until = time.monotonic() + _PATIENCE
        while not self._came_up(until):
            if time.monotonic() > until:
                said = (self.folder / "dockerd.log").read_text()[-2000:]
                pytest.fail(f"dockerd did not start:\n{said}")

    def _came_up(self, until: float) -> bool:
        with open(self.folder / "dockerd.log", "ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        while self._process.poll() is None and time.monotonic() < until:
            if _answers(self.url):
                return True
            time.sleep(0.2)
        self.stop()
        return False

    def stop(self) -> None:
        """Stop it, and with it its containers."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        for place in (self.folder, self._sockets):
            _unmount(place)
        shutil.rmtree(self._sockets, ignore_errors=True)


def _unmount(folder: Path) -> None:
    """Unmount what the engine leaves mounted (its data, its network's name space): nobody could remove the folder."""
    mounts = [Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for place in reversed(mounts):  # what was mounted last may lie in another
        if folder.resolve() in place.parents:
            subprocess.run(["umount", "--lazy", str(place)], check=False)


def make_base_image(url: str) -> str:
    """Make the base image, where the engine has none, and return its name."""
    with engine_client(url) as client:
        try:
            client.inspect_image(BASE_IMAGE)
        except docker.errors.ImageNotFound:
            files = FileSystem()
            files.python()
            files.tools("sh", "cat", "ls", "sleep", "env", "tar", "rm", "mkdir")
            files.import_as(client, BASE_IMAGE)
    return BASE_IMAGE


def _answers(url: str) -> bool:
    if not url.startswith("unix://"):
        with engine_client(url) as client:
            return bool(client.ping())
    # not by the client, which leaves its socket open where it is not answered in time
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(30)
        probe.connect(url.removeprefix("unix://"))
        probe.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return b" 200 " in probe.recv(64)
    return False
