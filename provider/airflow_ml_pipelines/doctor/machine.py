"""Looks at this machine: versions, packages, what makes environments, and the cache."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

from airflow_ml_pipelines.core.amounts import size_text
from airflow_ml_pipelines.core.errors import EnvironmentBuildError
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.doctor.findings import Finding
from airflow_ml_pipelines.execution.installers import Uv, choose_installer, find_conda
from airflow_ml_pipelines.execution.interpreters import find_python
from airflow_ml_pipelines.execution.requirements import Requirements, collect_requirements

__all__ = ["examine_cache", "examine_environments", "examine_versions", "installed"]

_DISTRIBUTION = "airflow-provider-ml-pipelines"
_PROVIDERS = "apache_airflow_provider"
_PYTHON = ((3, 11), (3, 13))
_AIRFLOW = (3, 1, 8)
_OPTIONAL = (
    "docker", "kubernetes", "s3fs", "adlfs", "gcsfs", "sshfs", "aiohttp", "psycopg", "pymysql", "pymssql", "pandas",
    "libcst", "mlflow-skinny", "pyspark", "apache-airflow-providers-git", "apache-airflow-providers-databricks",
    "apache-airflow-providers-openlineage",
)  # fmt: skip
_ROOM = 1 << 30


def installed(package: str) -> str | None:
    """Return the version of a distribution, None where it is not there. It is not imported."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def examine_versions() -> Iterator[Finding]:
    """Yield which versions there are, of what is needed and of what is not."""
    python = "{}.{}.{}".format(*sys.version_info)
    low, high = (".".join(map(str, side)) for side in _PYTHON)
    if _PYTHON[0] <= sys.version_info[:2] <= _PYTHON[1]:
        yield Finding("Python", "ok", python)
    else:
        yield Finding("Python", "error", f"{python} was never tested", f"take one of {low} to {high}")
    own = installed(_DISTRIBUTION)
    if own is None:
        text = "it is used from its source and is not installed"
        yield Finding(
            _DISTRIBUTION, "warning", text, "install it (pip install), so that Airflow finds the provider"
        )
    elif not any(point.dist and point.dist.name == _DISTRIBUTION for point in entry_points(group=_PROVIDERS)):
        text = f"{own}, and Airflow is not told of it"
        yield Finding(_DISTRIBUTION, "error", text, "install it anew (pip install --force-reinstall)")
    else:
        yield Finding(_DISTRIBUTION, "ok", own)
    yield _airflow()
    there = {name: found for name in _OPTIONAL if (found := installed(name)) is not None}
    listed = ", ".join(f"{name} {found}" for name, found in there.items()) or "none"
    missing = ", ".join(name for name in _OPTIONAL if name not in there)
    yield Finding("optional packages", "ok", listed + (f"; not there: {missing}" if missing else ""))


def _airflow() -> Finding:
    found = installed("apache-airflow-core") or installed("apache-airflow")
    least = ".".join(map(str, _AIRFLOW))
    if found is None:
        advice = "DAGs can't be made here; `ml-pipelines` runs pipelines without it"
        return Finding("Airflow", "warning", "it is not installed", advice)
    if _numbers(found) < _AIRFLOW:
        return Finding("Airflow", "error", f"{found} is too old", f"take {least} or later")
    return Finding("Airflow", "ok", found)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdecimal())


def examine_environments(environments: Mapping[str, EnvironmentSpec]) -> Iterator[Finding]:
    """Yield what makes environments here, and what those of the workspace lack for it.

    Containers bring their own; so nothing is an error.
    """
    what = "environments"
    installer = choose_installer(Requirements())
    conda = find_conda()
    if isinstance(installer, Uv):
        yield Finding(what, "ok", "made by uv" + (f" and {Path(conda).name}" if conda else ""))
    else:
        advice = "install uv: it makes them in a fraction of the time (pip install uv)"
        yield Finding(what, "warning", "made by venv and pip", advice)
    for name, spec in environments.items():
        if spec.user_managed or spec.image or spec.dockerfile:
            continue
        try:
            wanted = collect_requirements(spec, with_conda=conda is not None)
            if not wanted.conda:
                find_python(wanted.python)
        except EnvironmentBuildError as error:
            yield Finding(f"environment {name}", "warning", f"it can't be made here: {error}")
        else:
            yield from (Finding(f"environment {name}", "warning", text) for text in wanted.warnings)


def examine_cache(folder: Path) -> Iterator[Finding]:
    """Yield whether environments and what is known of files can be kept in a folder."""
    what = "cache"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        advice = "let this user write there, or name another folder (ML_PIPELINES_CACHE)"
        yield Finding(what, "error", f"{folder} can't be written: {error.strerror or error}", advice)
        return
    free = shutil.disk_usage(folder).free
    text = f"{os.fspath(folder)}, {size_text(free)} free"
    if free < _ROOM:
        yield Finding(what, "warning", text, "make room, or name another folder (ML_PIPELINES_CACHE)")
    else:
        yield Finding(what, "ok", text)
