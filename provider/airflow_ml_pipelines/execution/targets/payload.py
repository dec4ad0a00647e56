"""What goes into a container: the launcher, the job, the credentials of the stores.

The launcher needs nothing but Python's standard library while the stores are local folders. Jobs and credentials may be
secret, so they are files that only the script's user can read, handed over through the engine's own connection: they are
in no command line, no environment and no image.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.runtime.job import Job

__all__ = ["COMMAND", "FOLDER", "LIBRARY", "library_files", "make_payload", "store_credentials"]

FOLDER = "/.ml-pipelines"
"""Where it lies in a container."""

LIBRARY = f"{FOLDER}/lib"
"""What is to be on the ``PYTHONPATH`` of the launcher."""

COMMAND = ("-m", "airflow_ml_pipelines.runtime.launcher", f"{FOLDER}/job.json", f"{FOLDER}/stores.json")
"""What the interpreter is to be told."""

_PACKAGE = Path(__file__).parent.parent.parent
_ROOMS = ("core", "runtime")


def make_payload(
    job: Job, credentials: Mapping[str, Mapping[str, Any]], *, user: int = 0, group: int = 0
) -> bytes:
    """Return a tar that is to be unpacked at ``/``.

    :param credentials: the options of each store by its URL.
    :param user: who is to own what may be secret.
    """
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        # the folder is the user's own too, so that the launcher can take the secrets away
        _add_folder(tar, FOLDER.lstrip("/"), user, group)
        for name, data in library_files():
            _add(tar, f"{LIBRARY.lstrip('/')}/{name}", data, 0o644)
        for name, document in (("job.json", job.to_dict()), ("stores.json", credentials)):
            data = json.dumps(document).encode()
            _add(tar, f"{FOLDER.lstrip('/')}/{name}", data, 0o600, user, group)
    return out.getvalue()


def store_credentials(workspace: Workspace, job: Job) -> dict[str, dict[str, Any]]:
    """Return the options of each store that a job works with, by its URL.

    :raises WorkspaceError: where a connection or variable is missing.
    """
    urls = {job.workspace.root, *job.workspace.datastores.values()}
    found = {url: workspace.store_options(url) for url in sorted(urls) if not url.startswith("file://")}
    return {url: options for url, options in found.items() if options}


@cache
def library_files() -> tuple[tuple[str, bytes], ...]:
    """Return the files of the launcher, by their paths below what is to be on the ``PYTHONPATH``."""
    return tuple((path.relative_to(_PACKAGE.parent).as_posix(), path.read_bytes()) for path in _sources())


def _sources() -> Iterable[Path]:
    yield _PACKAGE / "__init__.py"
    for room in _ROOMS:
        for top, folders, names in os.walk(_PACKAGE / room):
            folders[:] = [name for name in folders if name != "__pycache__"]
            yield from (Path(top, name) for name in names)


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int, user: int = 0, group: int = 0) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.uid, entry.gid = len(data), mode, user, group
    tar.addfile(entry, io.BytesIO(data))


def _add_folder(tar: tarfile.TarFile, name: str, user: int, group: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, user, group
    tar.addfile(entry)
