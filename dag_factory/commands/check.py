"""``ml-pipelines check``: says whether what lies in a workspace is consistent."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from dag_factory.commands.options import Commands, add_json, add_workspace, open_workspace

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.check import Level

__all__ = ["add"]

_LEVELS: tuple[Level, ...] = ("broken", "damaged", "note")


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("check", _run, "say whether what lies in the workspace is consistent")
    parser.add_argument(
        "--no-data",
        action="store_true",
        help="don't compare outputs with the files that they had, for which datastores are listed",
    )
    add_workspace(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    from airflow_ml_pipelines.core.check import check_workspace
    from dag_factory.terminal.printing import print_json, print_line, print_table

    found = list(check_workspace(open_workspace(options), data=not options.no_data))
    counts = Counter(finding.level for finding in found)
    if options.json:
        print_json({"schema": 1, **{level: counts[level] for level in _LEVELS}, "findings": found})
    elif found:
        print_table(("LEVEL", "PATH", "FINDING"), [(item.level, item.path, item.text) for item in found])
        print_line(", ".join(f"{counts[level]} {level}" for level in _LEVELS if counts[level]))
    else:
        print_line("everything is consistent")
    return 1 if counts["broken"] or counts["damaged"] else 0
