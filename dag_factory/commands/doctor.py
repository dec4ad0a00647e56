"""``ml-pipelines doctor``: says whether everything is as pipelines need it."""

from __future__ import annotations

import argparse
import sys

from dag_factory.commands.options import Commands, add_json, add_workspace, duration

__all__ = ["add"]

_SIGNS = {"ok": "✓", "warning": "!", "error": "✗"}


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("doctor", _run, "say what is wrong here, and what to do")
    parser.add_argument(
        "--timeout",
        type=duration,
        metavar="TIME",
        help="how long each look may take, such as 5s or 1m; all are taken at once (20s)",
    )
    add_workspace(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    from airflow_ml_pipelines.doctor import SECONDS, examine
    from dag_factory.terminal.printing import paint, print_json, print_line

    found = []
    for finding in examine(options.workspace, seconds=options.timeout or SECONDS):
        found.append(finding)
        if not options.json:
            sign = paint(_SIGNS[finding.level], finding.level, sys.stdout)
            print_line(f"{sign} {finding.what}: {finding.text}")
            if finding.advice:
                print_line(f"    → {finding.advice}")
            sys.stdout.flush()
    errors = sum(finding.level == "error" for finding in found)
    warnings = sum(finding.level == "warning" for finding in found)
    if options.json:
        print_json({"schema": 1, "errors": errors, "warnings": warnings, "findings": found})
    elif errors or warnings:
        print_line(f"{_count(errors, 'error')}, {_count(warnings, 'warning')}")
    else:
        print_line("everything is as it should be")
    return 1 if errors else 0


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
