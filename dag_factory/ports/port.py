"""Ports: what a step reads, before its place in a pipeline gives it a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import check_name, warn
from dag_factory.calls import Made

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import (
        Data,
        Fingerprint,
        InputMode,
        OutputSpec,
        RegisteredDataset,
        RegisterSpec,
        TabularFormat,
    )
    from dag_factory.ports.parameter import PipelineParameter
    from dag_factory.steps.step import PipelineStep

__all__ = [
    "Consumed",
    "InputPort",
    "Produced",
    "View",
    "check_fingerprint",
    "check_input_name",
    "check_mode",
    "origin_of",
]

_FINGERPRINTS = ("content", "etag", "path")
_TAKEN = frozenset(
    {"HOME", "LANG", "LOGNAME", "PATH", "PWD", "PYTHONHOME", "PYTHONPATH", "SHELL", "TMPDIR", "USER"}
)


class Produced(Made):
    """What a step writes: made by one step, read by any number of others.

    :ivar name: None where its place in the step is to give it one.
    :ivar output_name: what the step that makes it calls it.
    :ivar producer: the step that makes it.
    :ivar registration: the dataset that it becomes.
    :ivar table: how it is read as a table.
    """

    name: str | None
    producer: PipelineStep | None = None
    registration: RegisterSpec | None = None
    table: TabularFormat | None = None

    @property
    def output_name(self) -> str | None:
        return self.name

    def to_spec(self, name: str) -> OutputSpec:
        """Return what runs know of the output."""
        raise NotImplementedError


class View:
    """An output seen in another way.

    :cvar is_table: whether it is read as a table, and not as files.
    """

    is_table: ClassVar[bool] = False

    def __init__(self, origin: Produced) -> None:
        self.origin = origin

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.origin!r})"

    @property
    def name(self) -> str | None:
        """The output's name."""
        return self.origin.name


def origin_of(value: Any) -> Produced | None:
    """Return the output that a value is, or is a view of; None where it is none."""
    if isinstance(value, Produced):
        return value
    return value.origin if isinstance(value, View) else None


@dataclass(frozen=True)
class InputPort:
    """What a step reads, and how. Equal ports of one step are one input.

    :param name: None where its place is to give it one.
    """

    name: str | None
    source: Data | RegisteredDataset | PipelineParameter | Produced
    mode: InputMode = "mount"
    path_on_compute: str | None = None
    overwrite: bool = False
    fingerprint: Fingerprint = "content"


class Consumed(Protocol):
    """What can stand in a step's ``inputs``."""

    def to_port(self) -> InputPort:
        """Return what is read, and how."""


def check_mode(where: str, mode: Any, *allowed: str) -> Any:
    """Return a mode that is allowed. :raises DefinitionError: for another one."""
    if mode not in allowed:
        shown = ", ".join(repr(name) for name in allowed)
        raise DefinitionError(f"{where}: expected a mode of {shown}; found {mode!r}")
    return mode


def check_fingerprint(where: str, fingerprint: Any) -> Any:
    """Return a way to identify data. :raises DefinitionError: for one that there is not."""
    if fingerprint not in _FINGERPRINTS:
        shown = ", ".join(repr(name) for name in _FINGERPRINTS)
        raise DefinitionError(f"{where}: expected a fingerprint of {shown}; found {fingerprint!r}")
    return fingerprint


def check_input_name(where: str, name: str | None) -> str | None:
    """Return the name of an input, warning of one that would hide a variable that programs rely on."""
    if name is None:
        return None
    check_name(where, name)
    if name.upper() in _TAKEN:
        warn(
            f"{where}: the input's path becomes the script's variable {name.upper()!r}, which programs rely on: "
            "give it another name"
        )
    return name
