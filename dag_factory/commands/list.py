"""``ml-pipelines list``: lists the pipelines of a folder."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dag_factory.commands.options import Commands, UsageError, add_json, add_workspace, open_workspace

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace
    from dag_factory.models.schedule import ScheduleDefinition

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("list", _run, "list the pipelines of a folder, and how their last runs ended")
    parser.add_argument(
        "folder", nargs="?", default=".", metavar="FOLDER", help="where (the current folder, and below)"
    )
    add_workspace(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    from airflow_ml_pipelines.definition_files import find_pipeline_files
    from dag_factory.terminal.printing import moment_text, print_json, print_line, print_table

    folder = Path(options.folder)
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder} (in {Path.cwd()})")
    workspace = _workspace(options)
    found = [_describe(file, workspace) for file in find_pipeline_files(folder)]
    failed = [item["error"] for item in found if item["error"]]
    if options.json:
        print_json({"schema": 1, "pipelines": found})
    elif not found:
        print_line(f"there is no *.pipeline.yaml in {folder}")
    else:
        rows = []
        for item in found:
            run = item["last_run"] or {"run": "", "status": "", "started": None}
            status = "error" if item["error"] else run["status"]
            started = "" if run["started"] is None else moment_text(run["started"])
            steps = "" if item["steps"] is None else str(len(item["steps"]))
            rows.append(
                (item["name"], item["schedule"] or "", steps, status, run["run"], started, item["file"])
            )
        print_table(("PIPELINE", "SCHEDULE", "STEPS", "STATUS", "LAST RUN", "STARTED", "FILE"), rows)
        for text in failed:
            print_line(text)
    return 1 if failed else 0


def _workspace(options: argparse.Namespace) -> Workspace | None:
    """Open the workspace; None where there is none, unless one was named."""
    from airflow_ml_pipelines.core.errors import WorkspaceError
    from airflow_ml_pipelines.workspace_file import find_workspace_file

    options.file = os.path.join(options.folder, "")
    named = options.workspace or os.environ.get("ML_PIPELINES_WORKSPACE")
    if not named and find_workspace_file(options.folder) is None:
        return None
    try:
        return open_workspace(options)
    except WorkspaceError:
        if options.workspace:
            raise
        return None


def _describe(file: Path, workspace: Workspace | None) -> dict[str, Any]:
    """Return what is to be said of a definition; what can't be read of one that is wrong is None."""
    from airflow_ml_pipelines.core.errors import MlPipelinesError
    from airflow_ml_pipelines.definition_files import name_in, pipeline_name
    from dag_factory.definitions.definition import PipelineDefinition

    item: dict[str, Any] = {
        "name": name_in(file) or pipeline_name(file),
        "file": str(file),
        "description": None,
        "schedule": None,
        "steps": None,
        "last_run": None,
        "error": None,
    }
    try:
        definition = PipelineDefinition.from_yaml(file)
        spec = definition.to_spec()
        item |= {
            "name": definition.name,
            "description": definition.description,
            "schedule": _schedule(definition.schedule),
            "steps": [step.id for step in spec.steps],
        }
    except MlPipelinesError as error:
        item["error"] = str(error)
    if workspace is not None:
        item["last_run"] = _last_run(workspace, item["name"])
    return item


def _last_run(workspace: Workspace, pipeline: str) -> dict[str, Any] | None:
    from airflow_ml_pipelines.core.runs.folder import find_latest_run

    folder = find_latest_run(workspace.store, pipeline)
    if folder is None:
        return None
    return {"run": folder.run, "status": folder.status(), "started": folder.read_run().started}


def _schedule(schedule: ScheduleDefinition | None) -> str | None:
    from airflow_ml_pipelines.core.amounts import seconds_text

    if schedule is None:
        return None
    if schedule.cron is not None:
        return f"{schedule.cron} {schedule.timezone}" if schedule.timezone else schedule.cron
    if schedule.every is not None:
        return f"every {seconds_text(schedule.every)}"
    assets = (*schedule.datasets, *schedule.assets)
    return f"{schedule.mode} of {', '.join(assets)}" if assets else schedule.timetable
