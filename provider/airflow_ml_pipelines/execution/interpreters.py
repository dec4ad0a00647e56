"""Finds Python interpreters on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from airflow_ml_pipelines.core.errors import EnvironmentBuildError

__all__ = ["check_interpreter", "find_python"]

_TIMEOUT = 30.0
_ASK = "import sys; print('%d.%d.%d' % sys.version_info[:3])"


def check_interpreter(command: str, version: str | None = None) -> Path:
    """Return the path of an interpreter that the user names.

    :param command: a path, or a command on the ``PATH``; ``python`` is the interpreter that runs this.
    :param version: the version that it should have, as far as it is given.
    :raises EnvironmentBuildError: where there is none, or it does not run, or is of another version.
    """
    path = sys.executable if command == "python" else shutil.which(os.path.expanduser(command))
    if path is None:
        where = "a file that can be executed" if os.sep in command else "a command on the PATH"
        raise EnvironmentBuildError(
            f"the interpreter {command!r} is not {where}: give the path of a Python interpreter, or leave it out for the "
            "one that runs the pipeline"
        )
    path = os.path.abspath(path)
    found = _running() if path == sys.executable else _ask_version(path)
    if found is None:
        raise EnvironmentBuildError(
            f"the interpreter {path} does not run, or is no Python: give that of a Python interpreter"
        )
    if version is not None and not _matches(found, version):
        raise EnvironmentBuildError(
            f"the interpreter {path} is Python {found}, and the environment asks for {version}: change one of them"
        )
    return Path(path)


def find_python(version: str | None) -> tuple[Path, str]:
    """Return an interpreter of a version (of the one that runs this, for None) and the version that it has.

    Where a version such as ``3.12.1`` is not there, another ``3.12`` will do. Nothing is downloaded.

    :raises EnvironmentBuildError: where there is none; the text says which there are.
    """
    if version is None or _matches(_running(), version):
        return Path(sys.executable), _running()
    minor = ".".join(version.split(".")[:2])
    found: dict[str, str] = {}
    for path in _candidates(minor):
        has = _ask_version(path)
        if has is not None and _matches(has, version):
            return Path(path), has
        if has is not None:
            found.setdefault(has, path)
    near = sorted(has for has in found if _matches(has, minor))
    if near:
        return Path(found[near[-1]]), near[-1]
    if _matches(_running(), minor):
        return Path(sys.executable), _running()
    found.setdefault(_running(), sys.executable)
    known = ", ".join(f"{has} ({found[has]})" for has in sorted(found, key=_numbers))
    raise EnvironmentBuildError(
        f"Python {version} is not on this machine. There are: {known}. Install it (`uv python install {minor}`), ask for "
        "one of these, or leave the version out"
    )


def _candidates(minor: str) -> Iterator[str]:
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    home = Path.home()
    managed = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local" / "share" / "uv" / "python")
    kept = [managed, home / ".pyenv" / "versions"]
    seen: set[str] = set()
    exact = [os.path.join(folder, f"python{minor}") for folder in folders]
    others = [os.path.join(folder, name) for folder in folders for name in _pythons(folder)]
    apart = [str(path) for folder in kept for path in sorted(folder.glob("*/bin/python3"), reverse=True)]
    for path in (*exact, *apart, *others):
        real = os.path.realpath(path)
        if os.access(path, os.X_OK) and os.path.isfile(path) and (real not in seen or "shims" in path):
            seen.add(real)
            yield path


def _pythons(folder: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(
        name
        for name in names
        if name in ("python", "python3") or (name.startswith("python3.") and name[8:].isdecimal())
    )


def _ask_version(path: str) -> str | None:
    try:
        result = subprocess.run(
            [path, "-I", "-c", _ASK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    version = result.stdout.strip()
    return version if result.returncode == 0 and version.replace(".", "").isdecimal() else None


def _running() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def _matches(version: str, wanted: str) -> bool:
    return f"{version}.".startswith(f"{wanted}.")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
