"""Where in a user's code something was made or went wrong, so that an error can show the line."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Sequence
from itertools import islice
from types import CodeType, FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import airflow_ml_pipelines
from airflow_ml_pipelines.core.errors import DefinitionError

if TYPE_CHECKING:
    from airflow_ml_pipelines.written.source import Finding

__all__ = ["Call", "Made", "failure", "is_ours", "refuse", "show_file"]

_OURS = tuple(
    f"{os.path.dirname(os.path.abspath(file))}{os.sep}" for file in (__file__, airflow_ml_pipelines.__file__)
)


class Call(NamedTuple):
    """A call in a user's code.

    :param instruction: the index of its instruction in the code.
    """

    code: CodeType
    instruction: int

    @classmethod
    def here(cls) -> Call | None:
        """Return the nearest call outside of this package; None where there is none."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - inspect.stack reads the source of every frame
        while frame is not None and is_ours(frame.f_code.co_filename):
            frame = frame.f_back
        return None if frame is None else cls(frame.f_code, frame.f_lasti)

    @classmethod
    def of(cls, traceback: TracebackType | None) -> Call | None:
        """Return the innermost call of a traceback that is in code of the user's own."""
        found = None
        while traceback is not None:
            file = traceback.tb_frame.f_code.co_filename
            if not is_ours(file) and not _is_installed(file):
                found = cls(traceback.tb_frame.f_code, traceback.tb_lasti)
            traceback = traceback.tb_next
        return found

    @property
    def file(self) -> str:
        """The file; a name in ``<…>`` for code that is in none."""
        return self.code.co_filename

    def find(self, message: str) -> Finding:
        """Return what is wrong with the call as a finding, with the line where it can be read."""
        from airflow_ml_pipelines.written.excerpt import show_excerpt
        from airflow_ml_pipelines.written.source import Finding

        positions = next(islice(self.code.co_positions(), self.instruction // 2, None), (None,) * 4)
        number, last, begin, end = positions
        number = number or self.code.co_firstlineno
        line = linecache.getline(self.file, number).rstrip("\r\n")
        column = len(line.encode()[: begin or 0].decode(errors="replace"))
        until = len(line.encode()[:end].decode(errors="replace")) if last == number and end else len(line)
        excerpt = show_excerpt(line, number, column, until - column) if line else ""
        return Finding(show_file(self.file), number, column + 1, max(1, until - column), message, excerpt)


class Made:
    """The base of what remembers where it was made.

    :ivar made_at: None where that can't be told.
    """

    made_at: Call | None = None

    def __new__(cls, *_args: Any, **_options: Any) -> Self:
        """Return a new object."""
        self = super().__new__(cls)
        self.made_at = Call.here()
        return self


def is_ours(file: str) -> bool:
    """Return whether a file is of this package."""
    return file.startswith(_OURS)


def refuse(problems: Sequence[tuple[Call | None, str]]) -> None:
    """Raise an error with all problems, each with the line of the user's code that it is about; nothing for none.

    :raises DefinitionError: its ``findings`` have the places.
    """
    if problems:
        raise failure(problems)


def failure(problems: Sequence[tuple[Call | None, str]]) -> DefinitionError:
    """Return the error that :func:`refuse` raises."""
    texts: list[str] = []
    findings: list[Finding] = []
    for call, message in dict.fromkeys(problems):
        finding = call.find(message) if call else None
        texts.append(str(finding) if finding and finding.excerpt else message)
        findings += [finding] if finding and finding.excerpt else []
    error = DefinitionError("\n".join(texts))
    error.findings = tuple(findings) if len(findings) == len(texts) else ()
    return error


def show_file(file: str) -> str:
    """Return a file as short as it can be named from the current folder."""
    near = os.path.relpath(file) if os.path.isabs(file) else file
    return file if near.startswith("..") else near


def _is_installed(file: str) -> bool:
    """Return whether a file is of the standard library or an installed package."""
    return file.startswith((f"{os.path.dirname(os.__file__)}{os.sep}", "<frozen ")) or "site-packages" in file
