"""``ml-pipelines show``: shows a run, or the latest runs."""

from __future__ import annotations

import argparse
import sys
from itertools import starmap
from typing import TYPE_CHECKING

from dag_factory.commands.options import Commands, add_json, add_workspace, complete, count, open_workspace

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.runs.folder import RunFolder
    from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("show", _run, "show a run, or the latest runs")
    complete(
        parser.add_argument("run", nargs="?", metavar="RUN", help="a run's id, or <pipeline>/<id>"), "runs"
    )
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="runs to list (20)")
    add_workspace(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    from airflow_ml_pipelines.core.runs.folder import open_run

    workspace = open_workspace(options)
    if options.run is None:
        _show_runs(workspace.store, options.limit, as_json=options.json)
    else:
        _show_run(open_run(workspace.store, options.run), as_json=options.json)
    return 0


def _show_run(folder: RunFolder, *, as_json: bool) -> None:
    from airflow_ml_pipelines.core.amounts import seconds_text
    from dag_factory.terminal.narrate import narrate_output
    from dag_factory.terminal.printing import moment_text, paint, print_json, print_line, print_table

    run = folder.read_run()
    status = folder.status()
    documents = folder.steps()
    result = folder.read_result()
    if as_json:
        found = {"run": run, "status": status, "result": result, "plan": folder.read_plan()}
        print_json({"schema": 1, **found, "steps": list(documents.values())})
        return
    shown = paint(status, status, sys.stdout)
    print_line(f"run {run.run} of {run.pipeline}, experiment {run.experiment}: {shown}")
    print_line(f"started {moment_text(run.started)}")
    if run.parameters:
        print_line("parameters " + ", ".join(starmap("{}={!r}".format, run.parameters.items())))
    names = {step.id: step.name for step in run.spec.steps}
    rows = []
    for step, document in documents.items():
        seconds = "" if document.seconds is None else seconds_text(document.seconds)
        outputs = ", ".join(narrate_output(name, output) for name, output in document.outputs.items())
        rows.append((names.get(step, step), document.status, seconds, "; ".join(document.reasons), outputs))
    print_table(("STEP", "STATUS", "TIME", "REASON", "OUTPUTS"), rows)
    for step, document in documents.items():
        for line in (document.error or "").splitlines():
            print_line(f"{names.get(step, step)}: {line}")
    if not documents and result is not None and result.error:
        print_line(result.error)
    saved = sum(document.saved for document in documents.values())
    if saved:
        print_line(f"{seconds_text(saved)} saved by reuse")


def _show_runs(store: Store, limit: int, *, as_json: bool) -> None:
    from airflow_ml_pipelines.core.runs.folder import find_runs
    from dag_factory.terminal.printing import moment_text, print_json, print_line, print_table

    found = sorted(
        ((f.read_run(), f) for f in find_runs(store)), key=lambda pair: pair[0].started, reverse=True
    )
    shown = [(run, folder.status()) for run, folder in found[:limit]]
    if as_json:
        runs = [
            {
                "run": run.run,
                "pipeline": run.pipeline,
                "experiment": run.experiment,
                "status": status,
                "started": run.started,
            }
            for run, status in shown
        ]
        print_json({"schema": 1, "runs": runs})
        return
    if not found:
        print_line("there is no run yet: start one with `ml-pipelines run FILE`")
        return
    print_table(
        ("RUN", "PIPELINE", "EXPERIMENT", "STATUS", "STARTED"),
        [(run.run, run.pipeline, run.experiment, status, moment_text(run.started)) for run, status in shown],
    )
    if len(found) > limit:
        print_line(f"{len(found) - limit} older ones; see --limit")
