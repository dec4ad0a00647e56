"""``ml-pipelines run``: runs a pipeline in this process."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from dag_factory.commands.interrupt import Interrupt
from dag_factory.commands.options import (
    INTERRUPTED,
    Commands,
    add_parameters,
    add_pipeline,
    count,
    new_run_of,
    open_pipeline,
)

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.runs.folder import RunDocument
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["add", "run_here"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("run", _run, "run a pipeline in this process")
    add_pipeline(parser)
    add_parameters(parser)
    parser.add_argument(
        "--continue-on-step-failure", action="store_true", help="run what does not need a failed step"
    )
    parser.add_argument(
        "--parallel", type=count, metavar="N", help="scripts that run at once (one a processor)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="leave out what the scripts print")


def _run(options: argparse.Namespace) -> int:
    spec, experiment, workspace = open_pipeline(options)
    run = new_run_of(
        options, spec, experiment, continue_on_step_failure=True if options.continue_on_step_failure else None
    )
    return run_here(workspace, run, quiet=options.quiet, parallel=options.parallel)


def run_here(
    workspace: Workspace, run: RunDocument, *, quiet: bool = False, parallel: int | None = None
) -> int:
    """Run a pipeline in this process, say how it goes, and return the exit code.

    :param quiet: whether to leave out what scripts print.
    """
    from airflow_ml_pipelines.execution.runner import run_pipeline
    from dag_factory.terminal.console import Console

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
