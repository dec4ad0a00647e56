"""The tools that make an environment: uv, Python's own venv and pip, conda.

Each is started with an argument vector and the packages in a file; what it says is kept to be shown where it fails,
without any password.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import unquote

from airflow_ml_pipelines.core.errors import EnvironmentBuildError
from airflow_ml_pipelines.core.stores.credentials import mask_url
from airflow_ml_pipelines.execution.requirements import Requirements, expand_variables

__all__ = [
    "ASIDE",
    "SHOWN_LINES",
    "Conda",
    "Installer",
    "Pip",
    "Uv",
    "choose_installer",
    "fill_in",
    "find_conda",
    "find_uv",
    "mask_secrets",
    "uv_options",
]

ASIDE = ".building-"
"""What names begin with of all that is there only while an environment is made."""

SHOWN_LINES = 25
"""How much of what a tool says is shown where it fails."""

_PASSWORD = re.compile(r"://([^/?#\s@]*)@")
_DROPPED = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PIP_PREFIX",
    "PIP_TARGET",
    "PIP_USER",
    "VIRTUAL_ENV",
)


class Installer(Protocol):
    """Makes an environment in a folder.

    :param name: what it is called in logs.
    :param movable: whether the folder may be renamed when the environment is made.
    """

    name: str
    movable: bool

    def make(self, folder: Path, python: Path, wanted: Requirements) -> None:
        """Make an environment in a folder that is not there yet. :raises EnvironmentBuildError: where it can't."""

    def moving(self, folder: Path, target: Path) -> None:
        """Prepare for the folder to be renamed."""


def find_conda() -> str | None:
    """Return the command of conda, mamba or micromamba, None where there is none."""
    return next((path for name in ("conda", "mamba", "micromamba") if (path := shutil.which(name))), None)


def choose_installer(wanted: Requirements) -> Installer:
    """Return what makes such an environment on this machine."""
    if wanted.conda:
        conda = find_conda()
        if conda is None:
            raise EnvironmentBuildError(f"{', '.join(wanted.conda)}: there is no conda any more")
        return Conda(conda)
    if uv := shutil.which("uv"):
        return Uv([uv])
    if find_spec("uv") is not None:
        return Uv([sys.executable, "-m", "uv"])
    return Pip()


class Uv:
    """uv: makes an environment in a fraction of a second from its cache."""

    name = "uv"
    movable = True

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)

    def make(self, folder: Path, python: Path, wanted: Requirements) -> None:
        _run(
            [*self._command, "venv", "--relocatable", "--no-project", "--python", str(python), str(folder)],
            folder.parent,
        )
        if not wanted.pip:
            return
        extra, lines = uv_options(wanted.options)
        with _RequirementsFile(folder, (*lines, *wanted.pip)) as file:
            target = ["--python", str(_python(folder)), "--compile-bytecode"]
            _run(
                [*self._command, "pip", "install", *target, *extra, "--requirement", file.path],
                folder.parent,
                file.secrets,
            )

    def moving(self, folder: Path, target: Path) -> None:
        """Nothing is to be done: the environment is relocatable."""


class Pip:
    """Python's own ``venv`` and pip, for where there is no uv."""

    name = "pip"
    movable = True

    def make(self, folder: Path, python: Path, wanted: Requirements) -> None:
        _run([str(python), "-m", "venv", str(folder)], folder.parent)
        _pip_install(folder, wanted)

    def moving(self, folder: Path, target: Path) -> None:
        """Write the target's path into the scripts, which name their interpreter by its path."""
        old, new = os.fsencode(folder), os.fsencode(target)
        for script in (folder / "bin").iterdir():
            if script.is_symlink() or not script.is_file():
                continue
            content = script.read_bytes()
            if old in content and (content.startswith(b"#!") or script.name.lower().startswith("activate")):
                script.write_bytes(content.replace(old, new))


class Conda:
    """conda, mamba or micromamba. What it makes has its own path in it and can't be moved."""

    movable = False

    def __init__(self, command: str) -> None:
        self._command = command
        self.name = Path(command).name

    def make(self, folder: Path, python: Path, wanted: Requirements) -> None:  # noqa: ARG002 - conda brings Python
        version = wanted.python or f"{sys.version_info.major}.{sys.version_info.minor}"
        channels = [part for channel in wanted.channels for part in ("--channel", channel)]
        packages = [f"python={version}", "pip", *wanted.conda]
        _run(
            [self._command, "create", "--yes", "--quiet", "--prefix", str(folder), *channels, *packages],
            folder.parent,
        )
        _pip_install(folder, wanted)

    def moving(self, folder: Path, target: Path) -> None:
        """Refuse: it is made where it stays."""
        raise AssertionError(f"{folder} can't be moved to {target}")


def uv_options(options: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return what uv is to be told on its command line, and in the requirements file, for options of pip's."""
    extra: list[str] = []
    lines: list[str] = []
    for option in options:
        name, _, value = option.partition(" ")
        if name == "--pre":
            extra.append("--prerelease=allow")
        elif name == "--trusted-host":
            extra += ["--allow-insecure-host", value]
        elif name != "--prefer-binary":  # it always does
            lines.append(option)
    return extra, lines


def find_uv() -> str | None:
    """Return the path of uv's program, None where there is none."""
    if uv := shutil.which("uv"):
        return uv
    if find_spec("uv") is None:
        return None
    import uv as package

    return str(package.find_uv_bin())


def fill_in(lines: Iterable[str]) -> tuple[str, list[str]]:
    """Return the text of a requirements file, passwords filled in, and the passwords.

    :raises EnvironmentBuildError: where a variable is not set, or has a line break in it.
    """
    text = ""
    secrets: list[str] = []
    for line in lines:
        expanded, values = expand_variables(line)
        if not expanded.isprintable():
            raise EnvironmentBuildError(f"a variable in {mask_url(line)!r} has a line break in it")
        secrets += [part for info in _PASSWORD.findall(expanded) for part in info.split(":")]
        secrets += values
        text += expanded + "\n"
    return text, secrets


def _pip_install(folder: Path, wanted: Requirements) -> None:
    if wanted.pip:
        with _RequirementsFile(folder, (*wanted.options, *wanted.pip)) as file:
            command = [str(_python(folder)), "-m", "pip", "install", "--requirement", file.path]
            _run(command, folder.parent, file.secrets)


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


class _RequirementsFile:
    """A requirements file that only its owner can read, while it is needed; passwords are filled in."""

    def __init__(self, folder: Path, lines: Iterable[str]) -> None:
        name = folder.name if folder.name.startswith(ASIDE) else f"{ASIDE}{folder.name}-"
        self.path = str(folder.with_name(f"{name}.txt"))  # found and removed where the process is killed
        self.secrets: list[str] = []
        self._lines = lines

    def __enter__(self) -> Self:
        text, self.secrets = fill_in(self._lines)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return self

    def __exit__(self, *_: object) -> None:
        os.unlink(self.path)


def _run(command: Sequence[str], folder: Path, secrets: Iterable[str] = ()) -> None:
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise EnvironmentBuildError(f"{command[0]} can't be started: {error.strerror or error}") from None
    last: deque[str] = deque(maxlen=SHOWN_LINES)
    with process:
        try:
            assert process.stdout is not None
            last.extend(line.rstrip() for line in process.stdout)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        said = mask_secrets("\n".join(line for line in last if line), secrets)
        raise EnvironmentBuildError(f"`{_short(command)}` failed (exit code {process.returncode}):\n{said}")


def _short(command: Sequence[str]) -> str:
    """Return a command without its options and paths: ``uv pip install``."""
    words = command[2:] if command[1] == "-m" else [Path(command[0]).name, *command[1:]]
    end = next(
        (index for index, word in enumerate(words) if word.startswith("-") or os.sep in word), len(words)
    )
    return " ".join(words[:end])


def mask_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return what a tool says without any password."""
    text = mask_url(text)
    found = {form for secret in secrets for form in (secret, unquote(secret)) if len(form) > 3}
    for secret in sorted(found, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    # a package's own build may run anything: it does not get what Airflow has in its environment
    kept = {
        name: value
        for name, value in environment.items()
        if name not in _DROPPED and not name.upper().startswith("AIRFLOW")
    }
    return {
        **kept,
        "NO_COLOR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
