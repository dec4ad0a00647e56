"""``ml-pipelines gc``: removes results and runs that nobody needs any more."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from dag_factory.commands.options import (
    Commands,
    UsageError,
    add_json,
    add_workspace,
    complete,
    count,
    duration,
    open_workspace,
    size,
    user_name,
)
from dag_factory.terminal.interrupt import INTERRUPTED, Interrupt

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["add"]

_MODES = ("delete", "undo", "pin", "unpin", "pins")


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("gc", _run, "remove results and runs that nobody needs any more, after a while")
    parser.add_argument(
        "--delete", action="store_true", help="do it; else it is only shown, and nothing is written"
    )
    parser.add_argument(
        "--older-than", type=duration, metavar="AGE", help="also what was not used for so long, such as 30d"
    )
    parser.add_argument(
        "--keep-size",
        type=size,
        metavar="SIZE",
        help="also what was used least recently, until results take no more than, say, 500GB",
    )
    parser.add_argument(
        "--grace",
        type=duration,
        metavar="AGE",
        help="how long what is marked now can be taken back until it is removed (7d)",
    )
    parser.add_argument("--undo", action="store_true", help="take back every mark whose time has not come")
    complete(
        parser.add_argument("--pin", metavar="RUN", help="keep a run, with all that it made and used"), "runs"
    )
    complete(parser.add_argument("--unpin", metavar="RUN", help="keep it no longer"), "runs")
    parser.add_argument("--pins", action="store_true", help="list the runs that are pinned")
    parser.add_argument(
        "--limit", type=count, default=20, metavar="N", help="how many things to list, the largest first (20)"
    )
    add_workspace(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    chosen = [f"--{mode}" for mode in _MODES if getattr(options, mode)]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} can't be done at once: give one of them")
    if chosen and chosen != ["--delete"]:
        for name in ("older_than", "keep_size", "grace"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} means nothing to {chosen[0]}: leave it out")
    workspace = open_workspace(options)
    if options.pin or options.unpin or options.pins:
        _pins(options, workspace)
        return 0
    return _undo(options, workspace) if options.undo else _collect(options, workspace)


def _collect(options: argparse.Namespace, workspace: Workspace) -> int:
    from airflow_ml_pipelines.core.gc import GRACE_SECONDS, Policy, collect
    from dag_factory.terminal.gc_report import GcReport
    from dag_factory.terminal.meters import Meters

    policy = Policy(
        older_than=options.older_than,
        keep_size=options.keep_size,
        grace=GRACE_SECONDS if options.grace is None else options.grace,
    )
    with GcReport(workspace, policy, options.limit, done=options.delete, as_json=options.json) as shown:
        if not options.delete:
            with Meters(sys.stderr):
                found = collect(workspace, policy, on_item=shown.add)
        else:
            with Interrupt("stopping after what is begun; once more to leave at once") as interrupt:
                owner = f"{user_name()}, gc --delete"
                with Meters(sys.stderr):
                    found = collect(
                        workspace,
                        policy,
                        delete=True,
                        owner=owner,
                        on_item=shown.add,
                        stop=interrupt.event.is_set,
                    )
        shown.print(found)
    return _ended(stopped=found.stopped)


def _undo(options: argparse.Namespace, workspace: Workspace) -> int:
    from airflow_ml_pipelines.core.gc import undo
    from dag_factory.terminal.gc_report import GcReport
    from dag_factory.terminal.meters import Meters

    with (
        GcReport(workspace, None, options.limit, done=True, as_json=options.json) as shown,
        Interrupt("stopping after what is begun; once more to leave at once") as interrupt,
    ):
        with Meters(sys.stderr):
            found = undo(workspace, on_item=shown.add, stop=interrupt.event.is_set)
        shown.print(found)
    return _ended(stopped=found.stopped)


def _ended(*, stopped: bool) -> int:
    if not stopped:
        return 0
    sys.stderr.write(
        "interrupted: what is listed is done, nothing is half-done; the same command goes on with the rest\n"
    )
    return INTERRUPTED


def _pins(options: argparse.Namespace, workspace: Workspace) -> None:
    from airflow_ml_pipelines.core.keeping.pins import find_pins, pin_run, unpin_run
    from airflow_ml_pipelines.core.runs.folder import open_run
    from dag_factory.terminal.printing import moment_text, print_json, print_line, print_table

    store = workspace.store
    if options.pin:
        folder = open_run(store, options.pin)
        pin_run(folder, user_name())
    elif options.unpin:
        folder = open_run(store, options.unpin)
        unpin_run(folder)
    found = sorted(find_pins(store), key=lambda pin: (pin.pipeline, pin.run))
    if options.json:
        print_json({"schema": 1, "pins": found})
    elif not options.pins:
        print_line(
            f"run {folder.run} of {folder.pipeline} is {'pinned' if options.pin else 'pinned no more'}"
        )
    elif found:
        rows = [(pin.run, pin.pipeline, pin.user, moment_text(pin.when)) for pin in found]
        print_table(("RUN", "PIPELINE", "PINNED BY", "SINCE"), rows)
    else:
        print_line("no run is pinned")
