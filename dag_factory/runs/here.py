"""Runs a pipeline in this process while somebody looks on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dag_factory.terminal.console import Console
from dag_factory.terminal.interrupt import INTERRUPTED, Interrupt

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.runs.folder import RunDocument
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["run_here"]


def run_here(
    workspace: Workspace, run: RunDocument, *, quiet: bool = False, parallel: int | None = None
) -> int:
    """Run a pipeline in this process, say how it goes, and return the exit code.

    :param quiet: whether to leave out what scripts print.
    """
    from airflow_ml_pipelines.execution.runner import run_pipeline

    names = {step.id: step.name for step in run.spec.steps}
    with (
        Interrupt("canceling the run; once more to leave at once") as interrupt,
        Console(sys.stdout, names, quiet=quiet) as console,
    ):
        outcome = run_pipeline(workspace, run, listener=console, cancel=interrupt.event, parallel=parallel)
        console.end(run, outcome)
        if interrupt.event.is_set():
            return INTERRUPTED
    return 0 if outcome.status == "Finished" else 1
