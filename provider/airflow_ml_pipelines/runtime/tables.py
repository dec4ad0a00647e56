"""Reads delimited files with pandas alone, for environments of scripts that have it and no DuckDB.

What it returns is what :mod:`airflow_ml_pipelines.runtime.table_engine` returns; the same tests are run with both.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DataError, did_you_mean
from airflow_ml_pipelines.runtime.places import is_remote, local_path
from airflow_ml_pipelines.runtime.table_options import kind_of_type, partition_pattern, path_values
from airflow_ml_pipelines.runtime.text_files import check_separator, codec_of, header_kind, read_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_ml_pipelines.runtime.places import DataFile

__all__ = ["need_pandas", "read_tables"]

_PATH = "Path"
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?\Z")


def need_pandas() -> Any:
    """Return pandas. :raises ImportError: where it is not installed."""
    try:
        import pandas as pd
    except ImportError:
        raise ImportError(
            "to_pandas_dataframe() needs pandas, which is not installed in the step's environment: add 'pandas' to its "
            "pip or conda packages",
            name="pandas",
        ) from None
    return pd


def read_tables(files: Sequence[DataFile], options: Mapping[str, Any]) -> Any:
    """Return the rows of all files, in the order of the files, as a ``pandas.DataFrame``.

    :param options: the fields of ``TabularFormat``; a missing one has its default.
    :raises ImportError: where pandas is not installed.
    :raises DataError: where a file can't be read as it is said to be.
    """
    pd = need_pandas()
    partition = partition_pattern(options.get("partition_format"))
    header = header_kind(options.get("header", True))
    names: Any = None
    frames: list[Any] = []
    for index, file in enumerate(files):
        has_header = header in ("same", "different") or (header == "first" and index == 0)
        frame = _read_file(pd, file, options, names if not has_header else None, has_header)
        if header == "first" and names is None:
            names = list(frame.columns)
        elif header == "same" and index and len(frame.columns) == len(frames[0].columns):
            frame.columns = frames[0].columns
        frames.append(frame)
        _add_columns(frame, file, partition, include_path=bool(options.get("include_path")))
    table = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True, sort=False)
    types = {
        str(name): kind_of_type(name, kind) for name, kind in (options.get("set_column_types") or {}).items()
    }
    for name in types:
        if name not in table.columns:
            raise DataError(
                f"set_column_types: there is no column {name!r}." + did_you_mean(name, table.columns)
            )
    if options.get("infer_column_types", True):
        _infer_dates(pd, table, types)
    for name, kind in types.items():
        table[name] = _convert(pd, table[name], kind)
    return table


def _read_file(pd: Any, file: DataFile, options: Mapping[str, Any], names: Any, has_header: bool) -> Any:
    separator = check_separator(options.get("separator", ","))
    encoding = options.get("encoding", "utf8")
    types = options.get("set_column_types") or {}
    text = object if not options.get("infer_column_types", True) else dict.fromkeys(types, object)
    arguments: dict[str, Any] = {
        "sep": re.escape(separator) if len(separator) > 1 else separator,
        "engine": "python" if len(separator.encode()) > 1 else "c",
        "header": 0 if has_header else None,
        "names": names,
        "dtype": text,
        "keep_default_na": not options.get("empty_as_string", False),
    }
    if arguments["engine"] == "c":
        arguments["low_memory"] = False  # so that a column has one type however long it is
    place = file.place if is_remote(file.place) else local_path(file.place)
    try:
        frame = pd.read_csv(place, encoding=codec_of(encoding), **arguments)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (pd.errors.ParserError, UnicodeError, LookupError, OSError, ValueError) as error:
        reason = str(error).strip()
        raise DataError(
            f"{file.label or file.place} can't be read as delimited text (separator {separator!r}, encoding "
            f"{encoding!r}): {reason}"
        ) from None
    if has_header and not is_remote(file.place):
        found, _ = read_names(place, separator, encoding, header=True)
        frame.columns = found if len(found) == len(frame.columns) else list(frame.columns)
    elif names is None:
        frame.columns = [f"Column{number}" for number in range(1, len(frame.columns) + 1)]
    return frame


def _convert(pd: Any, column: Any, kind: str) -> Any:
    """Return a column as a type; a value that can't be one becomes missing."""
    if kind == "string":
        return column.where(column.isna(), column.astype(str))
    if kind == "datetime":
        return pd.to_datetime(column, errors="coerce")
    if kind == "boolean":
        return column.map(
            lambda value: value if isinstance(value, bool) else _WORDS.get(str(value).lower())
        ).astype("boolean")
    numbers = pd.to_numeric(column, errors="coerce")
    if kind == "float":
        return numbers.astype("float64")
    if numbers.dtype.kind == "f":
        numbers = numbers.where(numbers % 1 == 0)
    return numbers.astype("Int64" if numbers.isna().any() else "int64")


def _infer_dates(pd: Any, table: Any, types: Mapping[str, str]) -> None:
    """Make columns of dates as ISO 8601 writes them columns of time stamps."""
    for name in table.columns:
        column = table[name]
        if name in types or name == _PATH or column.dtype.kind not in "OT":
            continue
        known = column.dropna()
        if (
            len(known)
            and known.map(lambda value: isinstance(value, str) and _DATE.match(value) is not None).all()
        ):
            with contextlib.suppress(ValueError):
                table[name] = pd.to_datetime(column)


def _add_columns(
    frame: Any, file: DataFile, partition: re.Pattern[str] | None, *, include_path: bool
) -> None:
    place = 0
    made = set() if partition is None else set(path_values(partition, file.label))
    made |= {_PATH} if include_path else set()
    frame.columns = [f"{name}_1" if name in made else name for name in frame.columns]
    if partition is not None:
        for name, value in path_values(partition, file.label).items():
            frame.insert(place, name, value)
            place += 1
    if include_path:
        frame.insert(0, _PATH, file.label or file.place)
