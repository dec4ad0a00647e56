"""Databases that are datastores: what a query returns, as a Parquet file.

========================  ==========================================  =========================
URL                       what it takes                               extra
========================  ==========================================  =========================
``postgresql://host/db``  ``username``, ``password``, ``sslmode`` …   ``postgres`` (psycopg)
``mysql://host/db``       ``username``, ``password``, ``ssl_ca``      ``mysql`` (PyMySQL)
``mssql://host/db``       ``username``, ``password``                  ``mssql`` (pymssql)
``sqlite:///folder/db``   nothing                                     none
========================  ==========================================  =========================

A query is only ever read: PostgreSQL and SQLite are told so, the others get a user who may do no more.
"""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import hashlib
import importlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from airflow_ml_pipelines.core.canonical import canonical_json
from airflow_ml_pipelines.core.databases.copy_out import copy_out
from airflow_ml_pipelines.core.databases.kinds import DATABASES
from airflow_ml_pipelines.core.errors import DataError, WorkspaceError

__all__ = ["Connect", "Database", "QueryResult", "open_database", "reason_of"]

_NULL = "\x01N"
"""What stands for a missing value between the database and the Parquet file, so that empty text is none."""

_ROWS = 10_000


class QueryResult(NamedTuple):
    """What a query returned.

    :param digest: of the rows in their order, and the columns with their types.
    """

    digest: str
    rows: int
    columns: Mapping[str, str]


class Connect(Protocol):
    """Opens a connection."""

    def __call__(self, seconds: float, *, write: bool = False) -> Any:
        """Return a connection as Python's DB-API has it. It is in a transaction, where it is to write."""


@dataclass(frozen=True)
class Database:
    """A database.

    :param name: how errors call it.
    :param connect: opens a connection whose statements may take so many seconds; one that can't write, unless asked to.
    """

    name: str
    kind: str
    connect: Connect = field(repr=False)

    def export(self, query: str, target: Path, seconds: float) -> QueryResult:
        """Write what a query returns into a Parquet file, in bounded memory.

        :param seconds: how long the database may take.
        :raises DataError: where the query fails; the text has the database's own reason.
        """
        text = query.strip().rstrip(";").strip()
        if not text:
            raise DataError(f"{self.name}: the query is empty")
        with tempfile.TemporaryDirectory(prefix="query-", dir=target.parent) as folder:
            rows = Path(folder, "rows.csv")
            try:
                connection = self.connect(seconds)
            except Exception as error:  # noqa: BLE001 - every driver has exceptions of its own
                raise DataError(f"{self.name} can't be reached: {reason_of(error)}") from None
            with closing(connection):
                try:
                    export = _export_postgresql if self.kind == "postgresql" else _export_any
                    columns, count = export(connection, text, rows)
                except DataError:
                    raise
                except Exception as error:  # noqa: BLE001
                    raise DataError(f"{self.name}: the query fails: {reason_of(error)}") from None
            # a row may have line breaks, by which cores can cut it wrongly: the rows are counted, and read by one if so
            if _write_parquet(rows, columns, target, parallel=True) != count:
                _write_parquet(rows, columns, target, parallel=False)
            return QueryResult(_digest(rows, columns), count, columns)


def open_database(url: str, options: Mapping[str, Any], name: str) -> Database:
    """Return the database at a URL; nothing is connected yet.

    :param options: ``username``, ``password``, ``host``, ``port``, ``database``, and what the driver takes besides.
    :raises WorkspaceError: where the driver is missing, or it is not said which database.
    """
    parts = urlsplit(url)
    kind = DATABASES[parts.scheme.lower()]
    if kind == "sqlite":
        path = "/" + unquote(url.partition("://")[2]).lstrip("/")
        return Database(name, kind, partial(_connect_sqlite, path))
    given = dict(options)
    known: dict[str, Any] = {
        "host": parts.hostname or given.pop("host", None),
        "port": parts.port or given.pop("port", None),
        "user": unquote(parts.username) if parts.username else given.pop("username", None),
        "password": given.pop("password", None),
        "database": unquote(parts.path.strip("/")) or given.pop("database", None),
    }
    for option in ("host", "port", "username", "database"):
        given.pop(option, None)
    for option in ("host", "database"):
        if not known[option]:
            raise WorkspaceError(f"{name}: the URL names no {option}: expected {kind}://<host>/<database>")
    settings = {field: value for field, value in {**known, **given}.items() if value is not None}
    driver = _driver(name, kind)
    return Database(name, kind, partial(_connect, driver, kind, settings))


def _driver(name: str, kind: str) -> Any:
    module, package = {
        "postgresql": ("psycopg", "postgres"),
        "mysql": ("pymysql", "mysql"),
        "mssql": ("pymssql", "mssql"),
    }[kind]
    try:
        return importlib.import_module(module)
    except ImportError:
        raise WorkspaceError(
            f"{name} needs {module}, which is not installed: pip install 'airflow-provider-ml-pipelines[{package}]'"
        ) from None


def _connect(
    driver: Any, kind: str, settings: Mapping[str, Any], seconds: float, *, write: bool = False
) -> Any:
    if kind == "postgresql":
        names = {"database": "dbname"}
        connection = driver.connect(**{names.get(k, k): v for k, v in settings.items()}, connect_timeout=10)
        connection.read_only = not write
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [str(int(seconds * 1000))])
        return connection
    if kind == "mysql":
        return _connect_mysql(driver, settings, seconds, write=write)
    names = {"host": "server"}
    return driver.connect(
        **{names.get(k, k): v for k, v in settings.items()}, timeout=int(seconds), login_timeout=10
    )


def _connect_mysql(driver: Any, settings: Mapping[str, Any], seconds: float, *, write: bool) -> Any:
    import pymysql.cursors

    connection = driver.connect(
        **settings,
        connect_timeout=10,
        read_timeout=seconds + 5,  # the server says more about what it ends itself
        cursorclass=pymysql.cursors.Cursor if write else pymysql.cursors.SSCursor,
    )
    limit = (
        f"max_statement_time = {seconds}"
        if "MariaDB" in connection.get_server_info()
        else f"max_execution_time = {int(seconds * 1000)}"
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION {limit}")
        if not write:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            cursor.execute("START TRANSACTION READ ONLY")
    return connection


def _connect_sqlite(path: str, seconds: float, *, write: bool = False) -> Any:
    import sqlite3
    import time
    from urllib.parse import quote

    if not Path(path).is_file():
        raise DataError(f"there is no file {path}")
    mode = "rw" if write else "ro"
    connection = sqlite3.connect(f"file:{quote(path)}?mode={mode}", uri=True, isolation_level=None)
    if write:  # Python's own transactions would end before a table is made
        connection.execute("BEGIN IMMEDIATE")
    until = time.monotonic() + seconds
    connection.set_progress_handler(lambda: int(time.monotonic() > until), 100_000)
    return connection


# --- rows into a file --------------------------------------------------------------------------------------------

_TYPES = {
    "bool": "BOOLEAN", "int2": "BIGINT", "int4": "BIGINT", "int8": "BIGINT", "oid": "BIGINT",
    "float4": "DOUBLE", "float8": "DOUBLE", "numeric": "DOUBLE",
    "date": "DATE", "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMPTZ",
}  # fmt: skip


def _export_postgresql(connection: Any, query: str, target: Path) -> tuple[dict[str, str], int]:
    from psycopg import adapters

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM ({query}) AS q LIMIT 0")  # noqa: S608 - the query is the user's own
        columns = _named(
            (item.name, _TYPES.get(getattr(adapters.types.get(item.type_code), "name", ""), "VARCHAR"))
            for item in cursor.description
        )
    statement = f"COPY ({query}) TO STDOUT (FORMAT csv, NULL '{_NULL}', ENCODING 'utf8')"
    return columns, copy_out(connection, statement, target)


def _export_any(connection: Any, query: str, target: Path) -> tuple[dict[str, str], int]:
    with closing(connection.cursor()) as cursor, target.open("w", encoding="utf-8", newline="") as file:
        cursor.execute(query)
        if cursor.description is None:
            raise DataError("the query returns no rows: expected one that reads, such as SELECT … FROM …")
        seen: list[set[type]] = [set() for _ in cursor.description]
        writer, count = csv.writer(file, lineterminator="\n"), 0
        for batch in _batches(cursor):
            for row in batch:
                for kinds, value in zip(seen, row, strict=True):
                    kinds.add(type(value))
                writer.writerow([_text(value) for value in row])
            count += len(batch)
        types = [_kind(found - {type(None)}) for found in seen]
        names = [str(item[0]) for item in cursor.description]
        return _named(zip(names, types, strict=True)), count


def _batches(cursor: Any) -> Iterator[Sequence[Sequence[Any]]]:
    while rows := cursor.fetchmany(_ROWS):
        yield rows


def _text(value: Any) -> Any:
    if value is None:
        return _NULL
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return value


def _kind(found: set[type]) -> str:
    if not found:
        return "VARCHAR"
    for kinds, name in (
        ({bool}, "BOOLEAN"),
        ({int, bool}, "BIGINT"),
        ({int, bool, float, decimal.Decimal}, "DOUBLE"),
        ({dt.date}, "DATE"),
        ({dt.datetime, dt.date}, "TIMESTAMP"),
    ):
        if found <= kinds:
            return name
    return "VARCHAR"


def _named(columns: Iterable[tuple[str, str]]) -> dict[str, str]:
    named: dict[str, str] = {}
    for name, kind in columns:
        if name in named:
            raise DataError(
                f"the query returns two columns that are called {name!r}: give one another name with AS"
            )
        named[name] = kind
    return named


def _write_parquet(rows: Path, columns: Mapping[str, str], target: Path, *, parallel: bool) -> int:
    """Write rows as Parquet; return how many there were, -1 where several cores could not read them."""
    import duckdb

    listed = ", ".join(f"{_quoted(name)}: '{kind}'" for name, kind in columns.items())
    source = (
        f"read_csv({_quoted(str(rows))}, auto_detect = false, header = false, delim = ',', quote = '\"', escape = '\"', "
        f"nullstr = {_quoted(_NULL)}, new_line = '\\n', parallel = {str(parallel).lower()}, max_line_size = 268435456, "
        f"columns = {{{listed}}})"
    )
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            connection.sql(f"FROM {source}").write_parquet(str(target))
            (count,) = connection.read_parquet(str(target)).count("*").fetchall()[0]
        except duckdb.Error as error:
            if parallel:
                return -1
            raise DataError(f"what the query returns can't be kept: {reason_of(error)}") from None
        return int(count)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _digest(rows: Path, columns: Mapping[str, str]) -> str:
    with rows.open("rb") as file:
        digest: Any = hashlib.file_digest(file, "sha256")
    digest.update(canonical_json(list(columns.items())))
    return str(digest.hexdigest())


def reason_of(error: BaseException) -> str:
    """Return a driver's reason in one line."""
    diagnosis = getattr(getattr(error, "diag", None), "message_primary", None)
    if diagnosis:
        return str(diagnosis)
    args = error.args
    if len(args) == 1 and isinstance(args[0], tuple):  # SQL Server, where it can't be reached
        args = args[0]
    if len(args) == 2 and isinstance(args[0], int):  # MySQL and SQL Server: a number and a text
        text = args[1].decode(errors="replace") if isinstance(args[1], bytes) else str(args[1])
        lines = [line for line in text.splitlines() if not line.startswith("DB-Lib error message")]
        return "; ".join(dict.fromkeys(lines)) or text
    return " ".join(str(error).split()) or type(error).__name__
