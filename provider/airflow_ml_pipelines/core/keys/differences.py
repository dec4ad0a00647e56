"""What differs between two key documents: typed, and in words.

A difference's ``text`` is the same wherever it is said: in a task's log, in a plan, on the command line.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from airflow_ml_pipelines.core.keys.diff_files import CHANGES, Change, FileChange

__all__ = [
    "ArgumentChange",
    "Cause",
    "Difference",
    "Earlier",
    "Explanation",
    "FilesChange",
    "PackageChange",
    "ValueChange",
    "VariableChange",
    "is_pending",
    "show_side",
    "show_value",
]

_SHOWN = 5
_LONGEST = 120


class _Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class Cause(_Change, frozen=True, kw_only=True):
    """A step that ran before, and why.

    :param step: its id.
    :param name: what people call it.
    """

    step: str
    name: str
    reason: str

    @property
    def text(self) -> str:
        """The cause in words."""
        return f"step {self.name}: {self.reason}"


class ValueChange(_Change, frozen=True, kw_only=True, tag="value"):
    """A value that is another one, or is there on one side only.

    :param field: the field of the key document.
    :param name: which of the field's values; "" where there is but one.
    :param part: which part of that value, such as the ``mode`` of an input; "" for the whole.
    """

    field: str
    name: str = ""
    part: str = ""
    old: Any = msgspec.UNSET
    new: Any = msgspec.UNSET

    @property
    def label(self) -> str:
        """What differs."""
        return _label(self.field, self.name)

    @property
    def text(self) -> str:
        """The difference in words."""
        label = self.label
        if self.old is msgspec.UNSET and not self.part:
            return f"{label} is new"
        if self.new is msgspec.UNSET and not self.part:
            return f"{label} is gone"
        part = f"{self.part} " if self.part else ""
        old, new = (None if side is msgspec.UNSET else side for side in (self.old, self.new))
        if self.field == "metrics" and _round(old) != _round(new):
            old, new = _round(old), _round(new)
        return f"{label}: {part}{show_value(old)} → {show_value(new)}"


class ArgumentChange(_Change, frozen=True, kw_only=True, tag="argument"):
    """Arguments of the script in a row that are others.

    :param place: of the first one, from 1 on.
    :param option: the option before it, such as ``--depth``; "" where there is none.
    """

    place: int
    option: str = ""
    old: tuple[str, ...] = ()
    new: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """The field of the key document."""
        return "arguments"

    @property
    def text(self) -> str:
        """The difference in words."""
        old, new = (show_value(" ".join(items)) if items else "none" for items in (self.old, self.new))
        return f"argument {self.option or self.place}: {old} → {new}"


class PackageChange(_Change, frozen=True, kw_only=True, tag="package"):
    """A package of the environment whose version is another.

    :param group: ``pip`` or ``conda``.
    :param old: the version, or what else was asked for; None where it was not there.
    :param new: the same of now.
    """

    group: str
    name: str
    old: str | None = None
    new: str | None = None

    @property
    def field(self) -> str:
        """The field of the key document."""
        return "environment"

    @property
    def text(self) -> str:
        """The difference in words."""
        label = f"{self.group} package {self.name}"
        if self.old is None:
            return f"{label} is new" + (f" ({self.new})" if self.new else "")
        if self.new is None:
            return f"{label} is gone"
        return f"{label}: {self.old or 'any version'} → {self.new or 'any version'}"


class VariableChange(_Change, frozen=True, kw_only=True, tag="variable"):
    """A variable of the environment that is another. Its values are not told, since they may be secret."""

    name: str
    change: Change

    @property
    def field(self) -> str:
        """The field of the key document."""
        return "environment"

    @property
    def text(self) -> str:
        """The difference in words."""
        return f"environment variable {self.name} {CHANGES[self.change]}"


class FilesChange(_Change, frozen=True, kw_only=True, tag="files"):
    """Files that are others.

    :param field: ``source``, ``hash_paths`` or ``inputs``.
    :param name: of the input, or the path; "" for the source.
    :param step: the step that makes the input; "" for data from outside of the pipeline.
    :param pending: whether that step is still to run, so that it is not known which files it will make.
    :param files: the first of each kind; none where it is not known which ones.
    :param causes: why the step that makes the input made another: the steps at the beginning of the chain.
    """

    field: str
    name: str = ""
    step: str = ""
    pending: bool = False
    added: int = 0
    removed: int = 0
    changed: int = 0
    files: tuple[FileChange, ...] = ()
    causes: tuple[Cause, ...] = ()

    @property
    def count(self) -> int:
        """How many files differ; 0 where it is not known."""
        return self.added + self.removed + self.changed

    @property
    def label(self) -> str:
        """What has the files."""
        return _label(self.field, self.name)

    @property
    def text(self) -> str:
        """The difference in words."""
        label = self.label
        if self.pending:
            text = f"{label}: step {self.step} runs before it"
        elif not self.files:
            text = f"{label}: its {'data' if self.field == 'inputs' else 'files'} changed"
        else:
            more = f" and {self.count - _SHOWN} more" if self.count > _SHOWN else ""
            text = f"{label}: {', '.join(item.text for item in self.files[:_SHOWN])}{more}"
        own = self.step if self.pending else None  # which the text names already
        causes = "; ".join(cause.reason if cause.step == own else cause.text for cause in self.causes)
        return f"{text} ({causes})" if causes else text


Difference = ValueChange | ArgumentChange | PackageChange | VariableChange | FilesChange


class Earlier(_Change, frozen=True, kw_only=True):
    """The earlier result that a step was compared with.

    :param started: seconds since the epoch.
    :param accepted_by: on whose word it is the result of what it is compared as; "" where a step made it.
    """

    pipeline: str
    run: str
    step: str
    started: float
    accepted_by: str = ""

    @property
    def text(self) -> str:
        """Which one it is, in words."""
        accepted = f", as {self.accepted_by} accepted it" if self.accepted_by else ""
        return f"run {self.run} of {self.pipeline}{accepted}"


class Explanation(_Change, frozen=True, kw_only=True):
    """Why a step runs: in what it differs from an earlier result.

    :param against: the earlier result; None where there is none.
    :param differences: none where the result is gone.
    """

    against: Earlier | None = None
    differences: tuple[Difference, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """The differences in words."""
        return tuple(difference.text for difference in self.differences)


def is_pending(difference: Difference) -> bool:
    """Return whether a difference is only that a step before is still to run."""
    return isinstance(difference, FilesChange) and difference.pending


def show_side(value: Any) -> str:
    """Return one side of a :class:`ValueChange` as a table shows it."""
    return "not there" if value is msgspec.UNSET else show_value(value)


def show_value(value: Any) -> str:
    """Return a value as a text shows it: no longer than a line."""
    text = value if isinstance(value, str) and value else "none" if value is None else json.dumps(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _round(item) for name, item in value.items()}
    return [_round(item) for item in value] if isinstance(value, list) else value


def _label(field: str, name: str) -> str:
    return f"{_NOUNS.get(field, field)} {name}" if name else field


_NOUNS = {"inputs": "input", "metrics": "metric", "outputs": "output", "parameters": "parameter"}
