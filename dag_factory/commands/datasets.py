"""``ml-pipelines datasets``: lists registered datasets, or the versions of one; shows how one begins."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dag_factory.commands.options import Commands, add_json, add_workspace, complete, count, open_workspace

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.workspaces.registry import DatasetRecord
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("datasets", _run, "list registered datasets, or the versions of one")
    complete(
        parser.add_argument("name", nargs="?", metavar="NAME", help="a dataset, to list its versions"),
        "datasets",
    )
    parser.add_argument("--version", type=count, metavar="N", help="this version alone")
    parser.add_argument(
        "--preview", action="store_true", help="show the first rows or files of a version, the latest"
    )
    parser.add_argument("--rows", type=count, default=20, metavar="N", help="with --preview: so many (20)")
    parser.add_argument(
        "--announce", action="store_true", help="tell Airflow of a version, so that pipelines start"
    )
    add_workspace(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    workspace = open_workspace(options)
    if options.name is None and (options.version or options.preview or options.announce):
        from airflow_ml_pipelines.core.errors import DefinitionError

        raise DefinitionError("datasets: name the dataset of which --version, --preview or --announce is")
    if not options.preview and not options.announce:
        return _list(workspace, options)
    record = workspace.dataset(options.name, options.version)
    if options.preview:
        _preview(workspace, record, options)
    if options.announce:
        from dag_factory.runs.announce import announce
        from dag_factory.terminal.printing import print_line

        announce(workspace, record)
        print_line(
            f"Airflow knows of version {record.version} of dataset {record.name!r} now", stream=sys.stderr
        )
    return 0


def _list(workspace: Workspace, options: argparse.Namespace) -> int:
    from dag_factory.terminal.printing import print_json, print_line

    if options.name is None:
        found = sorted(workspace.datasets().values(), key=lambda record: record.name)
    elif options.version is not None:
        found = [workspace.dataset(options.name, options.version)]
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


def _preview(workspace: Workspace, record: DatasetRecord, options: argparse.Namespace) -> None:
    from dag_factory.datasets.preview import preview_data
    from dag_factory.terminal.printing import print_json, print_line, print_table

    found = preview_data(workspace, record.data, options.rows)
    if options.json:
        print_json(
            {
                "schema": 1,
                "dataset": record.name,
                "version": record.version,
                "columns": found.columns,
                "rows": found.rows,
                "more": found.more,
            }
        )
        return
    print_table(
        list(found.columns), [["" if value is None else value for value in row] for row in found.rows]
    )
    if found.more:
        print_line("…")


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
