"""``ml-pipelines migrate``: moves code that was written for Azure ML SDK v1."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dag_factory.commands.convert import INCOMPLETE
from dag_factory.commands.options import Commands, UsageError, add_json

if TYPE_CHECKING:
    from dag_factory.migrate.files import Migration

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("migrate", _run, "move code that was written for Azure ML SDK v1")
    parser.add_argument("path", nargs="+", metavar="PATH", help="a .py, an .ipynb, or a folder of them")
    parser.add_argument("--write", action="store_true", help="change the files; else the changes are shown")
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    if find_spec("libcst") is None:
        raise UsageError("it needs libcst to read code: pip install 'airflow-provider-ml-pipelines[migrate]'")
    from dag_factory.migrate.files import find_sources, migrate_file, write_migration
    from dag_factory.terminal.printing import print_json

    files = find_sources(options.path)
    found = [
        item for item in map(migrate_file, files) if item is not None
    ]  # all are read before one is written
    if options.write:
        for item in found:
            write_migration(item)
    if options.json:
        print_json({"schema": 1, "written": options.write, "files": [_document(item) for item in found]})
    else:
        _print(found, len(files), written=options.write)
    return INCOMPLETE if any(item.findings for item in found) else 0


def _document(item: Migration) -> dict[str, object]:
    return {
        "file": str(item.file),
        "changed": item.text is not None,
        "step_script": item.is_step,
        "diff": item.diff,
        "problems": [
            {"file": at.file, "line": at.line, "column": at.column, "message": at.message}
            for at in item.findings
        ],
    }


def _print(found: list[Migration], count: int, *, written: bool) -> None:
    for item in found:
        if not written:
            sys.stdout.write(item.diff)
        if item.is_step:
            sys.stdout.write(f"{item.file}: the script of a step: it runs as it is\n")
    sys.stdout.flush()
    for item in found:
        for finding in item.findings:
            sys.stderr.write(f"{finding}\n")
    changed = sum(item.text is not None for item in found)
    left = sum(len(item.findings) for item in found)
    files = f"{changed} of {count} file{'' if count == 1 else 's'}"
    sys.stderr.write(f"{files} {'changed' if written else 'would change: --write does it'}")
    sys.stderr.write(f"; {left} thing{'' if left == 1 else 's'} without a counterpart\n" if left else "\n")
