"""Values of files come to a table of a database as they are, or an error says why, and none comes."""

from __future__ import annotations

import datetime as dt
import math
import sqlite3
from contextlib import closing
from decimal import Decimal
from itertools import count

import duckdb
import pytest

from airflow_ml_pipelines.core.databases.append import NULL, Rows, append_rows
from airflow_ml_pipelines.core.databases.database import open_database
from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.execution.transfer_tables import _options
from airflow_ml_pipelines.runtime.places import DataFile
from airflow_ml_pipelines.runtime.table_engine import Table

_numbers = count()


class Sqlite:
    kind = "sqlite"

    def __init__(self, folder):
        self.path = folder / "values.db"
        self.path.touch()
        self.database = open_database(f"sqlite:///{self.path}", {}, "the database")

    def execute(self, statement):
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(statement).fetchall()


class Postgres:
    kind = "postgres"

    def __init__(self, server):
        from servers.postgres import PASSWORD

        self.password, self.url = PASSWORD, server.url
        options = {"username": "tester", "password": PASSWORD}
        self.database = open_database(server.url, options, "the database")

    def execute(self, statement):
        import psycopg

        with psycopg.connect(self.url, user="tester", password=self.password) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


class Mariadb:
    kind = "mariadb"

    def __init__(self, server):
        from servers.mariadb import PASSWORD

        self.server = server
        options = {"username": "tester", "password": PASSWORD}
        self.database = open_database(server.url, options, "the database")

    def execute(self, statement):
        return self.server.execute(statement.replace('"', "`"))


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def database(request, tmp_path):
    if request.param == "sqlite":
        return Sqlite(tmp_path)
    made = {"postgres": Postgres, "mariadb": Mariadb}[request.param]
    return made(request.getfixturevalue(request.param))


@pytest.fixture
def append(tmp_path):
    """Appends a file's rows to a new table; returns the table's rows."""

    def append(database, fields, data, name="a.csv", table=None, engine=""):
        number = next(_numbers)
        table = table or f"values_{number}"
        database.execute(f'CREATE TABLE "{table}" ({fields}) {engine}')
        file = tmp_path / f"{number}-{name}"
        if isinstance(data, bytes):
            file.write_bytes(data)
        else:
            with duckdb.connect() as connection:
                connection.sql(data).write_parquet(str(file))
        files = [DataFile(str(file), file.name, file.name)]
        try:
            with Table(files, _options(files, None)) as found:
                rows = Rows(
                    list(found.columns),
                    found.count,
                    lambda target: found.write_rows(str(target), NULL),
                    found.batches,
                )
                append_rows(database.database, table, rows, f"values-{number}", tmp_path, lambda: None)
            return [tuple(row) for row in database.execute(f'SELECT * FROM "{table}"')]
        except DataError:
            assert database.execute(f'SELECT * FROM "{table}"') in ([], ())
            raise
        finally:
            database.execute(f'DROP TABLE "{table}"')

    return append


TEXTS = {
    "words that mean nothing elsewhere": (
        b"a\nNA\nNone\nnull\nNaN\n",
        [("NA",), ("None",), ("null",), ("NaN",)],
    ),
    "what is missing": (b'a,b\n,x\n"",y\n', [(None, "x"), (None, "y")]),
    "quotes and line breaks": (
        b'a,b\n"x\ny","say ""hi"""\n"\r\n",\\N\n',
        [("x\ny", 'say "hi"'), ("\r\n", "\\N")],
    ),
    "backslashes": (b"a,b\n\\.,\\\n\\n,'\n", [("\\.", "\\"), ("\\n", "'")]),
    "a byte order mark": (b"\xef\xbb\xbfa\nx\n", [("x",)]),
    "spaces and zeros": (b"a\n007\n1e5\n 1 \n", [("007",), ("1e5",), (" 1 ",)]),
    "signs of all kinds": ("a\n\U0001f600 e\u0301\n".encode(), [("\U0001f600 e\u0301",)]),
    "a row that is too short": (b"a,b\n1\n", [("1", None)]),
    "no rows": (b"a,b\n", []),
}


@pytest.mark.parametrize("case", TEXTS)
def test_text_comes_as_it_is_written(case, database, append):
    text, expected = TEXTS[case]
    fields = ", ".join(f"{name} TEXT" for name in text.splitlines()[0].decode("utf-8-sig").split(","))
    assert append(database, fields, text) == expected


def test_a_very_long_text_comes_whole(database, append):
    kind = "LONGTEXT" if database.kind == "mariadb" else "TEXT"
    assert append(database, f"a {kind}", b"a\n" + b"x" * 5_000_000 + b"\n") == [("x" * 5_000_000,)]


def test_columns_and_tables_may_be_called_like_words_of_sql(database, append):
    fields = '"select" TEXT, "order" INTEGER, "100%" TEXT, "%s" TEXT, "a;b" TEXT'
    text = b"select,order,100%,%s,a;b\nx,1,y,z,w\n"
    assert append(database, fields, text, table="order") == [("x", 1, "y", "z", "w")]


def test_values_of_all_types_keep_their_meaning(database, append):
    time = "DATETIME(6)" if database.kind == "mariadb" else "TIMESTAMP"
    blob = "BYTEA" if database.kind == "postgres" else "BLOB"
    fields = f"i BIGINT, f DOUBLE PRECISION, d DATE, t {time}, z {time}, n NUMERIC(12, 3), b BOOLEAN, s TEXT, u TEXT, x {blob}"
    query = (
        "SELECT 9223372036854775807 i, 1.5::DOUBLE f, DATE '2024-02-29' d, TIMESTAMP '2024-02-29 12:34:56.789012' t, "
        "TIMESTAMPTZ '2024-02-29 12:00:00+02' z, 12345.678::DECIMAL(12, 3) n, true b, 'é' s, "
        "'5b0b3c6e-6a1f-4b62-9c0c-6f0b8a4f1f11'::UUID u, '\\xDEab\\x00'::BLOB x "
        "UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"
    )
    first, second = append(database, fields, query, "a.parquet")
    day, moment, zoned = "2024-02-29", "2024-02-29 12:34:56.789012", "2024-02-29 10:00:00"
    exact: list[object] = [day, moment, zoned, 12345.678]
    if database.kind != "sqlite":
        times = [dt.datetime.fromisoformat(text) for text in (moment, zoned)]
        exact = [dt.date.fromisoformat(day), *times, Decimal("12345.678")]
    assert first[:2] == (9223372036854775807, 1.5)
    assert list(first[2:6]) == exact
    assert first[6:9] == (True, "é", "5b0b3c6e-6a1f-4b62-9c0c-6f0b8a4f1f11")
    assert bytes(first[9]) == b"\xdeab\x00"
    assert second == (None,) * 10


def test_numbers_without_an_end_are_kept_or_refused(database, append):
    query = "SELECT unnest(['inf'::DOUBLE, '-inf'::DOUBLE, 'nan'::DOUBLE]) f"
    if database.kind == "mariadb":
        with pytest.raises(DataError, match="nothing is appended to table .*inf can not be used with MySQL"):
            append(database, "f DOUBLE", query, "a.parquet")
        return
    found = [row[0] for row in append(database, "f DOUBLE PRECISION", query, "a.parquet")]
    assert found[:2] == [math.inf, -math.inf]
    assert found[2] is None if database.kind == "sqlite" else math.isnan(found[2])  # SQLite knows no NaN


PROBLEMS = {
    "another encoding": (
        "a TEXT",
        "a\né\n".encode("latin-1"),
        "can't be read as delimited text .*encoding 'utf8'",
    ),
    "two columns of one name": ("a TEXT", b"a,a\n1,2\n", r"has no column 'a\.1', which the source has"),
    "a row that is too long": ("a TEXT, b TEXT", b"a,b\n1,2,3\n", "Expected Number of Columns: 2 Found: 3"),
    "a quote that does not end": ("a TEXT, b TEXT", b'a,b\n"1,2\n', "a value in quotes does not end"),
    "a value that is missing": (
        "a INTEGER NOT NULL, b TEXT",
        b"a,b\n1,x\n,y\n",
        "nothing is appended to table",
    ),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_what_can_not_be_appended_is_one_error(case, database, append):
    fields, text, problem = PROBLEMS[case]
    with pytest.raises(DataError, match=problem):
        append(database, fields, text)


@pytest.mark.parametrize(
    ("fields", "text"), [("a VARCHAR(3)", b"a\nabc\nabcd\n"), ("a SMALLINT", b"a\n1\n99999\n")]
)
def test_a_value_that_does_not_fit_is_refused_whatever_the_server_would_do(fields, text, request, append):
    server = request.getfixturevalue("mariadb")
    loose = Mariadb(server)
    connect = loose.database.connect

    def connect_loosely(seconds, *, write=False):
        connection = connect(seconds, write=write)
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = ''")
        return connection

    object.__setattr__(loose.database, "connect", connect_loosely)
    with pytest.raises(DataError, match="nothing is appended to table .*(Data too long|Out of range)"):
        append(loose, fields, text)


def test_a_table_that_can_not_undo_is_refused(mariadb, append):
    with pytest.raises(DataError, match="is of engine MyISAM, which can't undo"):
        append(Mariadb(mariadb), "a INTEGER", b"a\n1\n", engine="ENGINE = MyISAM")
