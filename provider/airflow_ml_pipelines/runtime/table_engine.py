"""Reads delimited files, Parquet and JSON lines as one table, with DuckDB: lazily, in bounded memory, on every core.

Delimited text is read as text first. A column is then of integers, numbers, truth values or times if all of its values
are, and of text otherwise, so that its type never hangs on how far somebody has looked.
"""

from __future__ import annotations

import codecs
import csv
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DataError, did_you_mean
from airflow_ml_pipelines.runtime.expressions import quote_name, quote_value
from airflow_ml_pipelines.runtime.operations import apply_operation
from airflow_ml_pipelines.runtime.places import DataFile, copy_from, is_remote, local_path
from airflow_ml_pipelines.runtime.table_options import kind_of_type, partition_pattern, path_values
from airflow_ml_pipelines.runtime.text_files import (
    check_quotes,
    check_separator,
    codec_of,
    header_kind,
    read_names,
    rewrite,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["ColumnProfile", "Table", "has_engine"]

_PATH = "Path"
_FILE = ".file of the row"
_NULLS = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
_NOTHING = "\x01"  # what no file has: where an empty value is text
_PATTERNS = {
    "BIGINT": r"\s*[+-]?\d{1,18}\s*",
    "DOUBLE": r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*",
    "BOOLEAN": r"(?i)true|false",
    "TIMESTAMP": r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?",
    "TIMESTAMPTZ": r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?",
}
"""What values of a type look like, the first that all values fit is the column's type."""

_FORMATS = ("%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%Y%m%d")
_KINDS = ("delimited", "parquet", "json_lines")
_EMPTY = 'SELECT NULL AS "Column1" WHERE false'
_WAYS = ((True, True), (False, True), (True, False))
"""How a delimited file is read, whether rows that are too short are filled up and whether on every core: the first way
that can. On every core DuckDB does not fill up rows of a file that has line ends in quotes; on one it does, but
drops the rows after a quote that does not end."""


@dataclass(frozen=True)
class ColumnProfile:
    """What is known of the values of a column.

    :param unique: how many different values there are, about.
    :param min: as text; so are ``max`` and the quartiles.
    """

    name: str
    type: str
    count: int
    missing_count: int
    min: str | None
    max: str | None
    mean: float | None
    std_dev: float | None
    lower_quartile: str | None
    median: str | None
    upper_quartile: str | None
    unique: int


def has_engine() -> bool:
    """Return whether DuckDB is there."""
    from importlib.util import find_spec

    return find_spec("duckdb") is not None


class Table:
    """The rows of files, and what operations leave of them. Use it as a context: it may have copies of files.

    :param files: in the order of their rows.
    :param options: the fields of ``TabularFormat``; a missing one has its default. Besides, ``missing`` are the texts
        that stand for a missing value in delimited files.
    :raises DataError: where a file can't be read as it is said to be, or a column is missing.
    """

    def __init__(self, files: Sequence[DataFile], options: Mapping[str, Any]) -> None:
        try:
            import duckdb
        except ImportError:
            raise ImportError(
                "this needs DuckDB, which is not installed in the step's environment: add 'duckdb' to its pip packages",
                name="duckdb",
            ) from None
        self._options = options
        self._files = list(files)
        self._folder = tempfile.TemporaryDirectory(prefix="table-")
        spill = {"temp_directory": os.path.join(self._folder.name, "spill")}
        quiet = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
        self._connection = duckdb.connect(config={**spill, **quiet})
        self._error = duckdb.Error
        try:
            self._connection.execute("SET TimeZone = 'UTC'")
            self._paths = [self._bring(number, file) for number, file in enumerate(self._files)]
            self._sql = self._read()
            self._set_types()
            for operation in options.get("operations") or ():
                self._sql = apply_operation(self._sql, self.columns, operation)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Table:  # noqa: PYI034 - Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take away what was copied."""
        self._connection.close()
        self._folder.cleanup()

    @property
    def columns(self) -> dict[str, str]:
        """The columns by name, with their types in the words of SQL."""
        return self._columns(self._sql)

    @property
    def is_blank(self) -> bool:
        """Whether the files have nothing, not even names of columns."""
        return not self._files

    def count(self) -> int:
        """Return how many rows there are."""
        return int(self._rows(f"SELECT count(*) FROM ({self._sql})")[0][0])

    def rows(self) -> list[tuple[Any, ...]]:
        """Return all rows."""
        return self._rows(self._sql)

    def head(self, count: int) -> list[tuple[Any, ...]]:
        """Return the first rows."""
        return self._rows(f"SELECT * FROM ({self._sql}) LIMIT {int(count)}")

    def to_pandas(self) -> Any:
        """Return the rows as a ``pandas.DataFrame``."""
        zoned = [name for name, kind in self.columns.items() if kind == "TIMESTAMP WITH TIME ZONE"]
        plain = ", ".join(f"{quote_name(name)} AT TIME ZONE 'UTC' AS {quote_name(name)}" for name in zoned)
        sql = f"SELECT * REPLACE ({plain}) FROM ({self._sql})" if plain else self._sql
        frame = self._run(lambda: self._connection.sql(sql).df())
        for name in zoned:
            frame[name] = frame[name].dt.tz_localize("UTC")
        return frame

    def write_csv(self, path: str, separator: str = ",") -> None:
        """Write the rows as delimited text with a header."""
        options = f"FORMAT csv, HEADER true, DELIMITER {_text(check_separator(separator))}"
        self._run(lambda: self._connection.execute(f"COPY ({self._sql}) TO {_text(path)} ({options})"))

    def write_rows(self, path: str, null: str) -> int:
        """Write the rows as PostgreSQL reads them: delimited text without a header; return how many.

        :param null: the text for what is missing.
        """
        options = f"FORMAT csv, HEADER false, NULLSTR {_text(null)}"
        sql = self._replaced({"BLOB": "'\\x' || hex({})"})
        statement = f"COPY ({sql}) TO {_text(path)} ({options})"
        return int(self._run(lambda: self._connection.execute(statement).fetchall())[0][0])

    def batches(self, size: int) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows, so many at once: of numbers, texts, truth values and bytes, all else as text that databases know."""
        sql = self._replaced(
            {
                **dict.fromkeys(_PLAIN, "{}"),
                "TIMESTAMP WITH TIME ZONE": "CAST({} AT TIME ZONE 'UTC' AS VARCHAR)",
                "": "CAST({} AS VARCHAR)",
            }
        )
        found = self._run(lambda: self._connection.execute(sql))
        while batch := self._run(lambda: found.fetchmany(size)):
            yield batch

    def _replaced(self, forms: Mapping[str, str]) -> str:
        """Return a query for the rows with the columns of some types in other forms.

        :param forms: by type, with ``{}`` for the value; "" for all types that are not named.
        """
        given = {name: forms.get(kind, forms.get("", "{}")) for name, kind in self.columns.items()}
        changed = ", ".join(
            f"{form.format(quote_name(name))} AS {quote_name(name)}"
            for name, form in given.items()
            if form != "{}"
        )
        return f"SELECT * REPLACE ({changed}) FROM ({self._sql})" if changed else self._sql

    def write_parquet(self, path: str) -> None:
        """Write the rows as a Parquet file."""
        options = "FORMAT parquet, COMPRESSION zstd"
        self._run(lambda: self._connection.execute(f"COPY ({self._sql}) TO {_text(path)} ({options})"))

    def write_partitions(self, folder: str, keys: Sequence[str]) -> None:
        """Write the rows as Parquet files in folders ``<key>=<value>``, one in the other; values are percent-encoded.

        :raises DataError: where a key is no column, or no other column is left.
        """
        columns = self.columns
        for key in keys:
            if key not in columns:
                raise DataError(f"there is no column {key!r}.{did_you_mean(key, columns)}")
        if len(columns) <= len(keys):
            raise DataError("no column is left for the files: leave one out of the keys")
        options = f"FORMAT parquet, COMPRESSION zstd, PARTITION_BY ({', '.join(map(quote_name, keys))})"
        self._run(lambda: self._connection.execute(f"COPY ({self._sql}) TO {_text(folder)} ({options})"))

    def profile(self) -> list[ColumnProfile]:
        """Return what is known of the values of each column."""
        total = self.count()
        found = []
        for row in self._rows(f"SUMMARIZE SELECT * FROM ({self._sql})"):
            name, kind, least, most, unique, mean, deviation, q25, q50, q75, _, percentage = row
            missing = round(total * float(percentage or 0) / 100)
            if not kind.startswith(_NUMERIC):
                mean = deviation = None
            found.append(
                ColumnProfile(
                    name=name,
                    type=kind,
                    count=total,
                    missing_count=missing,
                    min=least,
                    max=most,
                    mean=None if mean is None else float(mean),
                    std_dev=None if deviation is None else float(deviation),
                    lower_quartile=q25,
                    median=q50,
                    upper_quartile=q75,
                    unique=int(unique),
                )
            )
        return found

    # --- how the files are read ----------------------------------------------------------------------------------

    def _bring(self, number: int, file: DataFile) -> str:
        if not is_remote(file.place):
            return os.path.abspath(local_path(file.place))
        target = os.path.join(self._folder.name, f"{number}-{os.path.basename(file.path) or 'file'}")
        copy_from(file.place, target)
        return target

    def _read(self) -> str:
        kind = self._options.get("format", "delimited")
        if kind == "delimited":
            return self._read_delimited()
        if kind not in _KINDS:
            raise DataError(f"there is no way to read files called {kind!r}.{did_you_mean(kind, _KINDS)}")
        if kind == "json_lines":
            return self._read_json()
        return self._read_files("read_parquet")

    def _read_files(self, reader: str, more: str = "") -> str:
        sql = self._labelled(
            f"SELECT * FROM {reader}({_list(self._paths)}, union_by_name = true, filename = {_text(_FILE)}{more})"
        )
        self._columns(sql)
        return sql

    def _read_json(self) -> str:
        self._keep([index for index, path in enumerate(self._paths) if _has_text(path)])
        if not self._paths:
            return _EMPTY
        for number, path in enumerate(self._paths):
            with open(path, "rb") as file:
                marked = file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
            if marked:  # DuckDB takes no byte order mark
                self._paths[number] = os.path.join(self._folder.name, f"{number}.jsonl")
                rewrite(path, self._paths[number], "utf8")
        # all lines say which columns there are, and of what types
        sql = self._read_files(
            "read_json", ", format = 'newline_delimited', records = true, sample_size = -1"
        )
        mixed = [name for name, kind in self._columns(sql).items() if kind == "JSON"]
        texts = ", ".join(f"{quote_name(name)} ->> '$' AS {quote_name(name)}" for name in mixed)
        return f"SELECT * REPLACE ({texts}) FROM ({sql})" if texts else sql

    def _read_delimited(self) -> str:
        encoding = self._options.get("encoding", "utf8")
        separator = check_separator(self._options.get("separator", ","))
        names, plain = self._read_names(encoding, separator)
        if not names:
            return _EMPTY
        for rewritten in (False, True) if plain else (True,):
            if rewritten:
                self._rewrite(encoding)
            for padded, parallel in _WAYS:
                for file, path in zip(self._files, self._paths) if not parallel else ():
                    self._check_quotes(file, path, separator)
                sql = self._labelled(self._text_sql(names, padded=padded, parallel=parallel))
                try:
                    return self._typed(sql)
                except self._error as error:
                    last = error
        file = next((f for f, path in zip(self._files, self._paths) if path in str(last)), self._files[0])
        raise self._unreadable(file, last)

    def _read_names(self, encoding: str, separator: str) -> tuple[list[list[str]], bool]:
        """Leave files without a line out; return the columns of the others, and whether DuckDB reads these as they are."""
        names: list[list[str]] = []
        kept: list[int] = []
        plain = True
        for index, path in enumerate(self._paths):
            try:
                found, empty = read_names(path, separator, encoding, header=self._has_header(len(kept)))
            except (UnicodeError, LookupError, OSError, csv.Error) as error:
                raise self._unreadable(self._files[index], error) from None
            if found:
                names.append(found)
                kept.append(index)
                plain = plain and not empty and codec_of(encoding) == "utf-8-sig"
        self._keep(kept)
        return names, plain

    def _keep(self, indexes: Sequence[int]) -> None:
        self._files = [self._files[index] for index in indexes]
        self._paths = [self._paths[index] for index in indexes]

    def _has_header(self, index: int) -> bool:
        kind = header_kind(self._options.get("header", True))
        return kind in ("same", "different") or (kind == "first" and index == 0)

    def _rewrite(self, encoding: str) -> None:
        """Read copies of the files from now on: of UTF-8, with one kind of line ends."""
        for number, path in enumerate(self._paths):
            target = os.path.join(self._folder.name, f"{number}.utf8")
            try:
                rewrite(path, target, encoding)
            except (UnicodeError, OSError) as error:
                raise self._unreadable(self._files[number], error) from None
            self._paths[number] = target

    def _check_quotes(self, file: DataFile, path: str, separator: str) -> None:
        try:
            check_quotes(path, separator, "utf8")
        except ValueError as error:  # of an encoding too
            raise self._unreadable(file, error) from None

    def _text_sql(self, names: list[list[str]], *, padded: bool, parallel: bool) -> str:
        """Return a query for all values as text; files in a row that have one header are read together."""
        kind = header_kind(self._options.get("header", True))
        separator = self._options.get("separator", ",")
        texts = (_NOTHING,) if self._options.get("empty_as_string") else self._options.get("missing", _NULLS)
        nulls = [text for text in texts if separator not in text]  # no value can be one with it
        groups: list[tuple[tuple[list[str], bool], list[str]]] = []
        for number, path in enumerate(self._paths):
            header = self._has_header(number)
            own = names[number] if kind == "different" or len(names[number]) != len(names[0]) else names[0]
            form = (own, header)
            if groups and groups[-1][0] == form:
                groups[-1][1].append(path)
            else:
                groups.append((form, [path]))
        queries = []
        for (own, header), group in groups:
            columns = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in own)
            queries.append(
                f"SELECT * FROM read_csv({_list(group)}, auto_detect = false, strict_mode = true, "
                f"delim = {_text(separator)}, quote = '\"', escape = '\"', header = {str(header).lower()}, "
                f"null_padding = {str(padded).lower()}, parallel = {str(parallel).lower()}, "
                f"nullstr = {_list(nulls)}, columns = {{{columns}}}, filename = {_text(_FILE)}, max_line_size = 67108864)"
            )
        return " UNION ALL BY NAME ".join(queries)

    def _labelled(self, sql: str) -> str:
        """Return a query with the columns that come from where a file lies."""
        partition = partition_pattern(self._options.get("partition_format"))
        extra: dict[str, dict[str, Any]] = {}
        for file, path in zip(self._files, self._paths):
            values: dict[str, Any] = (
                {_PATH: file.label or file.place} if self._options.get("include_path") else {}
            )
            if partition is not None:
                values.update(path_values(partition, file.label))
            extra[path] = values
        added = []
        for name in next(iter(extra.values()), {}):
            listed = ", ".join(_literal(item[name]) for item in extra.values())
            added.append(f"map({_list(extra)}, [{listed}])[{quote_name(_FILE)}] AS {quote_name(name)}")
        return f"SELECT {''.join(item + ', ' for item in added)}* EXCLUDE ({quote_name(_FILE)}) FROM ({sql})"

    # --- types ---------------------------------------------------------------------------------------------------

    def _typed(self, sql: str) -> str:
        """Return a query for the values of a query for text, each column of the type that all of its values fit."""
        asked = self._options.get("set_column_types") or {}
        columns = self._columns(sql)
        texts = [
            name
            for name, kind in columns.items()
            if kind == "VARCHAR" and name not in asked and name != _PATH
        ]
        if not self._options.get("infer_column_types", True):
            texts = []
        looks = ["count(*)"]
        for name in texts:
            quoted = quote_name(name)
            looks.append(f"count({quoted})")
            looks += [f"count_if({_fits(quoted, kind)})" for kind in _PATTERNS]
        counts = self._connection.execute(f"SELECT {', '.join(looks)} FROM ({sql})").fetchall()[0][1:]
        casts = []
        for number, name in enumerate(texts):
            values, *fits = counts[number * (len(_PATTERNS) + 1) : (number + 1) * (len(_PATTERNS) + 1)]
            kind = next((kind for kind, fit in zip(_PATTERNS, fits) if values and fit == values), None)
            if kind is not None:
                casts.append(f"CAST({quote_name(name)} AS {kind}) AS {quote_name(name)}")
        return f"SELECT * REPLACE ({', '.join(casts)}) FROM ({sql})" if casts else sql

    def _set_types(self) -> None:
        asked = self._options.get("set_column_types") or {}
        columns = self.columns if asked else {}
        casts = []
        for name, kind in asked.items():
            if name not in columns:
                raise DataError(
                    f"set_column_types: there is no column {name!r}.{did_you_mean(name, columns)}"
                )
            casts.append(f"{_convert(quote_name(name), kind_of_type(name, kind))} AS {quote_name(name)}")
        if casts:
            self._sql = f"SELECT * REPLACE ({', '.join(casts)}) FROM ({self._sql})"

    # --- DuckDB --------------------------------------------------------------------------------------------------

    def _columns(self, sql: str) -> dict[str, str]:
        found = self._rows(f"DESCRIBE SELECT * FROM ({sql})")
        return {row[0]: row[1] for row in found}

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._run(lambda: self._connection.execute(sql).fetchall())
        return found

    def _run(self, action: Any) -> Any:
        try:
            return action()
        except self._error as error:
            names = ", ".join(file.label or file.place for file in self._files[:3])
            raise DataError(f"the table of {names} can't be read: {self._reason(error)}") from None

    def _unreadable(self, file: DataFile, error: Exception) -> DataError:
        separator, encoding = self._options.get("separator", ","), self._options.get("encoding", "utf8")
        return DataError(
            f"{file.label or file.place} can't be read as delimited text (separator {separator!r}, encoding "
            f"{encoding!r}): {self._reason(error)}"
        )

    def _reason(self, error: Exception) -> str:
        """Return what an error says, with the files by the names that people know them by."""
        text = _reason(error)
        for file, path in zip(self._files, self._paths):
            text = text.replace(path, file.label or file.place)
        return text


_PLAIN = (
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "FLOAT", "DOUBLE",
    "VARCHAR", "BLOB",
)  # fmt: skip
_NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "U", "FLOAT", "DOUBLE", "DECIMAL")


def _fits(value: str, kind: str) -> str:
    """Return a condition: that a text is of a type. There is no 30th of February."""
    look = f"regexp_full_match({value}, {_text(_PATTERNS[kind])})"
    return f"{look} AND TRY_CAST({value} AS {kind}) IS NOT NULL" if kind.startswith("TIMESTAMP") else look


def _has_text(path: str) -> bool:
    with open(path, "rb") as file:
        return any(line.strip(b" \t\r\n\xef\xbb\xbf") for line in file)


def _convert(value: str, kind: str) -> str:
    """Return a value as a type; one that can't be is missing."""
    text = f"CAST({value} AS VARCHAR)"
    number = f"TRY_CAST({text} AS DOUBLE)"
    if kind == "string":
        return text
    if kind == "float":
        return number
    if kind == "boolean":
        word = f"lower(trim({text}))"
        return f"CASE WHEN {word} IN ('true', 'yes', '1') THEN TRUE WHEN {word} IN ('false', 'no', '0') THEN FALSE END"
    if kind == "datetime":
        return f"COALESCE(TRY_CAST({text} AS TIMESTAMP), try_strptime({text}, {_list(_FORMATS)}))"
    whole = f"regexp_full_match({text}, {_text(_PATTERNS['BIGINT'])})"
    return f"CASE WHEN {whole} THEN TRY_CAST({text} AS BIGINT) WHEN {number} % 1 = 0 THEN TRY_CAST({number} AS BIGINT) END"


def _literal(value: Any) -> str:
    return _text(value) if isinstance(value, str) else quote_value(("time", value.isoformat()))


def _text(value: str) -> str:
    return quote_value(("value", value))


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept: list[str] = []
    for line in lines:
        if line.startswith(("Possible", "file =", "*", "Column", "LINE ", "Candidate", "Try setting")):
            break
        kept.append(line)
    return " ".join(kept) or type(error).__name__
