"""``ml-pipelines completion``: prints what makes a shell complete the commands."""

from __future__ import annotations

import argparse
import sys

from dag_factory.commands.options import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("completion", _run, "print what makes a shell complete the commands")
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")


def _run(options: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode

    sys.stdout.write(shellcode(["ml-pipelines"], shell=options.shell).rstrip() + "\n")
    return 0
