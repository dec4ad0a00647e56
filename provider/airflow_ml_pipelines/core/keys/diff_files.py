"""Compares two manifests as they are stored, without decoding what is equal in both.

Both have a row a file, sorted by path. Equal stretches are skipped as bytes, so two lists of 100,000 files of which one
changed take little longer than reading them, and no more memory than their bytes.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal, NamedTuple

import msgspec

from airflow_ml_pipelines.core.errors import DocumentError

__all__ = ["CHANGES", "SHOWN", "Change", "FileChange", "FilesDiff", "diff_files"]

Change = Literal["added", "removed", "changed"]

CHANGES = {"added": "is new", "removed": "is gone", "changed": "changed"}
"""Each change in words."""

SHOWN = 20
"""How many files of each kind of change are named; all are counted."""

_STRING = rb'"((?:[^"\\]|\\.)*+)"'
_ROW = re.compile(rb"\[" + _STRING + rb',(\d+),"(\w*)",([01]),' + _STRING + rb"\],?")
_PATH, _SIZE, _DIGEST, _EXECUTABLE, _VERSION = range(1, 6)
_START = b'"files":['
_BORDER = b'"],["'  # in no string: a quotation mark within one has a backslash before it
_PIECE = 1 << 10
_LARGEST = 1 << 20


class FileChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file in which two lists differ.

    :param old_size: bytes; None where it was not there.
    :param new_size: bytes; None where it is not there any more.
    :param executable: what its executable bit became, where nothing else changed.
    """

    path: str
    change: Change
    old_size: int | None = None
    new_size: int | None = None
    executable: bool | None = None

    @property
    def text(self) -> str:
        """The change in words."""
        if self.executable is not None:
            return f"{self.path} is {'now' if self.executable else 'no longer'} executable"
        return f"{self.path} {CHANGES[self.change]}"


class FilesDiff(NamedTuple):
    """In which files two lists differ.

    :param files: the first of each kind: new ones, those that are gone, those that changed.
    """

    added: int
    removed: int
    changed: int
    files: tuple[FileChange, ...]


def diff_files(old: bytes, new: bytes) -> FilesDiff:
    """Return in which files two stored manifests differ.

    Files with a digest are compared by it, others by the store's version.

    :raises DocumentError: where one is no manifest.
    """
    changes = _Changes()
    before, after = _Rows(old), _Rows(new)
    a, b = before.next(), after.next()
    while a is not None or b is not None:
        if a is not None and b is not None and a[0] == b[0]:
            before.skip_equal(after)
        elif b is None or (a is not None and _comes_first(a, b)):
            assert a is not None
            changes.add("removed", a[_PATH], old_size=int(a[_SIZE]))
            a = before.next()
            continue
        elif a is None or a[_PATH] != b[_PATH]:
            changes.add("added", b[_PATH], new_size=int(b[_SIZE]))
            b = after.next()
            continue
        elif (a[_SIZE], a[_DIGEST] or a[_VERSION]) != (b[_SIZE], b[_DIGEST] or b[_VERSION]):
            changes.add("changed", b[_PATH], old_size=int(a[_SIZE]), new_size=int(b[_SIZE]))
        elif a[_EXECUTABLE] != b[_EXECUTABLE]:
            size, executable = int(b[_SIZE]), b[_EXECUTABLE] == b"1"
            changes.add("changed", b[_PATH], old_size=size, new_size=size, executable=executable)
        a, b = before.next(), after.next()
    return changes.result()


class _Changes:
    def __init__(self) -> None:
        self._found: dict[str, list[FileChange]] = {"added": [], "removed": [], "changed": []}
        self._counts = dict.fromkeys(self._found, 0)

    def add(self, change: Change, path: bytes, **fields: Any) -> None:
        self._counts[change] += 1
        if len(self._found[change]) < SHOWN:
            self._found[change].append(FileChange(path=_text(path), change=change, **fields))

    def result(self) -> FilesDiff:
        return FilesDiff(**self._counts, files=tuple(item for kind in self._found.values() for item in kind))


class _Rows:
    """The rows of a stored manifest, one after the other."""

    def __init__(self, data: bytes) -> None:
        start = data.find(_START)
        if start < 0:
            raise DocumentError("not a manifest: it has no list of files")
        self._data = data
        self._at = start + len(_START)

    def next(self) -> re.Match[bytes] | None:
        """Return the next row, None at the end. :raises DocumentError: where there is something else."""
        match = _ROW.match(self._data, self._at)
        if match is None:
            if self._data.startswith(b"]", self._at):
                return None
            raise DocumentError(f"a damaged manifest: no file at byte {self._at}")
        self._at = match.end()
        return match

    def skip_equal(self, other: _Rows) -> None:
        """Skip rows that are the same in both, all but a few."""
        equal = self._count_equal(other)
        end = self._data.rfind(_BORDER, self._at, self._at + equal)
        while end > 0 and self._data[end - 1] == ord("\\"):  # the end of a path such as `"],[`
            end = self._data.rfind(_BORDER, self._at, end)
        if end > 0:
            skipped = end + len(_BORDER) - 2 - self._at
            self._at += skipped
            other._at += skipped

    def _count_equal(self, other: _Rows) -> int:
        """Return how many bytes from here on are the same in both, or a little less."""
        count, piece = 0, _PIECE
        while piece >= _PIECE:
            one = self._data[self._at + count : self._at + count + piece]
            if one and one == other._data[other._at + count : other._at + count + piece]:
                count += len(one)
                piece = min(piece * 2, _LARGEST)
            else:
                piece //= 4
        return count


def _comes_first(a: re.Match[bytes], b: re.Match[bytes]) -> bool:
    return _text(a[_PATH]) < _text(b[_PATH])


def _text(path: bytes) -> str:
    text = path.decode("utf-8", "surrogatepass")
    return str(json.loads(f'"{text}"', strict=False)) if "\\" in text else text
