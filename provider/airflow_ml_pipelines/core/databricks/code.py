"""Finds what a step runs that lies elsewhere: notebooks of a Databricks workspace, scripts, JARs and wheels.

Only content is digested. A notebook has the same digest wherever it lies, so what ran on Databricks is reused by a run of
the same source on another Spark.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Protocol

from airflow_ml_pipelines.core.databricks.client import DatabricksClient, open_client
from airflow_ml_pipelines.core.databricks.notebook import called, included, is_notebook, join_path
from airflow_ml_pipelines.core.databricks.request import existing_cluster
from airflow_ml_pipelines.core.errors import (
    ComputeTargetException,
    DefinitionError,
    MlPipelinesError,
    NotFoundError,
)
from airflow_ml_pipelines.core.files.digest import digest_bytes
from airflow_ml_pipelines.core.spec import DatabricksSpec, StepSpec
from airflow_ml_pipelines.core.stores.locations import split_url
from airflow_ml_pipelines.core.workspaces.registry import ComputeTargetSpec
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["FILE_LIBRARIES", "Shelf", "digest_code", "fetch_library", "fetch_notebooks", "open_shelf"]

FILE_LIBRARIES = ("jar", "egg", "whl")
"""Libraries that are files, by their fields in Databricks' API."""

_NOTEBOOKS = ("", ".py", ".ipynb")
_REMOTE = ("dbfs:", "/Volumes/", "/Workspace/")


class Shelf(Protocol):
    """Where code lies that is named by its path on Databricks."""

    def notebook(self, path: str) -> bytes:
        """Return the source of a notebook. :raises NotFoundError: where there is none."""

    def file(self, path: str) -> bytes:
        """Return the bytes of a file. :raises NotFoundError: where there is none."""


class _Databricks:
    def __init__(self, client: DatabricksClient) -> None:
        self._client = client

    def notebook(self, path: str) -> bytes:
        return self._client.export(path)

    def file(self, path: str) -> bytes:
        return self._client.read(path)


class _Folders:
    """Folders of this machine that stand for Databricks' places, for a Spark without it."""

    def __init__(self, spec: ComputeTargetSpec) -> None:
        self._where = f"compute target {spec.name!r}"
        self._workspace = spec.options.get("notebooks")
        self._dbfs = spec.options.get("dbfs")

    def notebook(self, path: str) -> bytes:
        root = self._root(self._workspace, "notebooks", path)
        for ending in _NOTEBOOKS:
            file = _below(root, path.removeprefix("/Workspace") + ending)
            if file.is_file():
                return file.read_bytes()
        raise NotFoundError(f"{self._where}: there is no notebook {path!r} in {root}")

    def file(self, path: str) -> bytes:
        if path.startswith(("dbfs:", "/Volumes/")):
            root = self._root(self._dbfs, "dbfs", path)
        else:
            root = self._root(self._workspace, "notebooks", path)
        file = _below(root, path.removeprefix("dbfs:").removeprefix("/Workspace"))
        if not file.is_file():
            raise NotFoundError(f"{self._where}: there is no file {path!r} in {root}")
        return file.read_bytes()

    def _root(self, folder: object, option: str, path: str) -> Path:
        if not isinstance(folder, str):
            raise ComputeTargetException(
                f"{self._where} is no Databricks workspace, where {path!r} lies: give it `{option}`, a folder with what "
                "lies there, or keep the code in the step's source_directory"
            )
        return Path(folder).expanduser()


def open_shelf(spec: ComputeTargetSpec) -> Shelf:
    """Return where a compute target finds code. :raises ComputeTargetException: where that can't be told."""
    return _Databricks(open_client(spec)) if spec.type == "databricks" else _Folders(spec)


def digest_code(workspace: Workspace, step: StepSpec) -> dict[str, str]:
    """Return the digests of what a step runs that lies elsewhere, and its Spark version.

    :raises MlPipelinesError: where something is not there, or can't be asked for.
    """
    databricks = step.databricks
    assert databricks is not None
    target = workspace.compute_target(step.compute_target)
    shelf = open_shelf(target) if databricks.path or _libraries(databricks) else None
    found: dict[str, str] = {}
    if version := _spark_version(databricks, target):
        found["spark_version"] = version
    if shelf is None:
        return found
    try:
        if databricks.form == "notebook" and databricks.path:
            for path, source in fetch_notebooks(shelf, databricks.path).items():
                top = path == databricks.path
                label = (
                    "notebook"
                    if top
                    else f"notebook {posixpath.relpath(path, posixpath.dirname(databricks.path))}"
                )
                found[label] = digest_bytes(source)
        elif databricks.path:
            found["script"] = digest_bytes(shelf.file(databricks.path))
        for uri in _libraries(databricks):
            found[f"library {posixpath.basename(uri)}"] = _digest_library(workspace, shelf, uri)
    except NotFoundError as error:
        raise DefinitionError(f"step {step.name!r}: {error}") from None
    return found


def fetch_notebooks(shelf: Shelf, path: str) -> dict[str, bytes]:
    """Return the source of a notebook, and of those that it runs, by their paths.

    What ``dbutils.notebook.run`` names is left out where it is not there: it may never be run.

    :raises NotFoundError: where the notebook is not there, or one that it runs by ``%run``.
    """
    found: dict[str, bytes] = {}
    left = [(path, True)]
    while left:
        current, needed = left.pop()
        if current in found:
            continue
        try:
            source = shelf.notebook(current)
        except NotFoundError:
            if needed:
                raise
            continue
        found[current] = source
        if is_notebook(source, current):
            left += [(join_path(current, other), False) for other in called(source, current)]
            left += [(join_path(current, other), needed) for other in included(source, current)]
    return found


def fetch_library(workspace: Workspace, shelf: Shelf, uri: str) -> bytes | None:
    """Return the bytes of a JAR, an egg or a wheel; None where its path means something to a cluster alone.

    :raises MlPipelinesError: where it is not there, or can't be read from here.
    """
    if uri.startswith(_REMOTE):
        return shelf.file(uri)
    if "://" not in uri:
        return None
    store, path = split_url(uri)
    return workspace.open_url(store).get(path)


def _libraries(databricks: DatabricksSpec) -> list[str]:
    return [str(item[name]) for item in databricks.libraries for name in FILE_LIBRARIES if name in item]


def _digest_library(workspace: Workspace, shelf: Shelf, uri: str) -> str:
    """Return the digest of a library's bytes, "" where they can't be read from here."""
    try:
        data = fetch_library(workspace, shelf, uri)
    except NotFoundError:
        raise
    except MlPipelinesError:
        if uri.startswith(_REMOTE):
            raise
        return ""
    return "" if data is None else digest_bytes(data)


def _spark_version(databricks: DatabricksSpec, target: ComputeTargetSpec) -> str | None:
    options = target.options
    if target.type == "databricks" and (existing := existing_cluster(databricks, options)):
        return str(open_client(target).cluster(existing).get("spark_version", "")) or None
    version = databricks.spark_version or options.get("spark_version")
    if version is None and target.type == "databricks" and not databricks.serverless:
        version = (options.get("cluster") or {}).get("spark_version")
    return None if version is None else str(version)


def _below(root: Path, path: str) -> Path:
    file = (root / path.lstrip("/")).resolve()
    if not file.is_relative_to(root.resolve()):
        raise DefinitionError(f"the path {path!r} leaves {root}")
    return file
