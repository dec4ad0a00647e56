"""Makes the environment that a step asks for, once, and returns its interpreter.

Environments lie under ``<cache directory>/environments/<digest>``, the digest being that of all that is installed. Of
any number of steps and processes that need one at once, one makes it and the others wait. It is made aside and renamed
when it is complete, so that nothing counts that was left half made.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.documents import write_document
from airflow_ml_pipelines.core.errors import EnvironmentBuildError
from airflow_ml_pipelines.core.files.digest import digest_file
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.core.stores.credentials import mask_url
from airflow_ml_pipelines.execution.installers import ASIDE, Installer, choose_installer, find_conda
from airflow_ml_pipelines.execution.interpreters import check_interpreter, find_python
from airflow_ml_pipelines.execution.locks import locked
from airflow_ml_pipelines.execution.requirements import Requirements, collect_requirements, python_version

__all__ = ["MARKER", "ensure_environment"]

MARKER = "ml-pipelines.json"
"""The file that a complete environment has; it says what is in it."""


def ensure_environment(spec: EnvironmentSpec, cache_directory: Path, *, log: Callable[[str], None]) -> Path:
    """Return the interpreter of an environment, which is made where it is not there yet.

    :param cache_directory: where environments are kept, in ``environments``.
    :param log: gets a line for each thing that is worth to be told.
    :raises EnvironmentBuildError: where it can't be made; the text says what was asked for, what the tool said, and
        what to do, without any password.
    """
    what = f"environment {spec.name!r}" if spec.name else "the step's environment"
    try:
        if spec.user_managed:
            return check_interpreter(spec.interpreter, python_version(spec.python) if spec.python else None)
        wanted = collect_requirements(spec, with_conda=bool(spec.conda) and find_conda() is not None)
        if not (wanted.pip or wanted.conda or wanted.python):
            return Path(sys.executable)
        folder = Path(os.path.abspath(cache_directory)) / "environments" / _digest(wanted)
        if not _is_complete(folder):
            _make(wanted, folder, what, log)
        with suppress(OSError):
            os.utime(folder / MARKER)  # when it was used last
        return folder / "bin" / "python"
    except EnvironmentBuildError as error:
        raise EnvironmentBuildError(f"{what} can't be made: {error}") from None
    except OSError as error:
        raise EnvironmentBuildError(f"{what} can't be made in {cache_directory}: {error}") from error


def _digest(wanted: Requirements) -> str:
    """Return the digest of all that is installed, wherever it is asked for."""
    document: dict[str, Any] = {
        "platform": sysconfig.get_platform(),
        "python": wanted.python or f"{sys.version_info.major}.{sys.version_info.minor}",
        "pip": sorted(wanted.pip),
        "options": list(wanted.options),
        "conda": sorted(wanted.conda),
        "channels": list(wanted.channels),
        "files": {
            item: digest_file(path)[0] for item in wanted.pip if (path := _local_file(item)) is not None
        },
    }
    return digest_document("ml-pipelines/installed/1", document)[:32]


def _local_file(requirement: str) -> str | None:
    place = requirement.rpartition(" @ ")[2].partition(";")[0].strip()
    path = unquote(urlsplit(place).path) if place.startswith("file://") else place
    return path if os.path.isabs(path) and os.path.isfile(path) else None


def _is_complete(folder: Path) -> bool:
    return (folder / MARKER).is_file() and os.access(folder / "bin" / "python", os.X_OK)


def _make(wanted: Requirements, folder: Path, what: str, log: Callable[[str], None]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(
        folder.with_name(f"{folder.name}.lock"), lambda: log(f"waiting for {what}, which is being made")
    ) as alone:
        if _is_complete(folder):  # by another one, just now
            return
        if alone:
            for left in folder.parent.glob(f"{ASIDE}{folder.name}-*"):  # of a build that was killed
                _remove(left)
        for warning in wanted.warnings:
            log(f"warning: {what}: {warning}")
        installer = choose_installer(wanted)
        packages = f"{wanted.packages} package{'' if wanted.packages == 1 else 's'}"
        log(f"making {what} ({packages}) with {installer.name} …")
        started = time.monotonic()
        python, version = Path(sys.executable), None
        if not wanted.conda:
            python, version = find_python(wanted.python)
            if wanted.python and not f"{version}.".startswith(f"{wanted.python}."):
                log(
                    f"warning: {what}: Python {wanted.python} is not on this machine, {version} is taken for it"
                )
        _install(installer, python, wanted, folder)
        log(f"… made in {time.monotonic() - started:.1f} s")


def _install(installer: Installer, python: Path, wanted: Requirements, folder: Path) -> None:
    aside = folder.with_name(f"{ASIDE}{folder.name}-{secrets.token_hex(4)}")
    place = aside if installer.movable else folder
    if place.exists():
        _remove(place)
    try:
        installer.make(place, python, wanted)
        (place / MARKER).write_bytes(
            write_document(
                {
                    "schema": 1,
                    "made": time.time(),
                    "tool": installer.name,
                    "python": wanted.python,
                    "pip": [mask_url(item) for item in wanted.pip],
                    "conda": list(wanted.conda),
                }
            )
        )
        if installer.movable:
            installer.moving(place, folder)
            _rename(place, folder)
    except BaseException:
        _remove(place)
        raise


def _rename(aside: Path, folder: Path) -> None:
    if folder.exists() and not _is_complete(folder):  # its interpreter is gone
        broken = folder.with_name(f"{ASIDE}{folder.name}-{secrets.token_hex(4)}")
        folder.rename(broken)
        _remove(broken)
    try:
        aside.rename(folder)
    except OSError:
        if not _is_complete(folder):
            raise
        _remove(aside)  # another one came first, where there are no locks


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
