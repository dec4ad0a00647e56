"""``ml-pipelines datasets``: lists registered datasets, or the versions of one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dag_factory.commands.options import Commands, add_json, add_workspace, complete, open_workspace

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.workspaces.registry import DatasetRecord

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("datasets", _run, "list registered datasets, or the versions of one")
    complete(
        parser.add_argument("name", nargs="?", metavar="NAME", help="a dataset, to list its versions"),
        "datasets",
    )
    add_workspace(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    from dag_factory.terminal.printing import print_json, print_line

    workspace = open_workspace(options)
    if options.name is None:
        found = sorted(workspace.datasets().values(), key=lambda record: record.name)
    else:
        latest = workspace.dataset(options.name)  # an error where there is none
        versions = workspace.dataset_versions(options.name)
        found = [
            latest if version == latest.version else workspace.dataset(options.name, version)
            for version in reversed(versions)
        ]
    if options.json:
        print_json({"schema": 1, "datasets": found})
    elif found:
        _print(found)
    else:
        print_line("no dataset is registered")
    return 0


def _print(found: Sequence[DatasetRecord]) -> None:
    from airflow_ml_pipelines.core.amounts import size_text
    from dag_factory.terminal.printing import moment_text, print_table

    print_table(
        ("NAME", "VERSION", "FILES", "SIZE", "REGISTERED", "ORIGIN", "DATA"),
        [
            (
                record.name,
                str(record.version),
                "" if record.files is None else str(record.files),
                "" if record.size is None else size_text(record.size),
                moment_text(record.created),
                _origin(record),
                ", ".join(
                    item.path if item.datastore is None else f"{item.datastore}:{item.path}"
                    for item in record.data.locations
                ),
            )
            for record in found
        ],
    )


def _origin(record: DatasetRecord) -> str:
    origin = record.origin
    return "" if origin is None else f"step {origin.step} of {origin.pipeline}, run {origin.run}"
