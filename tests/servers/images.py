"""Images that are made of this machine's own programs, without any registry."""

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
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"

_SKIPPED = re.compile(
    r"(^|/)(test|tests|idlelib|tkinter|turtledemo|lib2to3|site-packages|__pycache__|config-.*)(/|$)"
)
# what is opened by name: the resolver's, and what wheels need besides
_BY_NAME = (
    "libnss_*.so.2",
    "libresolv.so.2",
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "librt.so.1",
    "libdl.so.2",
    "libpthread.so.0",
    "libutil.so.1",
)


class FileSystem:
    """What is in an image.

    :param users: lines of ``/etc/passwd`` besides the superuser's.
    """

    def __init__(self, users: str = "") -> None:
        self._out = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._out, mode="w", dereference=True)
        self._seen: set[str] = set()
        self.folder("tmp", 0o1777)
        self.folder("root", 0o755)  # Python may lie below it, for other users too
        self.text("etc/passwd", f"root:x:0:0:root:/root:/bin/sh\n{users}")
        self.text("etc/group", "root:x:0:\n")

    def programs(self, *programs: Path, also: Iterable[Path] = ()) -> None:
        """Add programs at their own paths, with the libraries that they need.

        :param also: libraries that are added otherwise, and need others.
        """
        for path in sorted({*programs, *_needed([*programs, *also])}):
            self._add(path, str(path), recursive=False)

    def tools(self, *names: str) -> None:
        """Add programs of the ``PATH`` as ``/bin/<name>``."""
        found = [(name, os.path.realpath(path)) for name in names if (path := shutil.which(name))]
        self.programs(*(Path(path) for _, path in found))
        for name, path in found:
            self._add(Path(path), f"/bin/{name}", recursive=False)

    def tree(self, path: Path, target: str | None = None, skipped: re.Pattern[str] | None = None) -> None:
        """Add a folder with all that is below it, except what is skipped."""

        def is_new(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
            if item.name in self._seen or (skipped is not None and skipped.search(item.name)):
                return None
            self._seen.add(item.name)
            return item

        self._tar.add(path, target or str(path), filter=is_new)

    def folder(self, name: str, mode: int, owner: int = 0) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
        self._tar.addfile(entry)

    def text(self, name: str, text: str, mode: int = 0o644) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(text.encode()), mode
        self._tar.addfile(entry, io.BytesIO(text.encode()))

    def link(self, name: str, target: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(entry)

    def python(self) -> None:
        """Add the Python that runs this, without its packages, and the certificates of this machine."""
        base = {"base": sys.base_prefix, "installed_base": sys.base_prefix}
        standard = Path(sysconfig.get_path("stdlib", vars=base))
        program = Path(os.path.realpath(sys.executable))
        libraries = [
            path
            for path in standard.rglob("*.so")
            if not _SKIPPED.search(path.relative_to(standard).as_posix())
        ]
        self.programs(program, also=libraries)
        self.tree(standard, skipped=_SKIPPED)
        for name in ("python", "python3"):
            self.link(f"usr/local/bin/{name}", str(program))
        if os.path.isfile(CERTIFICATES):
            self._add(Path(CERTIFICATES), CERTIFICATES, recursive=False)

    def import_as(self, client: Any, name: str, *changes: str) -> str:
        """Make the image and return its name.

        :param changes: lines of a Dockerfile.
        """
        self._tar.close()
        repository, _, tag = name.partition(":")
        path = "ENV PATH=/usr/local/bin:/usr/bin:/bin"
        client.import_image_from_data(
            self._out.getvalue(), repository=repository, tag=tag, changes=[path, *changes]
        )
        return name

    def _add(self, path: Path, target: str, *, recursive: bool) -> None:
        if target.lstrip("/") not in self._seen:  # an image has nothing twice
            self._seen.add(target.lstrip("/"))
            self._tar.add(path, target, recursive=recursive)


def _needed(programs: Sequence[Path]) -> set[Path]:
    """Return the shared libraries that programs need, by the names by which they are looked for."""
    said = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    found = {Path(path) for path in re.findall(r"(/\S+) \(0x", said)}
    for folder in {path.parent for path in found}:
        found |= {path for name in _BY_NAME for path in folder.glob(name)}
    return found


@contextlib.contextmanager
def engine_client(url: str) -> Iterator[Any]:
    import docker

    client = docker.APIClient(base_url=url, version="auto", timeout=300)
    try:
        yield client
    finally:
        client.close()
