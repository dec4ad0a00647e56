"""``ml-pipelines plan``: says what a run would do, and why."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from dag_factory.commands.options import (
    Commands,
    add_json,
    add_parameters,
    add_pipeline,
    new_run_of,
    open_pipeline,
)

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.runs.folder import PlanDocument
    from airflow_ml_pipelines.core.spec import PipelineSpec

__all__ = ["add"]

_SHOWN = 5


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("plan", _run, "say what a run would do and why; runs nothing")
    add_pipeline(parser)
    add_parameters(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    from airflow_ml_pipelines.core.plans.plan import make_plan
    from dag_factory.terminal.meters import Meters
    from dag_factory.terminal.printing import print_json

    spec, experiment, workspace = open_pipeline(options)
    run = new_run_of(options, spec, experiment)
    with Meters(sys.stderr):
        plan = make_plan(workspace, run, dry=True)
    if options.json:
        print_json(plan)
    else:
        _print(spec, plan)
    return 0


def _print(spec: PipelineSpec, plan: PlanDocument) -> None:
    from dag_factory.terminal.printing import print_line, print_table

    names = {step.id: step.name for step in spec.steps}
    rows = [
        (
            names[step.step],
            step.decision,
            "; ".join(step.reasons[:_SHOWN]) + (" …" if len(step.reasons) > _SHOWN else ""),
        )
        for step in plan.steps
    ]
    print_table(("STEP", "DECISION", "REASON"), rows)
    reused = sum(step.decision == "reuse" for step in plan.steps)
    depend = sum(step.decision == "depends" for step in plan.steps)
    run = len(plan.steps) - reused - depend
    print_line(f"{reused} to reuse, {run} to run, {depend} to be decided on the way")
