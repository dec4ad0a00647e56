"""``ml-pipelines lint``: checks definitions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dag_factory.commands.options import Commands, UsageError

if TYPE_CHECKING:
    from airflow_ml_pipelines.written.source import Finding

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("lint", _run, "check definitions")
    parser.add_argument(
        "path",
        nargs="+",
        metavar="PATH",
        help="a *.pipeline.yaml, a file.py, a workspace.yaml, or a folder of definitions",
    )
    parser.add_argument(
        "--workspace",
        metavar="PATH",
        help="a workspace.yaml or its folder, in which names are looked up (the nearest above each file)",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json", "github"),
        default="text",
        help="how to say it: for people, as one JSON document, as annotations of GitHub Actions",
    )


def _run(options: argparse.Namespace) -> int:
    from dag_factory.pipelines.lint import find_definitions, lint_files
    from dag_factory.pipelines.lint_names import WorkspaceNames

    files = find_definitions(options.path)
    if not files:
        raise UsageError(f"there is no *.pipeline.yaml in {', '.join(options.path)}")
    names = WorkspaceNames(options.workspace)
    found = lint_files(files, names)
    sys.stderr.writelines(f"note: {text}\n" for text in names.notes)
    findings = [finding for group in found.values() for finding in group]
    if options.format == "json":
        _print_json(len(files), findings)
        return 1 if findings else 0
    show = _annotation if options.format == "github" else str
    sys.stdout.writelines(f"{show(finding)}\n" for finding in findings)
    good = sum(not group for group in found.values())
    sys.stdout.write(f"{good} of {len(files)} definition{'' if len(files) == 1 else 's'} without errors\n")
    return 1 if findings else 0


def _print_json(checked: int, findings: Sequence[Finding]) -> None:
    from dag_factory.terminal.printing import print_json

    problems = [
        {
            "file": finding.file,
            "line": finding.line,
            "column": finding.column,
            "end_column": finding.column + finding.length,
            "message": finding.message,
        }
        for finding in findings
    ]
    print_json({"schema": 1, "checked": checked, "problems": problems})


def _annotation(finding: Finding) -> str:
    """Return a finding as a command of GitHub Actions, which shows it beside the line."""
    end = finding.column + finding.length
    place = f"line={finding.line},endLine={finding.line},col={finding.column},endColumn={end}"
    return (
        f"::error file={_escaped(finding.file, ':,')},{place},title=ml-pipelines::{_escaped(finding.message)}"
    )


def _escaped(text: str, characters: str = "") -> str:
    for character in f"%\r\n{characters}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
