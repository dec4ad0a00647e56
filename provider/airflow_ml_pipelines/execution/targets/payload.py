"""What goes into a container: the launcher, the job, the credentials of the stores.

The launcher needs nothing but Python's standard library while the stores are local folders. Jobs and credentials may be
secret, so they are files that only the script's user can read, handed over through the engine's own connection: they are
in no command line, no environment and no image.
"""

from __future__ import annotations

import hashlib
import io
import json
import marshal
import os
import re
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Any

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.runtime.job import Job

__all__ = [
    "ARGUMENTS",
    "FOLDER",
    "START",
    "kept",
    "launcher_digest",
    "launcher_files",
    "make_payload",
    "make_tar",
    "store_credentials",
]

FOLDER = "/.ml-pipelines"
"""Where it lies in a container."""

START = f"{FOLDER}/start.py"
"""What the interpreter is to run."""

_COMPILED = f"{FOLDER}/compiled"

ARGUMENTS = (_COMPILED, f"{FOLDER}/job.json", f"{FOLDER}/stores.json")
"""What :data:`START` is to be told."""

_PACKAGE = Path(__file__).parent.parent.parent
_IMPORT = re.compile(rb"^\s*(?:from|import) (airflow_ml_pipelines[\w.]*)", re.MULTILINE)
_START = "airflow_ml_pipelines/runtime/start.py"


def make_payload(
    job: Job,
    credentials: Mapping[str, Mapping[str, Any]],
    cache: Path,
    *,
    user: int = 0,
    group: int = 0,
    compiled: bytes = b"",
) -> bytes:
    """Return a tar that is to be unpacked at ``/``.

    :param credentials: the options of each store by its URL.
    :param cache: see :func:`launcher_files`.
    :param user: who is to own what may be secret.
    :param compiled: the launcher's modules, as they were compiled for the image.
    """
    files = launcher_files(cache)
    if compiled:
        files = {**files, "compiled": compiled}
    secret = {"job.json": json.dumps(job.to_dict()).encode(), "stores.json": json.dumps(credentials).encode()}
    return make_tar(files, secret, user=user, group=group)


def make_tar(
    files: Mapping[str, bytes], secret: Mapping[str, bytes] | None = None, *, user: int = 0, group: int = 0
) -> bytes:
    """Return a tar that is to be unpacked at ``/``, with files of :data:`FOLDER`.

    :param secret: files that only one user is to read.
    """
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        # the folder is the user's own too, so that the launcher can take the secrets away
        _add_folder(tar, FOLDER.lstrip("/"), user, group)
        for name, data in files.items():
            _add(tar, name, data, 0o644)
        for name, data in (secret or {}).items():
            _add(tar, name, data, 0o600, user, group)
    return out.getvalue()


def store_credentials(workspace: Workspace, job: Job) -> dict[str, dict[str, Any]]:
    """Return the options of each store that a job works with, by its URL.

    :raises WorkspaceError: where a connection or variable is missing.
    """
    urls = {job.workspace.root, *job.workspace.datastores.values()}
    found = {url: workspace.store_options(url) for url in sorted(urls) if not url.startswith("file://")}
    return {url: options for url, options in found.items() if options}


def launcher_files(cache: Path) -> dict[str, bytes]:
    """Return the files of the launcher, by their names in :data:`FOLDER`.

    :param cache: where they are kept, since its modules are compiled for the Python of this process, which images most
        often have too.
    """
    name = f"launcher-{launcher_digest()[:32]}-{sys.implementation.cache_tag}.zip"
    return {"start.py": dict(_sources())[_START], "lib.zip": kept(cache / name, _archive)}


@cache
def launcher_digest() -> str:
    """Return what tells this launcher from others."""
    return digest_document(
        "ml-pipelines/launcher/1", {name: hashlib.sha256(data).hexdigest() for name, data in _sources()}
    )


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return what a file has, which is made where it is not there."""
    with suppress(OSError):
        return path.read_bytes()
    data = make()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
        part.write_bytes(data)
        part.replace(path)
    return data


def _archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in _sources():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
            code = marshal.dumps(compile(data, name, "exec", dont_inherit=True))
            # of the kind that Python does not compare with its source (PEP 552)
            head = MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
            archive.writestr(zipfile.ZipInfo(f"{name}c"), head + code, zipfile.ZIP_DEFLATED)
    return out.getvalue()


@cache
def _sources() -> tuple[tuple[str, bytes], ...]:
    """Return the modules of the runtime and what they import, wherever they do, by their paths."""
    left = sorted((_PACKAGE / "runtime").rglob("*.py"))
    found: dict[Path, bytes] = {}
    while left:
        path = left.pop()
        if path in found or not path.is_file():
            continue
        found[path] = path.read_bytes()
        for name in _IMPORT.findall(found[path]):
            place = _PACKAGE.parent.joinpath(*name.decode().split("."))
            left += [place.with_suffix(".py"), place / "__init__.py"]
            left += [above / "__init__.py" for above in place.parents if _PACKAGE in (above, *above.parents)]
    return tuple((path.relative_to(_PACKAGE.parent).as_posix(), found[path]) for path in sorted(found))


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int, user: int = 0, group: int = 0) -> None:
    entry = tarfile.TarInfo(f"{FOLDER.lstrip('/')}/{name}")
    entry.size, entry.mode, entry.uid, entry.gid = len(data), mode, user, group
    tar.addfile(entry, io.BytesIO(data))


def _add_folder(tar: tarfile.TarFile, name: str, user: int, group: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, user, group
    tar.addfile(entry)
