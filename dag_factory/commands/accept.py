"""``ml-pipelines accept``: takes an earlier result for a step whose key changed, on somebody's word."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dag_factory.commands.options import (
    Commands,
    UsageError,
    add_json,
    add_pipeline,
    add_values,
    complete,
    new_run_of,
    open_pipeline,
    user_name,
)

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.plans.accept import Proposal, Refusal
    from airflow_ml_pipelines.core.reuse.records import Record
    from airflow_ml_pipelines.core.runs.folder import RunDocument
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("accept", _run, "take earlier results for steps that changed and make the same")
    add_pipeline(parser)
    complete(
        parser.add_argument("step", nargs="*", metavar="STEP", help="the ids or the names of steps"), "steps"
    )
    parser.add_argument("--all", action="store_true", help="all steps that would run and have a result")
    parser.add_argument("--reason", metavar="TEXT", help="why the result is the same; kept and shown")
    complete(
        parser.add_argument(
            "--against", metavar="RUN", help="take the results of this run (the nearest earlier one)"
        ),
        "runs",
    )
    parser.add_argument("--by", metavar="NAME", help="who says so (your name on this machine)")
    parser.add_argument("--undo", action="store_true", help="let what was accepted count no more")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    add_values(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    if bool(options.step) == options.all:
        raise UsageError("expected the steps that are meant, or --all")
    if options.undo and options.against:
        raise UsageError("--undo takes back what was accepted, whatever the run: leave --against out")
    if not options.undo and not (options.reason or "").strip():
        raise UsageError("expected --reason TEXT: why the result is the same")
    if not options.yes and (options.json or not sys.stdin.isatty()):
        raise UsageError("nobody can be asked here: add --yes")
    spec, experiment, workspace = open_pipeline(options)
    run = new_run_of(options, spec, experiment)
    return _undo(options, workspace, run) if options.undo else _accept(options, workspace, run)


def _accept(options: argparse.Namespace, workspace: Workspace, run: RunDocument) -> int:
    import socket

    from airflow_ml_pipelines.core.errors import WorkspaceError
    from airflow_ml_pipelines.core.plans.accept import Proposal, Refusal, accept, propose
    from airflow_ml_pipelines.core.runs.folder import open_run
    from dag_factory.terminal.meters import Meters
    from dag_factory.terminal.printing import print_json, print_line

    against = open_run(workspace.store, options.against) if options.against else None
    with Meters(sys.stderr):
        found = propose(workspace, run, options.step or None, against=against)
    refused = [item for item in found if isinstance(item, Refusal)]
    proposed = [item for item in found if isinstance(item, Proposal)]
    wrong = [item for item in refused if not item.reused]
    if wrong and not (options.all and proposed):
        raise WorkspaceError("; ".join(item.reason for item in wrong))
    if not options.json:
        for item in proposed:
            _show(item)
        for refusal in refused:
            print_line(f"left as it is: {refusal.reason}")
    accepted: list[Record] = []
    if proposed and (options.yes or _agrees(f"accept {_results(len(proposed))}")):
        host, reason = socket.gethostname(), _line(options.reason)
        for record in accept(
            workspace, proposed, by=_line(options.by or "") or user_name(), reason=reason, host=host
        ):
            if not options.json:
                print_line(f"{proposed[len(accepted)].context.step.name}: {_text(record)}")
            accepted.append(record)
    if options.json:
        print_json(_document(run.pipeline, proposed, accepted, refused))
    elif not accepted:
        print_line("nothing was accepted")
    return 0 if accepted or not proposed else 1


def _undo(options: argparse.Namespace, workspace: Workspace, run: RunDocument) -> int:
    from airflow_ml_pipelines.core.plans.accept import accepted_steps, take_back
    from dag_factory.terminal.meters import Meters
    from dag_factory.terminal.printing import print_json, print_line

    names = {step.id: step.name for step in run.spec.steps}
    with Meters(sys.stderr):
        found = accepted_steps(workspace, run, options.step or None)
    if not options.json:
        for step, record in found:
            print_line(f"{names[step]}: {_text(record)}")
    agreed = bool(found) and (options.yes or _agrees(f"let {_results(len(found))} count no more"))
    taken = []
    for step, record in found if agreed else ():
        kept = take_back(
            workspace, record, by=_line(options.by or "") or user_name(), reason=_line(options.reason or "")
        )
        taken.append({"step": step, "key": record.key, "accepted": record.accepted, "kept": kept})
    if options.json:
        print_json({"schema": 1, "pipeline": run.pipeline, "taken_back": taken})
    else:
        print_line(f"{_results(len(taken))} taken back" if taken else "nothing was taken back")
    return 0 if taken or not found else 1


def _show(proposal: Proposal) -> None:
    from dag_factory.terminal.narrate import narrate_differences, narrate_output
    from dag_factory.terminal.printing import moment_text, print_line

    earlier = proposal.earlier
    print_line(
        f"{proposal.context.step.name}: compared with {earlier.text} ({moment_text(earlier.started)}):"
    )
    for line in narrate_differences(proposal.explanation.differences) or ["nothing differs"]:
        print_line(f"  {line}")
    outputs = ", ".join(narrate_output(name, output) for name, output in proposal.record.outputs.items())
    print_line(f"  its result: {outputs or 'no output'}")


def _document(
    pipeline: str, proposed: Sequence[Proposal], accepted: Sequence[Record], refused: Sequence[Refusal]
) -> dict[str, object]:
    return {
        "schema": 1,
        "pipeline": pipeline,
        "accepted": [
            {
                "step": item.context.step.id,
                "name": item.context.step.name,
                "key": record.key,
                "accepted": record.accepted,
                "result_of": record.origin,
                "explanation": item.explanation,
            }
            for item, record in zip(proposed, accepted, strict=False)
        ],
        "left": [{"step": item.step, "name": item.name, "reason": item.reason} for item in refused],
    }


def _text(record: Record) -> str:
    origin, accepted = record.origin, record.accepted
    return f"{accepted.text if accepted else ''} (result of run {origin.run} of {origin.pipeline})"


def _results(count: int) -> str:
    return f"{count} result{'' if count == 1 else 's'}"


def _line(text: str) -> str:
    """Return what people wrote as one line without secrets."""
    from airflow_ml_pipelines.core.stores.credentials import mask_url

    return mask_url(" ".join(text.split()))


def _agrees(question: str) -> bool:
    try:
        return input(f"{question}? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
