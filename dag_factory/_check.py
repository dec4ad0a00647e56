"""Checks what callers pass: names of keywords, types of values, workspaces, names that a script will see."""

from __future__ import annotations

import functools
import re
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from airflow_ml_pipelines.core.errors import DefinitionError, did_you_mean
from dag_factory.calls import is_ours

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["check_name", "checked", "core_of", "expect", "is_workspace", "kind_of", "warn"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def checked(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a function refuse a keyword that it does not know with the one that was meant."""
    code = function.__code__
    known = [
        n for n in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if n not in ("self", "cls")
    ]
    owner = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        for name in kwargs:
            if name not in known:
                raise TypeError(f"{owner}() has no argument {name!r}.{did_you_mean(name, known)}")
        return function(*args, **kwargs)

    return wrapper


def expect(where: str, value: Any, *types: type, what: str) -> Any:
    """Return a value that is of one of the types.

    :param where: what the error begins with, such as ``PythonScriptStep(script_name=…)``.
    :param what: what was expected, in words.
    :raises TypeError: where it is of another type.
    """
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise TypeError(f"{where}: expected {what}, found {kind_of(value)}")
    return value


def kind_of(value: Any) -> str:
    """Return a value's text and type, short enough for an error."""
    if value is None:
        return "None"
    text = repr(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if text.startswith("<") or len(text) > 80:
        return f"a {type(value).__name__}"
    return f"{text} ({type(value).__name__})"


def core_of(where: str, workspace: Any) -> Workspace:
    """Return the workspace as runs know it.

    :param workspace: a :class:`~dag_factory.Workspace`, or what it has of the core.
    :raises TypeError: where it is no workspace.
    """
    if not is_workspace(workspace):
        raise TypeError(
            f"{where}: expected a Workspace, such as Workspace.from_config() returns; found {kind_of(workspace)}"
        )
    core: Workspace = getattr(workspace, "core", workspace)
    return core


def is_workspace(value: Any) -> bool:
    """Return whether a value is a workspace: known by its core, since the class itself imports all that takes one."""
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace

    return isinstance(getattr(value, "core", value), Workspace)


def check_name(where: str, name: str) -> str:
    """Return a name that can be a variable of the script's environment.

    :raises DefinitionError: where it has anything but letters, digits and ``_``, or begins with a digit.
    """
    expect(where, name, str, what="a name")
    if not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{where}: {name!r} is no name that a script can find: "
            "use letters, digits and '_', and no digit at the beginning"
        )
    return name


def warn(message: str) -> None:
    """Warn the caller outside of this package."""
    level = 1
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - warnings has no other way before Python 3.12
    while frame is not None and is_ours(frame.f_code.co_filename):
        level += 1
        frame = frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
