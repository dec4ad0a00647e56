"""``ml-pipelines lint``: checks definitions."""

from __future__ import annotations

import argparse
import sys

from dag_factory.commands.options import Commands, UsageError

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("lint", _run, "check definitions")
    parser.add_argument(
        "path", nargs="+", metavar="PATH", help="a *.pipeline.yaml, a file.py, or a folder of them"
    )


def _run(options: argparse.Namespace) -> int:
    from dag_factory.target import find_definitions, lint_file

    files = find_definitions(options.path)
    if not files:
        raise UsageError(f"there is no *.pipeline.yaml in {', '.join(options.path)}")
    failed = 0
    for file in files:
        problem = lint_file(file)
        if problem is not None:
            failed += 1
            sys.stdout.write(f"{problem}\n")
    good = len(files) - failed
    sys.stdout.write(f"{good} of {len(files)} definition{'' if len(files) == 1 else 's'} without errors\n")
    return 1 if failed else 0
