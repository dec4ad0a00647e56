"""``ml-pipelines plan``: says what a run would do, and why."""

from __future__ import annotations

import argparse
import sys

from dag_factory.commands.options import Commands, add_parameters, add_pipeline, new_run_of, open_pipeline

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("plan", _run, "say what a run would do and why; runs nothing")
    add_pipeline(parser)
    add_parameters(parser)


def _run(options: argparse.Namespace) -> int:
    from airflow_ml_pipelines.core.plan import make_plan
    from dag_factory.console import Progress, show_plan

    spec, experiment, workspace = open_pipeline(options)
    run = new_run_of(options, spec, experiment)
    progress = Progress(sys.stderr)
    try:
        plan = make_plan(workspace, run, dry=True, on_progress=progress)
    finally:
        progress.end()
    show_plan(sys.stdout, spec, plan)
    return 0
