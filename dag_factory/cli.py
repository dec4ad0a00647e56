"""The command ``ml-pipelines``: its tree, and how it ends.

Exit codes: 0 where all went well, 1 for a run that failed or a definition that is wrong, 2 for a command that can't be
understood, 3 for a conversion or migration that had to leave something out, 130 for a run that was interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from dag_factory.commands import (
    accept,
    check,
    completion,
    convert,
    datasets,
    diff,
    doctor,
    explain,
    gc,
    graph,
    init,
    lint,
    migrate,
    plan,
    pools,
    reap,
    run,
    schema,
    show,
)
from dag_factory.commands import list as list_command
from dag_factory.commands.options import Commands, Parser, UsageError
from dag_factory.terminal.interrupt import INTERRUPTED

__all__ = ["main", "make_parser", "run_command"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    parser = make_parser()
    arguments = sys.argv[1:] if arguments is None else arguments
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what may come next
        from dag_factory.commands.complete import complete_command_line

        complete_command_line(parser)
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    if arguments[0] == "help":
        arguments = [*arguments[1:], "--help"]
    return run_command(parser.parse_args(arguments))


def run_command(options: argparse.Namespace) -> int:
    """Run the command that arguments were parsed to; return its exit code."""
    from airflow_ml_pipelines.core.errors import MlPipelinesError, explain_os_error

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
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        _complain(explain_os_error(error))
        return 1
    return code


_GROUPS = {
    "to begin": (init, doctor, completion),
    "pipelines and definitions": (list_command, lint, graph, schema, convert, migrate),
    "runs": (run, plan, explain, accept, show, diff, datasets),
    "keeping house": (check, gc, pools, reap),
}


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    from airflow_ml_pipelines import __version__

    parser = Parser(
        prog="ml-pipelines",
        description="Runs machine-learning pipelines; unchanged steps are reused.",
        epilog="`ml-pipelines COMMAND --help` says more of each.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = Commands(parser)
    for title, members in _GROUPS.items():
        commands.begin(title)
        for command in members:
            command.add(commands)
    return parser


def _complain(error: object) -> None:
    from dag_factory.terminal.printing import paint

    text = str(error) or type(error).__name__
    sys.stderr.write(f"{paint('error:', 'error', sys.stderr)} {text}\n")


if __name__ == "__main__":
    sys.exit(main())
