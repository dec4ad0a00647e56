"""The commands as ``airflow ml-pipelines …``, where Airflow knows commands of providers (3.2 and later)."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

__all__ = ["get_commands"]


class _Arguments:
    """All arguments of a command, as Airflow takes one."""

    flags = ("arguments",)

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser

    def add_to_parser(self, parser: argparse.ArgumentParser) -> None:
        for action in self._parser._actions:  # noqa: SLF001 - as argparse itself does with `parents`
            if not isinstance(action, argparse._HelpAction):  # noqa: SLF001
                parser._add_action(action)  # noqa: SLF001
        parser.set_defaults(**self._parser._defaults)  # noqa: SLF001


def get_commands() -> list[CLICommand]:
    """Return one group with all commands, for Airflow's command line."""
    from airflow.cli.cli_config import ActionCommand, GroupCommand

    from dag_factory.cli import make_parser

    (commands,) = (
        action
        for action in make_parser()._actions  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
    )
    texts = {action.dest: action.help or "" for action in commands._choices_actions}  # noqa: SLF001
    subcommands = [
        ActionCommand(name=name, help=texts.get(name, ""), func=_run, args=(_Arguments(parser),))
        for name, parser in commands.choices.items()
        if name != "completion"
    ]
    return [GroupCommand("ml-pipelines", "Run machine-learning pipelines, and say why", subcommands)]


def _run(options: Any) -> NoReturn:
    """Run a command with the workspace and the connections that Airflow has."""
    from airflow_ml_pipelines._airflow import conf
    from airflow_ml_pipelines.connections import use_airflow_connections
    from dag_factory.cli import run_command

    use_airflow_connections()
    if getattr(options, "workspace", "") is None and "file" not in options:
        options.workspace = conf.get("ml_pipelines", "workspace", fallback=None) or None
    sys.exit(run_command(options))
