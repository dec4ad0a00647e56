"""The command ``ml-pipelines``: run a pipeline here, see what would run and why, look at a run, check definitions.

Exit codes: 0 where all went well, 1 for a run that failed or a definition that is wrong, 2 for a command that can't be
understood, 130 for a run that was interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    import threading

    from airflow_ml_pipelines.core.runs import RunDocument
    from airflow_ml_pipelines.core.spec import PipelineSpec
    from airflow_ml_pipelines.core.workspace import Workspace

__all__ = ["main", "run_here"]

_INTERRUPTED = 130


class UsageError(Exception):
    """A command that can't be understood."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    from airflow_ml_pipelines.core.errors import MlPipelinesError

    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except UsageError as error:
        _complain(error)
        return 2
    except MlPipelinesError as error:
        _complain(error)
        return 1
    except KeyboardInterrupt:
        _complain("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        _complain(error)
        return 1
    return code


# --- commands ----------------------------------------------------------------------------------------------------


def _init(options: argparse.Namespace) -> int:
    from dag_factory.workspace import Workspace

    folder = os.path.abspath(options.folder)
    Workspace.create(options.name or os.path.basename(folder) or "workspace", folder=folder)
    return 0


def _run(options: argparse.Namespace) -> int:
    from airflow_ml_pipelines.core.new_run import new_run

    spec, experiment, workspace = _open(options)
    run = new_run(
        spec,
        parameters=_values(spec, options.parameter),
        experiment=options.experiment or experiment,
        regenerate_outputs=options.regenerate_outputs,
        continue_on_step_failure=True if options.continue_on_step_failure else None,
    )
    return run_here(workspace, run, quiet=options.quiet, parallel=options.parallel)


def run_here(
    workspace: Workspace, run: RunDocument, *, quiet: bool = False, parallel: int | None = None
) -> int:
    """Run a pipeline in this process, say how it goes, and return the exit code.

    :param quiet: whether to leave out what scripts print.
    """
    from airflow_ml_pipelines.execution.runner import run_pipeline
    from dag_factory.console import Console

    console = Console(sys.stdout, {step.id: step.name for step in run.spec.steps}, quiet=quiet)
    with _Interrupt() as interrupt:
        outcome = run_pipeline(workspace, run, listener=console, cancel=interrupt.event, parallel=parallel)
        console.end(run, outcome)
        if interrupt.event.is_set():
            return _INTERRUPTED
    return 0 if outcome.status == "Finished" else 1


def _plan(options: argparse.Namespace) -> int:
    from airflow_ml_pipelines.core.new_run import new_run
    from airflow_ml_pipelines.core.plan import make_plan
    from dag_factory.console import Progress, show_plan

    spec, experiment, workspace = _open(options)
    run = new_run(
        spec,
        parameters=_values(spec, options.parameter),
        experiment=options.experiment or experiment,
        regenerate_outputs=options.regenerate_outputs,
    )
    progress = Progress(sys.stderr)
    try:
        plan = make_plan(workspace, run, dry=True, on_progress=progress)
    finally:
        progress.end()
    show_plan(sys.stdout, spec, plan)
    return 0


def _show(options: argparse.Namespace) -> int:
    from airflow_ml_pipelines.core.runs import open_run
    from dag_factory.console import show_run, show_runs

    workspace = _workspace(options)
    if options.run is None:
        show_runs(sys.stdout, workspace.store, options.limit)
    else:
        show_run(sys.stdout, open_run(workspace.store, options.run))
    return 0


def _lint(options: argparse.Namespace) -> int:
    from dag_factory.target import find_definitions, lint_file

    files = find_definitions(options.path)
    if not files:
        raise UsageError(f"there is no *.pipeline.yaml in {', '.join(options.path)}")
    failed = 0
    for file in files:
        problem = lint_file(file)
        if problem is not None:
            failed += 1
            sys.stdout.write(f"{problem}\n")
    good = len(files) - failed
    sys.stdout.write(f"{good} of {len(files)} definition{'' if len(files) == 1 else 's'} without errors\n")
    return 1 if failed else 0


# --- what they share ---------------------------------------------------------------------------------------------


def _open(options: argparse.Namespace) -> tuple[PipelineSpec, str | None, Workspace]:
    from dag_factory.names import require_names
    from dag_factory.target import open_target

    target = open_target(options.file)
    workspace = target.workspace if target.workspace and not options.workspace else _workspace(options)
    require_names(workspace, target.spec)
    return target.spec, target.experiment, workspace


def _workspace(options: argparse.Namespace) -> Workspace:
    """Open the workspace; the nearest one to a pipeline's file, as where the file is made a DAG of."""
    from airflow_ml_pipelines.workspace_file import find_workspace_file, load_workspace

    path = options.workspace
    if path is None and "file" in options and not os.environ.get("ML_PIPELINES_WORKSPACE"):
        path = find_workspace_file(os.path.dirname(options.file))
    return load_workspace(path)


def _values(spec: PipelineSpec, given: Sequence[str]) -> dict[str, Any]:
    """Return the values of ``name=value`` options, as the types of the parameters have them."""
    from airflow_ml_pipelines.core.errors import ParameterError, did_you_mean
    from dag_factory.target import parse_value

    known = {parameter.name: parameter for parameter in spec.parameters}
    values = {}
    for item in given:
        name, sign, text = item.partition("=")
        if not sign:
            raise UsageError(f"-p {item}: expected name=value")
        if name not in known:
            raise ParameterError(f"there is no parameter {name!r}.{did_you_mean(name, known)}")
        values[name] = parse_value(known[name], text)
    return values


class _Interrupt:
    """Ends a run at Ctrl-C or a termination signal; a second one ends the process."""

    def __init__(self) -> None:
        import threading

        self.event: threading.Event = threading.Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, *_: object) -> None:
        if self.event.is_set():
            raise KeyboardInterrupt
        self.event.set()
        sys.stderr.write("canceling the run; once more to leave at once\n")


def _complain(error: object) -> None:
    text = str(error) or type(error).__name__
    red, plain = (
        ("\033[31m", "\033[0m") if sys.stderr.isatty() and not os.environ.get("NO_COLOR") else ("", "")
    )
    sys.stderr.write(f"{red}error:{plain} {text}\n")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n{self.format_usage()}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ml-pipelines", description="Runs machine-learning pipelines; unchanged steps are reused."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    init = commands.add_parser("init", help="make a workspace")
    init.add_argument("folder", nargs="?", default=".", help="where (the current folder)")
    init.add_argument("--name", help="its name (the folder's)")
    init.set_defaults(command=_init)

    run = commands.add_parser("run", help="run a pipeline in this process")
    _add_pipeline(run)
    run.add_argument(
        "--continue-on-step-failure", action="store_true", help="run what does not need a failed step"
    )
    run.add_argument(
        "--parallel", type=_count, metavar="N", help="scripts that run at once (one a processor)"
    )
    run.add_argument("-q", "--quiet", action="store_true", help="leave out what the scripts print")
    run.set_defaults(command=_run)

    plan = commands.add_parser("plan", help="say what a run would do and why; runs nothing")
    _add_pipeline(plan)
    plan.set_defaults(command=_plan)

    show = commands.add_parser("show", help="show a run, or the latest runs")
    show.add_argument("run", nargs="?", metavar="RUN", help="a run's id, or <pipeline>/<id>")
    show.add_argument("--limit", type=_count, default=20, metavar="N", help="runs to list (20)")
    _add_workspace(show)
    show.set_defaults(command=_show)

    lint = commands.add_parser("lint", help="check definitions")
    lint.add_argument(
        "path", nargs="+", metavar="PATH", help="a *.pipeline.yaml, a file.py, or a folder of them"
    )
    lint.set_defaults(command=_lint)
    return parser


def _add_pipeline(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", help="a *.pipeline.yaml, file.py with one Pipeline, or file.py:name"
    )
    parser.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter; may be repeated",
    )
    parser.add_argument("--experiment", metavar="NAME", help="keep the run under this experiment")
    parser.add_argument("--regenerate-outputs", action="store_true", help="run every step, reuse nothing")
    _add_workspace(parser)


def _add_workspace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workspace",
        metavar="PATH",
        help="a workspace.yaml or its folder (the nearest above FILE, or above the current folder)",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, found {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
