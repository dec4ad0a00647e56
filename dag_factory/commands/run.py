"""``ml-pipelines run``: runs a pipeline in this process."""

from __future__ import annotations

import argparse

from dag_factory.commands.options import (
    Commands,
    add_parameters,
    add_pipeline,
    count,
    new_run_of,
    open_pipeline,
)

__all__ = ["add"]


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
    from dag_factory.runs.here import run_here

    spec, experiment, workspace = open_pipeline(options)
    run = new_run_of(
        options, spec, experiment, continue_on_step_failure=True if options.continue_on_step_failure else None
    )
    return run_here(workspace, run, quiet=options.quiet, parallel=options.parallel)
