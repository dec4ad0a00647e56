"""``ml-pipelines explain``: says why steps run, or would run."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from dag_factory.commands.options import (
    Commands,
    UsageError,
    add_json,
    add_parameters,
    add_workspace,
    complete,
    new_run_of,
    open_pipeline,
    open_workspace,
)

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.plans.explain_steps import ExplainedStep

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("explain", _run, "say in what steps differ from earlier ones")
    complete(
        parser.add_argument(
            "what",
            metavar="FILE|RUN",
            help="a pipeline, as for `run`: what would be; or a run's id, or <pipeline>/<id>: what was",
        ),
        "files or runs",
    )
    complete(
        parser.add_argument(
            "step", nargs="?", metavar="STEP", help="the id or the name of a step (all steps)"
        ),
        "steps",
    )
    complete(
        parser.add_argument(
            "--against", metavar="RUN", help="compare with this run (the nearest earlier one)"
        ),
        "runs",
    )
    add_parameters(parser)
    add_workspace(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    from dag_factory.pipelines.open import is_target
    from dag_factory.terminal.printing import print_json

    if is_target(options.what):
        options.file = options.what
        pipeline, run, steps = _explain_file(options)
    else:
        pipeline, run, steps = _explain_run(options)
    if options.json:
        print_json({"schema": 1, "pipeline": pipeline, "run": run, "steps": steps})
    else:
        for step in steps:
            _print(step, given=options.against is not None)
    return 0


def _explain_file(options: argparse.Namespace) -> tuple[str, None, tuple[ExplainedStep, ...]]:
    from airflow_ml_pipelines.core.plans.explain_steps import explain_plan
    from airflow_ml_pipelines.core.runs.folder import open_run
    from dag_factory.terminal.meters import Meters

    spec, experiment, workspace = open_pipeline(options)
    against = open_run(workspace.store, options.against) if options.against else None
    run = new_run_of(options, spec, experiment)
    with Meters(sys.stderr):
        steps = explain_plan(workspace, run, options.step, against=against)
    return spec.name, None, steps


def _explain_run(options: argparse.Namespace) -> tuple[str, str, tuple[ExplainedStep, ...]]:
    from airflow_ml_pipelines.core.plans.explain_steps import explain_run
    from airflow_ml_pipelines.core.runs.folder import open_run

    if options.parameter or options.experiment or options.regenerate_outputs:
        raise UsageError(f"{options.what} is a run that was: it has its parameters; give a FILE to set them")
    workspace = open_workspace(options)
    folder = open_run(workspace.store, options.what)
    against = open_run(workspace.store, options.against) if options.against else None
    return folder.pipeline, folder.run, explain_run(workspace, folder, options.step, against=against)


def _print(step: ExplainedStep, *, given: bool) -> None:
    from dag_factory.terminal.narrate import narrate_differences
    from dag_factory.terminal.printing import moment_text, paint, print_line

    state = paint(step.state, step.state, sys.stdout)
    explanation = step.explanation
    if explanation is None or explanation.against is None:
        print_line(f"{step.name}: {state}: {'; '.join(step.reasons) or 'no reason given'}")
        return
    earlier = explanation.against
    print_line(f"{step.name}: {state}, compared with {earlier.text} ({moment_text(earlier.started)}):")
    lines = narrate_differences(explanation.differences)
    if not lines:
        lines = ["nothing differs"] if given else list(step.reasons)
    for line in lines:
        print_line(f"  {line}")
