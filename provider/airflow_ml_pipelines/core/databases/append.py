"""Appends rows to a table of a database: all of them or none, and once.

What was appended is noted in the table ``ml_pipelines_transfers`` of the same database, in the same transaction, so that
a transfer whose process was lost after it had ended does not append its rows a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from airflow_ml_pipelines.core.databases.database import Database, reason_of
from airflow_ml_pipelines.core.errors import DataError, MlPipelinesError, did_you_mean
from airflow_ml_pipelines.core.progress import advance

__all__ = ["NOTES", "NULL", "Rows", "append_rows"]

NOTES = "ml_pipelines_transfers"
"""The table that has a row for each transfer to the database."""

NULL = "\x01N"
"""What stands for a missing value in delimited text, so that empty text is none."""

_PIECE = 1 << 20
_BATCH = 10_000
_SECONDS = 24 * 3600.0


class Rows:
    """Rows to append.

    :param columns: their names.
    :param count: returns how many there are.
    :param write: writes them into a file as delimited text without a header, with :data:`NULL` for what is missing, and
        returns how many there were.
    :param batches: gives them as tuples.
    """

    def __init__(
        self,
        columns: Sequence[str],
        count: Callable[[], int],
        write: Callable[[Path], int],
        batches: Callable[[int], Iterator[Sequence[Sequence[Any]]]],
    ) -> None:
        self.columns = tuple(columns)
        self.count = count
        self.write = write
        self.batches = batches


def append_rows(
    database: Database, table: str, rows: Rows, transfer: str, folder: Path, check: Callable[[], None]
) -> tuple[bool, int]:
    """Append rows in one transaction; return whether it did, or this transfer had before, and how many there are.

    :param table: which may be ``schema.table``; letters, digits and ``_``.
    :param transfer: what the transfer is known by.
    :param folder: where there is room for the rows as text.
    :param check: called from time to time; what it raises ends the work, and nothing is appended.
    :raises DataError: where there is no such table, the columns are not those of the table, or a value does not fit;
        nothing is appended then.
    """
    what = f"table {table!r} of {database.name}"
    try:
        connection = database.connect(_SECONDS, write=True)
    except MlPipelinesError:
        raise
    except Exception as error:  # noqa: BLE001 - every driver has exceptions of its own
        raise DataError(f"{database.name} can't be reached: {reason_of(error)}") from None
    with closing(connection):
        try:
            named, there = _find_table(connection, database.kind, table)
            _check_columns(there, rows.columns, what)
            if database.kind == "mysql":
                _be_strict(connection, table, what)
            text = folder / "rows.csv" if database.kind == "postgresql" else None
            count = rows.count() if text is None else rows.write(text)
            if not _note(connection, database.kind, table, transfer, count):
                connection.rollback()
                return False, count
            if text is None:
                _append_any(connection, database.kind, named, rows, check)
            else:
                _append_postgresql(connection, named, rows.columns, text, count, check)
            connection.commit()
        except MlPipelinesError:
            connection.rollback()
            raise
        except OSError:
            connection.rollback()
            raise
        except Exception as error:
            if error.__class__.__module__.startswith("airflow_ml_pipelines"):
                raise  # that the work is to end
            raise DataError(f"nothing is appended to {what}: {reason_of(error)}") from None
    return True, count


def _find_table(connection: Any, kind: str, table: str) -> tuple[str, tuple[str, ...]]:
    """Return a table's name as statements have it, and its columns.

    The name is taken as it is, and in quotes where it is a word of SQL like ``order``.
    """
    quoted = ".".join(_quoted(part, kind) for part in table.split("."))
    with closing(connection.cursor()) as cursor:
        if kind == "postgresql":
            cursor.execute("SAVEPOINT named")  # which an error would end the transaction without
        try:
            return table, _columns(cursor, table)
        except Exception as error:  # noqa: BLE001 - every driver has exceptions of its own
            if kind == "postgresql":
                cursor.execute("ROLLBACK TO SAVEPOINT named")
            try:
                return quoted, _columns(cursor, quoted)
            except Exception:  # noqa: BLE001
                raise error from None


def _columns(cursor: Any, table: str) -> tuple[str, ...]:
    cursor.execute(f"SELECT * FROM {table} WHERE 1 = 0")  # noqa: S608 - a name of letters and digits
    return tuple(str(item[0]) for item in cursor.description)


def _be_strict(connection: Any, table: str, what: str) -> None:
    """Let MySQL refuse values that do not fit, whatever its settings are, and refuse a table that undoes nothing."""
    schema, _, name = table.rpartition(".")
    with closing(connection.cursor()) as cursor:
        cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')")
        cursor.execute(
            "SELECT engine FROM information_schema.tables JOIN information_schema.engines USING (engine) "
            "WHERE table_schema = COALESCE(NULLIF(%s, ''), DATABASE()) AND table_name = %s AND transactions <> 'YES'",
            (schema, name),
        )
        found = cursor.fetchone()
    if found is not None:
        raise DataError(
            f"{what} is of engine {found[0]}, which can't undo: of rows that fail, some would stay. Give it another "
            "engine, such as InnoDB"
        )


def _check_columns(there: Sequence[str], given: Sequence[str], what: str) -> None:
    unknown = [name for name in given if name not in there]
    if unknown:
        raise DataError(
            f"{what} has no column {', '.join(map(repr, unknown))}, which the source has.{did_you_mean(unknown[0], there)} "
            "Nothing is appended"
        )


def _note(connection: Any, kind: str, table: str, transfer: str, count: int) -> bool:
    """Note that a transfer appends rows; return False where it has before."""
    mark = "?" if kind == "sqlite" else "%s"
    with closing(connection.cursor()) as cursor:
        cursor.execute(_make_notes(kind))
        cursor.execute(f"SELECT rows_appended FROM {NOTES} WHERE transfer = {mark}", (transfer,))  # noqa: S608
        if cursor.fetchone() is not None:
            return False
        values = f"VALUES ({mark}, {mark}, {mark})"
        cursor.execute(
            f"INSERT INTO {NOTES} (transfer, target, rows_appended) {values}",
            (transfer, table, count),
        )
    return True


def _make_notes(kind: str) -> str:
    fields = "(transfer VARCHAR(64) PRIMARY KEY, target VARCHAR(255) NOT NULL, rows_appended BIGINT NOT NULL)"
    if kind == "mssql":
        return f"IF OBJECT_ID('{NOTES}') IS NULL CREATE TABLE {NOTES} {fields}"
    return f"CREATE TABLE IF NOT EXISTS {NOTES} {fields}"


def _append_postgresql(
    connection: Any, table: str, names: Sequence[str], text: Path, count: int, check: Callable[[], None]
) -> None:
    columns = ", ".join(_quoted(name, "postgresql") for name in names)
    with connection.cursor() as cursor:
        statement = f"COPY {table} ({columns}) FROM STDIN (FORMAT csv, NULL '{NULL}', ENCODING 'utf8')"
        with cursor.copy(statement) as copy, text.open("rb") as file:
            while piece := file.read(_PIECE):
                copy.write(piece)
                advance(len(piece))
                check()
        if cursor.rowcount != count:
            raise DataError(f"the database took {cursor.rowcount} of {count} rows")


def _append_any(connection: Any, kind: str, table: str, rows: Rows, check: Callable[[], None]) -> None:
    columns = ", ".join(_quoted(name, kind) for name in rows.columns)
    if kind != "sqlite":
        columns = columns.replace("%", "%%")
    marks = ", ".join(["?" if kind == "sqlite" else "%s"] * len(rows.columns))
    statement = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - names of the database itself
    with closing(connection.cursor()) as cursor:
        for batch in rows.batches(_BATCH):
            cursor.executemany(statement, batch)
            check()


def _quoted(name: str, kind: str) -> str:
    if kind == "mysql":
        return "`" + name.replace("`", "``") + "`"
    return '"' + name.replace('"', '""') + '"'
