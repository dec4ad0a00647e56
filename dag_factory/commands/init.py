"""``ml-pipelines init``: makes a workspace."""

from __future__ import annotations

import argparse
import os

from dag_factory.commands.options import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("init", _run, "make a workspace")
    parser.add_argument("folder", nargs="?", default=".", help="where (the current folder)")
    parser.add_argument("--name", help="its name (the folder's)")


def _run(options: argparse.Namespace) -> int:
    from airflow_ml_pipelines.core.errors import WorkspaceError
    from airflow_ml_pipelines.workspace_file import FILE_NAME
    from dag_factory.workspace import Workspace

    folder = os.path.abspath(options.folder)
    if os.path.exists(file := os.path.join(folder, FILE_NAME)):
        raise WorkspaceError(f"there is a workspace already, and it was left as it is: {file}")
    Workspace.create(options.name or os.path.basename(folder) or "workspace", folder=folder)
    return 0
