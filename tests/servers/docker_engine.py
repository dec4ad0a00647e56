"""A Docker engine for tests, and a base image that is made of this machine's own Python, without any registry."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import docker
import pytest

from servers.process import lacking

BASE_IMAGE = f"ml-pipelines-test-python:{'.'.join(map(str, sys.version_info[:3]))}"

_DEFAULT = "unix:///var/run/docker.sock"
_TOOLS = ("sh", "cat", "ls", "sleep", "env", "tar", "rm", "mkdir")
_SKIPPED = re.compile(
    r"(^|/)(test|tests|idlelib|tkinter|turtledemo|lib2to3|site-packages|__pycache__|config-.*)(/|$)"
)
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_PATIENCE = 60


@contextlib.contextmanager
def docker_engine(folder: Path) -> Iterator[str]:
    """Yield the URL of an engine: the one that there is, else one that is started in a folder and ended again."""
    url = os.environ.get("DOCKER_HOST") or _DEFAULT
    if _answers(url):
        yield url
        return
    if shutil.which("dockerd") is None or os.getuid() != 0:
        lacking("a Docker engine", "as root: apt-get install docker.io; or start one that this user may use")
    url = f"unix://{folder}/docker.sock"
    command = [
        "dockerd",
        "--host",
        url,
        "--data-root",
        str(folder / "data"),
        "--exec-root",
        str(folder / "exec"),
    ]
    with open(folder / "dockerd.log", "wb") as log:
        process = subprocess.Popen([*command, "--pidfile", str(folder / "pid")], stdout=log, stderr=log)
    try:
        until = time.monotonic() + _PATIENCE
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail("dockerd did not start:\n" + (folder / "dockerd.log").read_text()[-2000:])
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(_PATIENCE)
        _unmount(folder)


def _unmount(folder: Path) -> None:
    """Unmount what the engine leaves mounted (its network's name space): nobody could remove the folder."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = Path(line.split()[4])
        if folder.resolve() in place.parents:
            subprocess.run(["umount", str(place)], check=False)


def make_base_image(url: str) -> str:
    """Make the base image, where the engine has none, and return its name."""
    client = docker.APIClient(base_url=url, version="auto", timeout=300)
    try:
        client.inspect_image(BASE_IMAGE)
    except docker.errors.ImageNotFound:
        repository, _, tag = BASE_IMAGE.partition(":")
        client.import_image_from_data(
            _file_system(), repository=repository, tag=tag, changes=["ENV PATH=/usr/local/bin:/usr/bin:/bin"]
        )
    finally:
        client.close()
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


def _file_system() -> bytes:
    out = io.BytesIO()
    standard = Path(
        sysconfig.get_path("stdlib", vars={"base": sys.base_prefix, "installed_base": sys.base_prefix})
    )
    python = Path(os.path.realpath(sys.executable))
    tools = [Path(found) for name in _TOOLS if (found := shutil.which(name))]
    libraries = [
        path for path in standard.rglob("*.so") if not _SKIPPED.search(path.relative_to(standard).as_posix())
    ]
    with tarfile.open(fileobj=out, mode="w", dereference=True) as tar:
        _folder(tar, "tmp", 0o1777)
        _folder(tar, "root", 0o755)  # Python may lie below it, for other users too
        for path in sorted({python, *_needed([python, *tools, *libraries])}):
            tar.add(path, str(path), recursive=False)
        for path in tools:
            tar.add(os.path.realpath(path), f"/bin/{path.name}", recursive=False)
        tar.add(standard, str(standard), filter=_without_the_rest)
        for name in ("python", "python3"):
            link = tarfile.TarInfo(f"usr/local/bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, str(python)
            tar.addfile(link)
        if os.path.isfile(_CERTIFICATES):
            tar.add(_CERTIFICATES, _CERTIFICATES)
        _text(tar, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        _text(tar, "etc/group", "root:x:0:\n")
    return out.getvalue()


def _without_the_rest(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if _SKIPPED.search(item.name) else item


def _needed(programs: Iterable[Path]) -> set[Path]:
    """Return the shared libraries that programs need, by the names by which they are looked for."""
    said = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    found = {Path(path) for path in re.findall(r"(/\S+) \(0x", said)}
    # the resolver's, which are opened by name, and what wheels need besides
    for folder in {path.parent for path in found}:
        found |= {
            path
            for name in (
                "libnss_*.so.2",
                "libresolv.so.2",
                "libgcc_s.so.1",
                "libstdc++.so.6",
                "librt.so.1",
                "libdl.so.2",
                "libpthread.so.0",
                "libutil.so.1",
            )
            for path in folder.glob(name)
        }
    return found


def _folder(tar: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)


def _text(tar: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text)
    tar.addfile(entry, io.BytesIO(text.encode()))
