"""What a script's process knows of the step's run: the launcher's document, or nothing at all on a laptop.

The launcher writes one JSON document and names it in ``ML_PIPELINES_RUN``. Without it a script runs *offline*: the same
calls work, metrics are printed, files go to ``./outputs`` and ``./logs``.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DocumentError
from airflow_ml_pipelines.runtime.artifacts import Artifacts
from airflow_ml_pipelines.runtime.journal import FileJournal, Journal, MemoryJournal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VARIABLE", "Context", "offline_context", "read_context"]

VARIABLE = "ML_PIPELINES_RUN"
"""The environment variable that names the launcher's document."""

_ROOT = ".ml-pipelines"


class Context:
    """What is known of the run.

    :param document: ``run``, ``workspace``, ``parent_folder``, ``inputs``, ``outputs``, ``tags``, ``properties``, …
    :param journal: where events are kept.
    :param artifacts: the files of the run.
    """

    def __init__(
        self, document: Mapping[str, Any], journal: Journal, artifacts: Artifacts, *, offline: bool = False
    ) -> None:
        self.journal = journal
        self.artifacts = artifacts
        self.offline = offline
        self.run: Mapping[str, Any] = document["run"]
        self.workspace: Mapping[str, Any] = document["workspace"]
        self.parent_folder: str | None = document.get("parent_folder")
        self.inputs: Mapping[str, Mapping[str, Any]] = document.get("inputs") or {}
        self.outputs: Mapping[str, str] = document.get("outputs") or {}
        self.tags: Mapping[str, str] = document.get("tags") or {}
        self.properties: Mapping[str, str] = document.get("properties") or {}
        self.parameters: Mapping[str, Any] = document.get("pipeline_parameters") or {}
        self.script: str = document.get("script") or ""
        self.started: float = document.get("started") or 0.0


def read_context(environment: Mapping[str, str]) -> Context | None:
    """Return the launcher's context, None where no launcher started this process.

    :raises DocumentError: where its document can't be read.
    """
    path = environment.get(VARIABLE)
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read())
        artifacts = Artifacts(document["folder"], document["directory"])
        return Context(document, FileJournal(document["events"]), artifacts)
    except FileNotFoundError:
        raise DocumentError(
            f"{VARIABLE} names {path}, which is gone: the step has ended, or the variable is left over from another one; "
            "unset it to run without an orchestrator"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DocumentError(f"{VARIABLE} names {path}, which is no run: {error!r}") from None


def offline_context() -> Context:
    """Return a context for a script that nobody orchestrates."""
    import uuid

    directory = os.getcwd()
    root = _workspace_root(directory)
    datastores = {
        name: os.path.join(root, "data", name) for name in ("workspaceblobstore", "workspacefilestore")
    }
    document = {
        "run": {
            "workspace": "offline",
            "experiment": "offline",
            "pipeline": "offline",
            "run": f"OfflineRun_{uuid.uuid4()}",
            "step": "offline",
            "step_name": "offline",
            "attempt": 1,
            "id": f"OfflineRun_{uuid.uuid4()}",
        },
        "workspace": {
            "name": "offline",
            "root": root,
            "datastores": datastores,
            "default_datastore": "workspaceblobstore",
        },
    }
    return Context(document, MemoryJournal(), Artifacts(directory, directory, offline=True), offline=True)


def _workspace_root(directory: str) -> str:
    """Return the root of the workspace whose folder this is in, else the one that a workspace made here would have."""
    folder = directory
    while True:
        root = os.path.join(folder, _ROOT)
        if os.path.isdir(root):
            return root
        parent = os.path.dirname(folder)
        if parent == folder:
            return os.path.join(directory, _ROOT)
        folder = parent
