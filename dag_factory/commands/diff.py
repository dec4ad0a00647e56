"""``ml-pipelines diff``: compares two runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from dag_factory.commands.options import Commands, add_json, add_workspace, complete, open_workspace

if TYPE_CHECKING:
    from airflow_ml_pipelines.execution.diff_runs import RunsDiff, StepDiff, StepSide

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("diff", _run, "compare two runs")
    complete(parser.add_argument("old", metavar="RUN", help="a run's id, or <pipeline>/<id>"), "runs")
    complete(parser.add_argument("new", metavar="RUN", help="the one to compare with it"), "runs")
    add_workspace(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    from airflow_ml_pipelines.core.runs.folder import open_run
    from airflow_ml_pipelines.execution.diff_runs import diff_runs
    from dag_factory.terminal.printing import print_json

    workspace = open_workspace(options)
    old, new = (open_run(workspace.store, name) for name in (options.old, options.new))
    found = diff_runs(workspace, old, new)
    if options.json:
        print_json(found)
    else:
        _print(found)
    return 0


def _print(found: RunsDiff) -> None:
    from airflow_ml_pipelines.core.keys.differences import show_side
    from dag_factory.terminal.narrate import narrate_differences
    from dag_factory.terminal.printing import moment_text, print_line, print_table

    old, new = found.old, found.new
    rows = [
        ("run", old.run, new.run),
        ("pipeline", old.pipeline, new.pipeline),
        ("status", old.status, new.status),
        ("started", moment_text(old.started), moment_text(new.started)),
    ]
    rows += [
        (item.label, show_side(item.old), show_side(item.new)) for item in (*found.git, *found.parameters)
    ]
    print_table(("", "OLD", "NEW"), rows)
    print_line("")
    print_table(
        ("STEP", "OLD", "NEW", "KEY"),
        [(step.name, _side(step.old), _side(step.new), _key(step)) for step in found.steps],
    )
    for step in found.steps:
        lines = narrate_differences((*step.differences, *step.outputs, *step.metrics))
        if step.unknown:
            lines.insert(0, step.unknown)
        if lines:
            print_line(f"\n{step.name}:")
        for line in lines:
            print_line(f"  {line}")


def _side(side: StepSide | None) -> str:
    from airflow_ml_pipelines.core.amounts import seconds_text

    if side is None:
        return "not there"
    return side.status if side.seconds is None else f"{side.status} in {seconds_text(side.seconds)}"


def _key(step: StepDiff) -> str:
    if step.old is None or step.new is None:
        return ""
    if step.old.key is None or step.new.key is None:
        return "not known"
    return "the same" if step.old.key == step.new.key else "another"
