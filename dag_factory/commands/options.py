"""Options that several commands have, and what they stand for."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.runs.folder import RunDocument
    from airflow_ml_pipelines.core.spec import PipelineSpec
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = [
    "Commands",
    "Parser",
    "UsageError",
    "add_file",
    "add_json",
    "add_parameters",
    "add_pipeline",
    "add_values",
    "add_workspace",
    "complete",
    "count",
    "duration",
    "new_run_of",
    "open_pipeline",
    "open_workspace",
    "size",
    "user_name",
]


class UsageError(Exception):
    """A command that can't be understood."""


_NO_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from ([^)]*)\)")


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong first, and how the command is written after it."""

    commands: Commands | None = None

    def error(self, message: str) -> NoReturn:
        """End the process with code 2."""
        if found := _NO_CHOICE.search(message):
            from airflow_ml_pipelines.core.errors import did_you_mean

            known = [name.strip().strip("'") for name in found[2].split(",")]
            message = f"{message[: found.start()]}there is no {found[1]!r}.{did_you_mean(found[1], known)}"
        self.exit(2, f"error: {message}\n{self.format_usage()}")

    def format_help(self) -> str:
        """Return the help; where there are commands, group by group."""
        if self.commands is None:
            return super().format_help()
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        for title, actions in self.commands.groups.items():
            formatter.start_section(title)
            formatter.add_arguments(actions)
            formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help()


class Commands:
    """The commands so far.

    :ivar groups: what the help lists, by the titles of groups.
    """

    def __init__(self, parser: Parser) -> None:
        self._parsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
        self.groups: dict[str, list[argparse.Action]] = {}
        self._group: list[argparse.Action] = []
        parser.commands = self

    def begin(self, title: str) -> None:
        """Begin a group of commands."""
        self._group = self.groups.setdefault(title, [])

    def add(self, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        """Add a command and return its parser.

        :param run: what the command does; it returns the exit code.
        :param text: what it does in a line.
        """
        parser: argparse.ArgumentParser = self._parsers.add_parser(
            name, help=text, description=f"{text[:1].upper()}{text[1:]}."
        )
        parser.set_defaults(command=run)
        self._group.append(self._parsers._choices_actions[-1])  # noqa: SLF001 - there is no other way to it
        return parser


def add_file(parser: argparse.ArgumentParser) -> None:
    """Add the pipeline; see :func:`dag_factory.pipelines.open.open_target`."""
    complete(
        parser.add_argument(
            "file", metavar="FILE", help="a *.pipeline.yaml, file.py with one Pipeline, or file.py:name"
        ),
        "files",
    )


def add_pipeline(parser: argparse.ArgumentParser) -> None:
    """Add the pipeline and its workspace; see :func:`open_pipeline`."""
    add_file(parser)
    add_workspace(parser)


def add_parameters(parser: argparse.ArgumentParser) -> None:
    """Add what a run can be given; see :func:`new_run_of`."""
    add_values(parser)
    parser.add_argument("--experiment", metavar="NAME", help="keep the run under this experiment")
    parser.add_argument("--regenerate-outputs", action="store_true", help="run every step, reuse nothing")


def add_values(parser: argparse.ArgumentParser) -> None:
    """Add the values of parameters, for a command that needs to know what a run would do and starts none."""
    parser.set_defaults(experiment=None, regenerate_outputs=False)
    complete(
        parser.add_argument(
            "-p",
            "--parameter",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="set a parameter; may be repeated",
        ),
        "parameters",
    )


def add_workspace(parser: argparse.ArgumentParser) -> None:
    """Add the workspace; see :func:`open_workspace`."""
    parser.add_argument(
        "--workspace",
        metavar="PATH",
        help="a workspace.yaml or its folder (the nearest above FILE, or above the current folder)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``; see :func:`dag_factory.terminal.printing.print_json`."""
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")


def complete(action: argparse.Action, kind: str) -> None:
    """Let a shell complete an argument; see :mod:`dag_factory.commands.complete`.

    :param kind: ``files``, ``runs``, ``files or runs``, ``steps``, ``parameters`` or ``datasets``.
    """
    action.completes = kind  # type: ignore[attr-defined]


def count(text: str) -> int:
    """Return a number from 1 on; a ``type`` of arguments."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, found {text!r}")
    return int(text)


def duration(text: str) -> float:
    """Return the seconds that a text such as ``90s``, ``12h`` or ``30d`` stands for; a ``type`` of arguments."""
    from dag_factory.models.scalars import as_duration

    try:
        return as_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def size(text: str) -> int:
    """Return the bytes that a text such as ``500MB`` or ``1.5TB`` stands for; a ``type`` of arguments."""
    from airflow_ml_pipelines.core.amounts import read_size

    try:
        return read_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def user_name() -> str:
    """Return who runs the command, as far as that is known."""
    import getpass

    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a user id without a name, as in many containers
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "somebody"


def open_pipeline(options: argparse.Namespace) -> tuple[PipelineSpec, str | None, Workspace]:
    """Return the pipeline that is named, the experiment that it names itself, and its workspace."""
    from dag_factory.pipelines.open import open_target
    from dag_factory.runs.names import require_names

    target = open_target(options.file)
    workspace = target.workspace if target.workspace and not options.workspace else open_workspace(options)
    require_names(workspace, target.spec)
    return target.spec, target.experiment, workspace


def open_workspace(options: argparse.Namespace) -> Workspace:
    """Open the workspace; the nearest one to a pipeline's file, as where the file is made a DAG of."""
    from airflow_ml_pipelines.workspace_file import find_workspace_file, load_workspace

    path = options.workspace
    if path is None and "file" in options and not os.environ.get("ML_PIPELINES_WORKSPACE"):
        path = find_workspace_file(os.path.dirname(options.file))
    return load_workspace(path)


def new_run_of(
    options: argparse.Namespace, spec: PipelineSpec, experiment: str | None, **more: Any
) -> RunDocument:
    """Return a new run with the parameters that were given.

    :param more: further arguments of :func:`~airflow_ml_pipelines.core.runs.new_run.new_run`.
    """
    from airflow_ml_pipelines.core.runs.new_run import new_run

    return new_run(
        spec,
        parameters=_values(spec, options.parameter),
        experiment=options.experiment or experiment,
        regenerate_outputs=options.regenerate_outputs,
        **more,
    )


def _values(spec: PipelineSpec, given: Sequence[str]) -> dict[str, Any]:
    """Return the values of ``name=value`` options, as the types of the parameters have them."""
    from airflow_ml_pipelines.core.errors import ParameterError, did_you_mean
    from dag_factory.pipelines.open import parse_value

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
