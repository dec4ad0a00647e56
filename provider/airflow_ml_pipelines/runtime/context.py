"""What a script's process knows of the step's run: the launcher's document, or nothing at all on a laptop.

The launcher writes one JSON document and names it in ``ML_PIPELINES_RUN``. Without it a script runs *offline*: the same
calls work, metrics are printed, files go to ``./outputs`` and ``./logs``.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DocumentError
from airflow_ml_pipelines.runtime.artifacts import Artifacts
from airflow_ml_pipelines.runtime.journal import FileJournal, Journal, MemoryJournal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VARIABLE", "Context", "present_context"]

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


_present: list[Context] = []


def present_context(*, allow_offline: bool = True) -> Context | None:
    """Return what this process knows of its run, which is found out once.

    Without an orchestrator that is a context for a script that nobody orchestrates, with one warning; None where that
    is not allowed.

    :raises DocumentError: where the launcher's document can't be read.
    """
    if not _present:
        context = _read_context()
        if context is None and allow_offline:
            print(  # noqa: T201 - a script's warning goes to its own standard error
                "warning: no orchestrator runs this script: metrics are printed and kept in memory, and files of "
                "the run go to ./outputs and ./logs",
                file=sys.stderr,
            )
            context = _offline_context()
        if context is not None:
            _present.append(context)
    if not _present or (_present[0].offline and not allow_offline):
        return None
    return _present[0]


def _read_context() -> Context | None:
    """Return the launcher's context, None where no launcher started this process."""
    path = os.environ.get(VARIABLE)
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


def _offline_context() -> Context:
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
