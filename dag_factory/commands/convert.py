"""``ml-pipelines convert``: makes definitions of pipelines of Azure ML CLI v2."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dag_factory.commands.options import Commands, UsageError

__all__ = ["INCOMPLETE", "add"]

INCOMPLETE = 3
"""The exit code where something could not be carried over."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("convert", _run, "make a definition of a pipeline of Azure ML CLI v2")
    parser.add_argument("file", metavar="FILE", help="a pipeline job, a command job or a schedule, in YAML")
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="where to write it (standard output); no file is written over"
    )


def _run(options: argparse.Namespace) -> int:
    from dag_factory.convert import convert_file

    target = None if options.output is None else Path(options.output)
    if target is not None and not target.name.endswith((".pipeline.yaml", ".pipeline.yml")):
        raise UsageError(f"-o {target}: expected a name that ends with .pipeline.yaml")
    conversion = convert_file(Path(options.file), None if target is None else target.parent)
    if target is None:
        sys.stdout.write(conversion.text)
    else:
        _write(target, conversion.text)
    sys.stdout.flush()
    for finding in conversion.findings:
        sys.stderr.write(f"{finding}\n")
    if not conversion.findings:
        return 0
    count = len(conversion.findings)
    sys.stderr.write(f"{count} thing{'' if count == 1 else 's'} could not be carried over\n")
    return INCOMPLETE


def _write(target: Path, text: str) -> None:
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"-o {target}: it is there already: name another file, or remove it first") from None
