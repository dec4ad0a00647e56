"""Packages: lists of conda and pip requirements, and the files that have them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import checked, expect, kind_of

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import EnvironmentSpec

__all__ = ["CondaDependencies"]

_PYTHON = re.compile(r"python\s*(?:=\s*|==\s*)(\d+(?:\.\d+)*)(?:\.\*)?")
_COMMENT = re.compile(r"(^|\s)#.*$")


class CondaDependencies:
    """The packages of an environment.

    :param conda_dependencies_file_path: a conda environment file to read them from; none if left out.
    :raises DefinitionError: where the file is missing or is no such file.
    """

    @checked
    def __init__(self, conda_dependencies_file_path: str | None = None) -> None:
        self.python_version: str | None = None
        self._conda: list[str] = []
        self._channels: list[str] = []
        self._pip: list[str] = []
        self._pip_options: list[str] = []
        if conda_dependencies_file_path is not None:
            self._read(Path(conda_dependencies_file_path))

    def __repr__(self) -> str:
        return f"CondaDependencies(conda={self._conda!r}, pip={self._pip!r})"

    @classmethod
    @checked
    def create(
        cls,
        pip_indexurl: str | None = None,
        pip_packages: Sequence[str] | None = None,
        conda_packages: Sequence[str] | None = None,
        python_version: str | None = None,
        pin_sdk_version: bool = True,  # noqa: ARG003 - there is no SDK to pin
    ) -> CondaDependencies:
        """Return dependencies with these packages.

        :param pip_indexurl: another index than PyPI's.
        :param python_version: such as ``3.12``; that of the interpreter that runs the pipeline if left out.
        :param pin_sdk_version: has no meaning here.
        """
        self = cls()
        for package in _texts("CondaDependencies.create(conda_packages=…)", conda_packages):
            self.add_conda_package(package)
        for package in _texts("CondaDependencies.create(pip_packages=…)", pip_packages):
            self.add_pip_package(package)
        if pip_indexurl is not None:
            self.set_pip_option(f"--index-url {pip_indexurl}")
        if python_version is not None:
            self.set_python_version(python_version)
        return self

    @classmethod
    def from_requirements(cls, path: Path) -> CondaDependencies:
        """Return the packages of a pip requirements file, with those of the files that it includes.

        :raises DefinitionError: where a file is missing.
        """
        self = cls()
        for line in _requirement_lines(path, ()):
            if line.startswith("-"):
                self.set_pip_option(line)
            else:
                self.add_pip_package(line)
        return self

    @classmethod
    def from_installed(cls, name: str) -> CondaDependencies:
        """Return the packages of a conda environment of this machine, with their versions.

        :raises DefinitionError: where there is no conda, or no such environment.
        """
        import yaml

        where = "Environment.from_existing_conda_environment"
        names = (os.environ.get("CONDA_EXE", ""), "conda", "mamba", "micromamba")
        program = next((found for each in names if each and (found := shutil.which(each))), None)
        if program is None:
            raise DefinitionError(f"{where}: there is no conda here that could say what {name!r} has")
        asked = subprocess.run(
            [program, "env", "export", "--name", name, "--no-builds"],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if asked.returncode:
            said = (asked.stderr or asked.stdout).strip()
            raise DefinitionError(f"{where}: conda can't export environment {name!r}: {said}")
        try:
            document = yaml.safe_load(asked.stdout)
        except yaml.YAMLError as error:
            raise DefinitionError(f"{where}: what conda exports of {name!r} is no YAML: {error}") from None
        self = cls()
        self._take(document, Path(name))
        return self

    @classmethod
    def from_spec(cls, spec: EnvironmentSpec) -> CondaDependencies:
        """Return the packages of an environment as runs know it."""
        self = cls()
        self.python_version = spec.python
        self._conda, self._channels = list(spec.conda), list(spec.conda_channels)
        self._pip, self._pip_options = list(spec.pip), list(spec.pip_options)
        return self

    def fill(self, spec: EnvironmentSpec) -> EnvironmentSpec:
        """Return an environment with these packages."""
        import msgspec

        return msgspec.structs.replace(
            spec,
            python=self.python_version,
            conda=tuple(self._conda),
            conda_channels=tuple(self._channels),
            pip=tuple(self._pip),
            pip_options=tuple(self._pip_options),
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to install."""
        return not (self._conda or self._pip or self._pip_options or self.python_version)

    @property
    def conda_packages(self) -> tuple[str, ...]:
        """The conda packages."""
        return tuple(self._conda)

    @property
    def pip_packages(self) -> tuple[str, ...]:
        """The pip packages."""
        return tuple(self._pip)

    @checked
    def add_conda_package(self, conda_package: str) -> None:
        """Add a conda package; ``python=3.12`` sets the version of Python."""
        text = _text("CondaDependencies.add_conda_package", conda_package)
        found = _PYTHON.fullmatch(text)
        if found is not None:
            self.python_version = found[1]
        elif text not in self._conda and text not in ("pip", "python"):
            self._conda.append(text)

    @checked
    def add_pip_package(self, pip_package: str) -> None:
        """Add a pip package."""
        text = _text("CondaDependencies.add_pip_package", pip_package)
        if text not in self._pip:
            self._pip.append(text)

    @checked
    def add_channel(self, channel: str) -> None:
        """Add a conda channel."""
        self._channels.append(_text("CondaDependencies.add_channel", channel))

    @checked
    def set_pip_option(self, pip_option: str) -> None:
        """Add an option of pip's, such as ``--extra-index-url https://…``."""
        text = _text("CondaDependencies.set_pip_option", pip_option)
        if text not in self._pip_options:
            self._pip_options.append(text)

    @checked
    def set_python_version(self, version: str) -> None:
        """Set the version of Python, such as ``3.12``."""
        text = _text("CondaDependencies.set_python_version", version)
        if not re.fullmatch(r"\d+(\.\d+){0,2}", text):
            raise DefinitionError(
                f"CondaDependencies: expected a version of Python such as '3.12'; found {text!r}"
            )
        self.python_version = text

    @checked
    def save_to_file(
        self, base_directory: str | os.PathLike[str], conda_file_path: str = "conda_dependencies.yml"
    ) -> str:
        """Write a conda environment file; return its name."""
        import yaml

        packages: list[Any] = [f"python={self.python_version}"] if self.python_version else []
        packages += self._conda
        if self._pip or self._pip_options:
            packages += ["pip", {"pip": [*self._pip_options, *self._pip]}]
        document: dict[str, Any] = {"channels": self._channels} if self._channels else {}
        text = yaml.safe_dump({**document, "dependencies": packages}, sort_keys=False)
        Path(base_directory, conda_file_path).write_text(text, encoding="utf-8")
        return conda_file_path

    def _read(self, path: Path) -> None:
        import yaml

        try:
            document = yaml.safe_load(_read_text("CondaDependencies", path))
        except yaml.YAMLError as error:
            raise DefinitionError(f"CondaDependencies: {path} is no YAML: {error}") from None
        self._take(document, path)

    def _take(self, document: Any, path: Path) -> None:
        """Add what a conda environment file says."""
        found = document.get("dependencies") if isinstance(document, dict) else None
        if not isinstance(found, list):
            raise DefinitionError(
                f"CondaDependencies: {path} is no conda environment file: it has no `dependencies:`"
            )
        for channel in document.get("channels") or ():
            self.add_channel(channel)
        for item in found:
            if not isinstance(item, dict):
                self.add_conda_package(item)
                continue
            for line in item.get("pip") or ():
                text = _text(f"{path}: pip", line)
                if text.startswith("-r"):
                    nested = path.parent / text.removeprefix("-r").strip()
                    self._merge(CondaDependencies.from_requirements(nested))
                elif text.startswith("-"):
                    self.set_pip_option(text)
                else:
                    self.add_pip_package(text)

    def _merge(self, other: CondaDependencies) -> None:
        for option in other._pip_options:
            self.set_pip_option(option)
        for package in other._pip:
            self.add_pip_package(package)


def _read_text(where: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DefinitionError(f"{where}: can't read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{where}: {path} is no text in UTF-8 (byte {error.start})") from None


def _text(where: str, value: Any) -> str:
    text = str(expect(where, value, str, what="the text of a requirement")).strip()
    if not text or "\n" in text:
        raise DefinitionError(f"{where}: expected the text of a requirement, found {value!r}")
    return text


def _texts(where: str, values: Iterable[str] | None) -> Iterable[str]:
    if isinstance(values, str):
        raise TypeError(f"{where}: expected a list, found {kind_of(values)}: write [{values!r}]")
    return values or ()


def _requirement_lines(path: Path, seen: tuple[Path, ...]) -> Iterable[str]:
    text = _read_text("Environment.from_pip_requirements", path)
    if path in seen:
        raise DefinitionError(f"Environment.from_pip_requirements: {path} includes itself")
    for raw in text.replace("\\\n", " ").splitlines():
        line = _COMMENT.sub("", raw).strip()
        if not line:
            continue
        word, _, rest = line.partition(" ")
        if word in ("-r", "--requirement") or line.startswith("--requirement="):
            name = rest or line.partition("=")[2]
            yield from _requirement_lines(path.parent / name.strip(), (*seen, path))
        elif word in ("-e", "--editable", "-c", "--constraint"):
            raise DefinitionError(
                f"Environment.from_pip_requirements: {path} has {line!r}, which needs a file that is not there "
                "when the environment is made: name the package and its version"
            )
        else:
            yield line
