"""Brings JARs, eggs and wheels that lie elsewhere to this machine, where Spark's driver is."""

from __future__ import annotations

import posixpath
from typing import Any

import msgspec

from airflow_ml_pipelines.core.databricks.code import FILE_LIBRARIES, fetch_library, open_shelf
from airflow_ml_pipelines.core.files.digest import digest_bytes
from airflow_ml_pipelines.core.spec import DatabricksSpec, StepSpec
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.store import join
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["bring_libraries"]


def bring_libraries(workspace: Workspace, step: StepSpec) -> DatabricksSpec:
    """Return what a step runs, with its libraries by their paths on this machine.

    They are kept with the environments, once for each content.

    :raises MlPipelinesError: where one is not there, or can't be read from here.
    """
    databricks = step.databricks
    assert databricks is not None
    libraries = tuple(_bring(workspace, step, item) for item in databricks.libraries)
    return msgspec.structs.replace(databricks, libraries=libraries)


def _bring(workspace: Workspace, step: StepSpec, library: dict[str, Any]) -> dict[str, Any]:
    ((kind, uri),) = library.items()
    if kind not in FILE_LIBRARIES:
        return library
    shelf = open_shelf(workspace.compute_target(step.compute_target))
    data = fetch_library(workspace, shelf, uri)
    if data is None:  # what Spark itself knows where to find
        return library
    kept = LocalStore(workspace.cache_directory / "libraries")
    path = join(digest_bytes(data)[:32], posixpath.basename(uri))
    if kept.info(path) is None:
        kept.put(path, data)
    return {kind: str(kept.root / path)}
