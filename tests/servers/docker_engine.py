"""A Docker engine for tests, and a base image that is made of this machine's own Python, without any registry."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from servers.images import FileSystem, engine_client
from servers.process import lacking

BASE_IMAGE = f"ml-pipelines-test-python:{'.'.join(map(str, sys.version_info[:3]))}"

_DEFAULT = "unix:///var/run/docker.sock"
_PATIENCE = 60


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
        self.url = f"unix://{folder}/docker.sock"
        places = {"host": self.url, "data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        self._command = ["dockerd", *options]
        for option, place in places.items():
            self._command += [f"--{option}", place if "://" in place else str(folder / place)]
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        with open(self.folder / "dockerd.log", "ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until = time.monotonic() + _PATIENCE
        while not _answers(self.url):
            if self._process.poll() is not None or time.monotonic() > until:
                said = (self.folder / "dockerd.log").read_text()[-2000:]
                self.stop()
                pytest.fail(f"dockerd did not start:\n{said}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop it, and with it its containers."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_PATIENCE)
            self._process = None
        _unmount(self.folder)


def _unmount(folder: Path) -> None:
    """Unmount what the engine leaves mounted (its network's name space): nobody could remove the folder."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = Path(line.split()[4])
        if folder.resolve() in place.parents:
            subprocess.run(["umount", str(place)], check=False)


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
    path = Path(url.removeprefix("unix://"))
    if url.startswith("unix://") and not path.is_socket():
        return False
    client = docker.APIClient(base_url=url, timeout=5)
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False
    finally:
        client.close()
