"""What has to be installed for an environment: pip requirements, options, conda packages, a version of Python.

Packages of the reference's own SDK are left out, since the launcher brings what replaces them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from airflow_ml_pipelines.core.errors import EnvironmentBuildError
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.core.stores.credentials import mask_url

__all__ = ["Requirements", "collect_requirements", "conda_to_pip", "expand_variables", "python_version"]


class Requirements(NamedTuple):
    """What has to be installed.

    :param python: a version such as ``3.12``; None for that of the interpreter that runs the pipeline.
    :param pip: requirements, one a line in a requirements file.
    :param options: each an option of pip's, with its value after a blank.
    :param conda: conda specs, where conda installs them.
    :param warnings: what is done differently than was asked for.
    """

    python: str | None = None
    pip: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def packages(self) -> int:
        """How many packages were asked for."""
        return len(self.pip) + len(self.conda)


_WITH_VALUE = {
    "-i": "--index-url",
    "--index-url": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "-f": "--find-links",
    "--find-links": "--find-links",
    "--no-binary": "--no-binary",
    "--only-binary": "--only-binary",
    "--trusted-host": "--trusted-host",
}
_FLAGS = frozenset({"--no-index", "--pre", "--prefer-binary"})
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")  # as pip has it
_VERSION = re.compile(r"\d+(\.\d+){0,2}")
_EXTRAS = re.compile(r"\s*\[([^\]]*)\]")

_OTHER_NAMES = {
    "dask-core": "dask",
    "h2o-py": "h2o",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "opencv": "opencv-python-headless",
    "psycopg2": "psycopg2-binary",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "pytables": "tables",
    "python-graphviz": "graphviz",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "ruamel_yaml": "ruamel.yaml",
    "seaborn-base": "seaborn",
    "tensorflow-gpu": "tensorflow",
}
_ONLY_CONDA = re.compile(
    r"r|r-.*|_.*|cuda.*|cudnn|nccl|pytorch-cuda|cpuonly|lib.*-ng|libblas|libxml2|openblas|blas|mkl-service"
    r"|openjdk|java-jdk|gcc.*|gxx.*|binutils.*|sysroot.*|nodejs|ffmpeg|graphviz|git|make|openssl|zlib|hdf5|curl|wget"
    r"|unzip|sqlite|gdal|geos|proj|tesseract|poppler|openmpi|mpich|snappy|nb_conda.*"
)
"""Conda packages that PyPI does not have, or has something else under their name."""


def collect_requirements(spec: EnvironmentSpec, *, with_conda: bool) -> Requirements:
    """Return what has to be installed for an environment that is not managed by its user.

    :param with_conda: whether conda is there to install conda packages; without it they come from PyPI.
    :raises EnvironmentBuildError: where something can't be read, is not allowed, or is only to be had with conda.
    """
    warnings: list[str] = []
    python, packages = _split_python(spec.conda)
    if spec.python is not None:
        python = python_version(spec.python)
    conda: tuple[str, ...] = ()
    pip: list[str] = []
    if with_conda:
        conda = tuple(packages)
        for word in (*conda, *spec.conda_channels):
            _check_line(word, "a conda package or channel")
            if word.startswith("-"):
                raise EnvironmentBuildError(f"expected a conda package or channel, found the option {word!r}")
    elif packages:
        pip += _from_conda(packages)
        warnings.append(f"conda is not installed here, so these come from PyPI: {', '.join(pip)}")
    given, options = _split_options((*spec.pip_options, *spec.pip))
    kept, left_out = _without_sdk(given)
    if left_out:
        warnings.append(f"left out, since what scripts use of it is built in: {', '.join(left_out)}")
    pip = list(dict.fromkeys([*pip, *kept]))
    channels = tuple(spec.conda_channels) if conda else ()
    return Requirements(python, tuple(pip), tuple(options), conda, channels, tuple(warnings))


def python_version(text: str) -> str:
    """Return a version of Python as ``3.12`` or ``3.12.1``.

    :raises EnvironmentBuildError: where it is none.
    """
    version = text.strip().lstrip("=").removesuffix(".*").strip()
    if not _VERSION.fullmatch(version):
        raise EnvironmentBuildError(f"expected a version of Python such as '3.12', found {text!r}")
    return version


def conda_to_pip(package: str) -> str | None:
    """Return the pip requirement for a conda package, None where PyPI does not have it.

    ``pandas=2.2`` is any 2.2, as conda has it: ``pandas==2.2.*``.

    :raises EnvironmentBuildError: where it can't be read, or says what pip can't.
    """
    _check_line(package, "a conda package")
    text = package.rpartition("::")[2].strip()
    found = _NAME.match(text.lstrip("_"))
    if found is None:
        raise _unreadable(package)
    name = (text[: len(text) - len(text.lstrip("_"))] + found[0]).lower()
    if _ONLY_CONDA.fullmatch(name):
        return None
    name = _OTHER_NAMES.get(name, name)
    version = text.lstrip("_")[found.end() :].strip()
    if not version or version == "=*":
        return name
    clauses = [clause.replace(" ", "") for clause in version.split(",")]
    if all(re.fullmatch(r"(==|>=|<=|!=|~=|>|<)\d[\w.!+]*(\.\*)?", clause) for clause in clauses):
        return name + ",".join(clauses)
    single = re.fullmatch(r"(=?)\s*(\d[\w.!+]*?)(\.?\*)?(\s*=\s*\S+|\s+\S+)?", version)
    if single is not None:  # 'name=1.2', 'name=1.2=build', 'name 1.2'
        fuzzy = single[3] or (single[1] and not single[4])
        return f"{name}=={single[2]}.*" if fuzzy else f"{name}=={single[2]}"
    raise _unreadable(package)


def expand_variables(text: str) -> tuple[str, list[str]]:
    """Return text with each ``${NAME}`` replaced by that variable's value, and the values.

    :raises EnvironmentBuildError: where a variable is not set.
    """
    values: list[str] = []

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise EnvironmentBuildError(
                f"{mask_url(text)!r} names the environment variable {match[1]}, which is not set here; set it and try again"
            )
        values.append(found)
        return found

    return _VARIABLE.sub(value, text), values


def _split_python(packages: Sequence[str]) -> tuple[str | None, list[str]]:
    python, others = None, []
    for package in packages:
        text = package.rpartition("::")[2].strip()
        if found := re.fullmatch(r"python(?:\s*=+\s*([^\s=]+)(?:=.*)?|\s+([\d.*]+))?", text):
            version = found[1] or found[2]
            python = python_version(version) if version else python
        elif not re.fullmatch(r"(pip|setuptools|wheel)\b(?![-\w.]).*", text):
            others.append(package.strip())
    return python, others


def _from_conda(packages: Iterable[str]) -> list[str]:
    found = {package: conda_to_pip(package) for package in packages}
    missing = [package for package, requirement in found.items() if requirement is None]
    if missing:
        raise EnvironmentBuildError(
            f"{', '.join(missing)}: only conda has this, and there is no conda, mamba or micromamba on the PATH; install "
            "one of them, or take this out and put it on the machine (or into the image) that runs the step"
        )
    return [requirement for requirement in found.values() if requirement is not None]


def _split_options(entries: Iterable[str]) -> tuple[list[str], list[str]]:
    requirements: list[str] = []
    options: list[str] = []
    waiting = ""  # an option whose value is the next entry
    for entry in entries:
        text = entry.strip()
        _check_line(text, "a pip requirement")
        if waiting:
            options.append(f"{waiting} {text}")
            waiting = ""
        elif text.startswith("-"):
            name, value = _option(text)
            if name in _WITH_VALUE and not value:
                waiting = _WITH_VALUE[name]
            else:
                options.append(f"{_WITH_VALUE[name]} {value}" if value else name)
        elif text and not text.startswith("#"):
            requirements.append(_requirement(text))
    if waiting:
        raise EnvironmentBuildError(f"the pip option {waiting} has no value")
    return requirements, options


def _option(text: str) -> tuple[str, str]:
    name, blank, value = re.sub(r"^(--[\w-]+)=", r"\1 ", text).partition(" ")
    value = value.strip()
    if name not in _WITH_VALUE and (name not in _FLAGS or (blank and value)):
        allowed = ", ".join(sorted({*_WITH_VALUE, *_FLAGS}))
        raise EnvironmentBuildError(
            f"the pip option {mask_url(text)!r} is not known here: expected a requirement such as 'pandas>=2', or one of {allowed}"
        )
    if value.startswith("-"):
        raise EnvironmentBuildError(
            f"the pip option {name} has no value: found {value.split()[0]!r} in its place"
        )
    return name, value


def _requirement(text: str) -> str:
    options = re.findall(r"\s(--?[A-Za-z][\w-]*)", text)
    if unknown := [option for option in options if option != "--hash"]:
        raise EnvironmentBuildError(
            f"{mask_url(text)!r}: the option {unknown[0]} is not allowed in a requirement"
        )
    local = text.rpartition(" @ ")[2]
    if (
        "://" not in local
        and (local.startswith((".", "~")) or "/" in local.partition(";")[0])
        and not os.path.isabs(local)
    ):
        raise EnvironmentBuildError(
            f"the pip requirement {text!r} is a relative path, and there is no folder that it could be relative to: "
            "give an absolute path or a URL"
        )
    return text


def _without_sdk(requirements: Iterable[str]) -> tuple[list[str], list[str]]:
    kept: list[str] = []
    left_out: list[str] = []
    for requirement in requirements:
        found = _NAME.match(requirement)
        name = re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""
        if found is None or not (name == "azureml" or name.startswith("azureml-")):
            kept.append(requirement)
            continue
        left_out.append(requirement)
        extras = _EXTRAS.match(requirement, found.end())
        if extras and "pandas" in (extra.strip().lower() for extra in extras[1].split(",")):
            kept.append("pandas")
    return kept, left_out


def _check_line(text: str, what: str) -> None:
    if not text.isprintable() or text.endswith("\\"):
        raise EnvironmentBuildError(f"expected {what} on one line, found {mask_url(text)!r}")


def _unreadable(package: str) -> EnvironmentBuildError:
    return EnvironmentBuildError(
        f"expected a conda package such as 'pandas', 'pandas=2.2' or 'pandas>=2,<3', found {package!r}; "
        "write it as a pip requirement, or install conda"
    )
