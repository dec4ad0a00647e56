"""What a shell may complete an argument to. A completer finds nothing where there is no workspace or definition."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

__all__ = ["COMPLETERS", "complete_command_line"]


def complete_command_line(parser: argparse.ArgumentParser) -> None:
    """Print the completions that the shell asks for in the environment, and end the process."""
    import argcomplete
    from argcomplete.completers import FilesCompleter

    files = FilesCompleter(("yaml", "yml", "py"))
    completers = {**COMPLETERS, "files": files, "files or runs": partial(_files_or_runs, files)}
    for action in _actions(parser):
        action.completer = completers.get(getattr(action, "completes", ""))  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser, always_complete_options=False)


def _actions(parser: argparse.ArgumentParser) -> Iterable[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001 - there is no other way to them
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                yield from _actions(command)


def _quiet(find: Callable[[argparse.Namespace], Iterable[str]]) -> Callable[..., list[str]]:
    """Return a completer that finds nothing where something is wrong; there is nobody to tell."""

    def completer(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
        try:
            return list(find(parsed_args))
        except Exception:  # noqa: BLE001 - a traceback in the middle of a command line helps nobody
            return []

    return completer


def _runs(options: argparse.Namespace) -> Iterable[str]:
    from airflow_ml_pipelines.core.runs.folder import list_runs
    from dag_factory.commands.options import open_workspace

    return (run for _, run in list_runs(open_workspace(options).store))


def _steps(options: argparse.Namespace) -> Iterable[str]:
    from airflow_ml_pipelines.core.runs.folder import open_run
    from dag_factory.commands.options import open_workspace
    from dag_factory.pipelines.open import is_target, open_target

    what = options.what if "what" in options else options.file
    if is_target(what):
        return (step.id for step in open_target(what).spec.steps)
    return open_run(open_workspace(options).store, what).steps()


def _parameters(options: argparse.Namespace) -> Iterable[str]:
    from dag_factory.pipelines.open import open_target

    file = options.file if "file" in options else options.what
    return (f"{parameter.name}=" for parameter in open_target(file).spec.parameters)


def _datasets(options: argparse.Namespace) -> Iterable[str]:
    from dag_factory.commands.options import open_workspace

    return open_workspace(options).datasets()


def _files_or_runs(files: Callable[..., Iterable[str]], **given: Any) -> list[str]:
    return [*files(**given), *COMPLETERS["runs"](**given)]


COMPLETERS: dict[str, Callable[..., list[str]]] = {
    "runs": _quiet(_runs),
    "steps": _quiet(_steps),
    "parameters": _quiet(_parameters),
    "datasets": _quiet(_datasets),
}
"""What finds the completions of each kind; see :func:`dag_factory.commands.options.complete`."""
