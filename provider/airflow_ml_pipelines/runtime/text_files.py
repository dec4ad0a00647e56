"""What has to be known of delimited files before they can be read as a table: names of columns, and an encoding."""

from __future__ import annotations

import codecs
import csv

from airflow_ml_pipelines.core.errors import DataError, did_you_mean

__all__ = ["codec_of", "header_kind", "read_names", "rewrite"]

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


def codec_of(encoding: str) -> str:
    """Return Python's name of an encoding. :raises LookupError: where there is none."""
    name = _ENCODINGS.get(encoding.lower().replace("-", ""), encoding)
    codecs.lookup(name)
    return name


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


def read_names(path: str, separator: str, encoding: str, *, header: bool) -> list[str]:
    """Return the names of a file's columns: those of its first line, else ``Column1``, ``Column2`` and so on."""
    with open(path, encoding=codec_of(encoding), newline="") as file:
        if len(separator) == 1:
            first = next(csv.reader(file, delimiter=separator), [])
        else:
            first = file.readline().rstrip("\r\n").split(separator)
    if not header:
        return [f"Column{number}" for number in range(1, len(first) + 1)]
    names: list[str] = []
    for number, text in enumerate(first):
        name = text or f"Unnamed: {number}"
        copies = 0
        while name in names:
            copies += 1
            name = f"{text}.{copies}"
        names.append(name)
    return names


def rewrite(path: str, target: str, encoding: str) -> None:
    """Write a file again as UTF-8, with one kind of line ends."""
    with open(path, encoding=codec_of(encoding)) as source:  # noqa: SIM117 - Python 3.8
        with open(target, "w", encoding="utf-8", newline="\n") as file:
            while text := source.read(_PIECE):
                file.write(text)
