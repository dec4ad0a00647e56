"""Makes the folder that a job works in, and takes it away; also those of launchers that were killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airflow_ml_pipelines.core.errors import StoreError, explain_os_error

__all__ = ["work_folder"]

_PREFIX = "ml-pipelines-"
_LOCK = ".launcher"
_NEW_SECONDS = 60.0
_OLD_SECONDS = 24 * 3600.0


@contextmanager
def work_folder(parent: Path | None) -> Iterator[Path]:
    """Make a folder of its own for a job, for as long as the job takes.

    A lock on a file in it tells that its launcher lives. The folder of one that was killed is taken away by the next
    job of the same user, and after a day what else of this package has been left there.

    :param parent: where to make it; None for the system's temporary folder.
    :raises StoreError: where it can't be made.
    """
    try:
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        # the real path, which is also what the script gets as its current directory
        top = os.path.realpath(parent or tempfile.gettempdir())
        _sweep(top)
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=top)
        lock = os.open(os.path.join(folder, _LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(f"there is no place for the script to work in: {explain_os_error(error)}") from error
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield Path(folder)
    finally:
        _remove(folder)
        os.close(lock)


def _sweep(top: str) -> None:
    with suppress(OSError), os.scandir(top) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False):
                with suppress(OSError):
                    _remove_if_left(entry.path)


def _remove_if_left(folder: str) -> None:
    found = os.stat(folder)
    age = time.time() - found.st_mtime
    if found.st_uid != os.geteuid() or age < _NEW_SECONDS:
        return  # its lock may not be there yet
    try:
        lock = os.open(os.path.join(folder, _LOCK), os.O_RDWR)
    except FileNotFoundError:  # no job's folder: a snapshot was packed in it, or an output was looked at
        if age > _OLD_SECONDS:
            _remove(folder)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(folder)
    finally:
        os.close(lock)


def _remove(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if not os.path.lexists(folder):
        return
    for top, names, _ in os.walk(folder):  # the script has taken permissions away
        for name in names:
            path = os.path.join(top, name)
            if not os.path.islink(path):
                with suppress(OSError):
                    os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
