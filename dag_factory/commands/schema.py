"""``ml-pipelines schema``: prints the JSON schema of what people write."""

from __future__ import annotations

import argparse
import json
import sys

from dag_factory.commands.options import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("schema", _run, "print the JSON schema of definitions, for editors")
    parser.add_argument("--workspace", action="store_true", help="of workspace.yaml instead")


def _run(options: argparse.Namespace) -> int:
    from dag_factory.definitions.schema import pipeline_schema, workspace_schema

    schema = workspace_schema() if options.workspace else pipeline_schema()
    sys.stdout.write(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
    return 0
