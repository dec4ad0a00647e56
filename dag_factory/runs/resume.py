"""Finishes a run that another process of this machine has left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import airflow_ml_pipelines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_ml_pipelines.core.runs.folder import RunDocument
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["main", "resume_elsewhere"]


def resume_elsewhere(workspace: Workspace, run: RunDocument) -> None:
    """Start a process that finishes a run, and wait for it; say so where that can't be done."""
    from airflow_ml_pipelines.core.runs.folder import RunFolder

    if workspace.file is None or not sys.executable:
        sys.stderr.write(f"run {run.run} was canceled, since its process ended: call wait_for_completion()\n")
        return
    RunFolder(workspace.store, run.pipeline, run.run).write_run(run)
    command = [sys.executable, "-m", __name__, str(workspace.file), run.pipeline, run.run]
    homes = [str(Path(__file__).parents[2]), str(Path(airflow_ml_pipelines.__file__).parents[1])]
    path = os.pathsep.join([*homes, *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
    while process.poll() is None:
        with suppress(KeyboardInterrupt):  # the other process gets it as well, and cancels the run
            process.wait()


def main(arguments: Sequence[str]) -> int:
    """Finish a run.

    :param arguments: the workspace file, the pipeline's name and the run's id.
    """
    from airflow_ml_pipelines.core.runs.folder import RunFolder
    from airflow_ml_pipelines.workspace_file import load_workspace
    from dag_factory.runs.here import run_here

    file, pipeline, run = arguments
    workspace = load_workspace(file)
    document = RunFolder(workspace.store, pipeline, run).read_run()
    sys.stdout.write(f"run {run} of {pipeline} goes on in a process of its own; Ctrl-C cancels it\n")
    return run_here(workspace, document, quiet=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
