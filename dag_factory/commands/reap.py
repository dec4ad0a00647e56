"""``ml-pipelines reap``: removes what compute targets still have of jobs that nobody needs."""

from __future__ import annotations

import argparse

from dag_factory.commands.options import Commands, add_workspace, count, open_workspace

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("reap", _run, "remove containers and the like that nobody needs")
    parser.add_argument("target", nargs="*", metavar="TARGET", help="compute targets (all)")
    parser.add_argument("--dry-run", action="store_true", help="only show them")
    parser.add_argument(
        "--unwatched",
        type=count,
        default=3600,
        metavar="SECONDS",
        help="give up what nobody has followed for so long (3600)",
    )
    add_workspace(parser)


def _run(options: argparse.Namespace) -> int:
    from airflow_ml_pipelines.execution.reaper import reap
    from dag_factory.terminal.printing import print_line, print_table

    workspace = open_workspace(options)
    rows = [
        (name, str(item.owner), item.reason)
        for name in options.target or workspace.compute_targets()
        for item in reap(workspace, name, unwatched=options.unwatched, dry=options.dry_run)
    ]
    if rows:
        print_table(("TARGET", "WOULD BE REMOVED" if options.dry_run else "REMOVED", "REASON"), rows)
    else:
        print_line("there is nothing that nobody needs")
    return 0
