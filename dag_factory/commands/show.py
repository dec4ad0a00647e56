"""``ml-pipelines show``: shows a run, or the latest runs."""

from __future__ import annotations

import argparse
import sys

from dag_factory.commands.options import Commands, add_workspace, count, open_workspace

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("show", _run, "show a run, or the latest runs")
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's id, or <pipeline>/<id>")
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="runs to list (20)")
    add_workspace(parser)


def _run(options: argparse.Namespace) -> int:
    from airflow_ml_pipelines.core.runs import open_run
    from dag_factory.console import show_run, show_runs

    workspace = open_workspace(options)
    if options.run is None:
        show_runs(sys.stdout, workspace.store, options.limit)
    else:
        show_run(sys.stdout, open_run(workspace.store, options.run))
    return 0
