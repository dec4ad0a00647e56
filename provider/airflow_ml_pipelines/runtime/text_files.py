"""What has to be known of delimited files before they can be read as a table: names of columns, and an encoding."""

from __future__ import annotations

import codecs
import csv
import sys
from itertools import chain
from typing import TYPE_CHECKING

from airflow_ml_pipelines.core.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "check_quotes",
    "check_separator",
    "codec_of",
    "header_kind",
    "read_names",
    "rewrite",
]

_ENCODINGS = {
    "utf8": "utf-8-sig",  # a byte order mark is no part of the first column's name
    "utf-8": "utf-8-sig",
    "utf8bom": "utf-8-sig",
    "iso88591": "iso-8859-1",
    "latin1": "iso-8859-1",
    "utf32": "utf-32",
    "utf16": "utf-16",
    "windows1252": "cp1252",
}
_HEADERS = {
    "all_files_same": "same",
    "all_files_different": "different",
    "only_first_file": "first",
    "none": "none",
}
_PIECE = 1 << 20
_LONGEST = 4  # bytes of a separator; DuckDB takes no more


def codec_of(encoding: str) -> str:
    """Return Python's name of an encoding. :raises LookupError: where there is none."""
    name = _ENCODINGS.get(encoding.lower().replace("-", ""), encoding)
    codecs.lookup(name)
    return name


def check_separator(separator: str) -> str:
    """Return the text between two columns. :raises DataError: where it can't be one."""
    if not 1 <= len(separator.encode()) <= _LONGEST or any(sign in separator for sign in '"\r\n'):
        raise DataError(
            f"expected a separator of one to {_LONGEST} bytes without quotes and line ends, found {separator!r}"
        )
    return separator


def header_kind(value: object) -> str:
    """Return ``same``, ``different``, ``first`` or ``none``."""
    if isinstance(value, bool):
        return "same" if value else "none"
    try:
        return _HEADERS[str(value)]
    except KeyError:
        raise DataError(
            f"there is no way to read headers called {value!r}." + did_you_mean(str(value), _HEADERS)
        ) from None


def read_names(path: str, separator: str, encoding: str, *, header: bool) -> tuple[list[str], bool]:
    """Return the names of a file's columns, and whether it begins with empty lines.

    The first line that is not empty has the names, or they are ``Column1``, ``Column2`` and so on. A file that has no
    such line has no columns.
    """
    with open(path, encoding=codec_of(encoding), newline="") as file:
        empty, line = False, file.readline()
        while line and not line.strip("\r\n"):
            empty, line = True, file.readline()
        if len(separator) == 1:
            first = next(csv.reader(chain([line], file), delimiter=separator), []) if line else []
        else:
            first = line.rstrip("\r\n").split(separator) if line else []
    if not header:
        return [f"Column{number}" for number in range(1, len(first) + 1)], empty
    return _unique([text or f"Unnamed: {number}" for number, text in enumerate(first)]), empty


def _unique(names: Iterable[str]) -> list[str]:
    """Return names of columns of which no two are the same but for upper and lower case."""
    taken: dict[str, str] = {}
    for text in names:
        name, copies = text, 0
        while name.casefold() in taken:
            copies += 1
            name = f"{text}.{copies}"
        taken[name.casefold()] = name
    return list(taken.values())


def check_quotes(path: str, separator: str, encoding: str) -> None:
    """Check that every value in quotes ends. :raises ValueError: naming the line where one begins that does not."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        with open(path, encoding=codec_of(encoding), newline="") as file:
            one = separator if len(separator) == 1 else "\x1f"
            reader = csv.reader((line.replace(separator, one) for line in file), delimiter=one, strict=True)
            begin = 1
            try:
                for _ in reader:
                    begin = reader.line_num + 1
            except csv.Error:
                raise ValueError(f"a value in quotes does not end; its row begins in line {begin}") from None
    finally:
        csv.field_size_limit(limit)


def rewrite(path: str, target: str, encoding: str) -> None:
    """Write a file again as UTF-8, with one kind of line ends, and without empty lines at its beginning."""
    with open(path, encoding=codec_of(encoding)) as source:  # noqa: SIM117 - Python 3.8
        with open(target, "w", encoding="utf-8", newline="\n") as file:
            begun = False
            while text := source.read(_PIECE):
                text = text if begun else text.lstrip("\n")
                begun = begun or bool(text)
                file.write(text)
