"""What databases return, as files that runs read."""

from __future__ import annotations

import json
import sqlite3
import sys

import pytest

from airflow_ml_pipelines.core.databases.database import open_database
from airflow_ml_pipelines.core.databases.kinds import is_database
from airflow_ml_pipelines.core.errors import DataError, WorkspaceError
from airflow_ml_pipelines.core.stores.connections import connection_options
from airflow_ml_pipelines.core.workspaces.registry import DatastoreSpec
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

ROWS = [(1, "a", 1.5, None), (2, "", None, "2024-02-03"), (3, 'quote " and\nline, comma', -0.25, None)]


@pytest.fixture(params=["postgresql", "mariadb", "sqlite"])
def database(request, tmp_path):
    insert = "INSERT INTO t VALUES"
    if request.param == "sqlite":
        with sqlite3.connect(tmp_path / "a.db") as connection:
            connection.execute("CREATE TABLE t (id INTEGER, word TEXT, number REAL, day TEXT)")
            connection.executemany(f"{insert} (?, ?, ?, ?)", ROWS)
        connection.close()
        return open_database(f"sqlite:///{tmp_path}/a.db", {}, "datastore 'db'")
    if request.param == "mariadb":
        server = request.getfixturevalue("mariadb")
        server.execute("DROP TABLE IF EXISTS t")
        server.execute("CREATE TABLE t (id int, word text, number double, day text)")
        for row in ROWS:
            server.execute(f"{insert} (%s, %s, %s, %s)", *row)
        options = {"username": "tester", "password": server.connection["password"]}
        return open_database(server.url, options, "datastore 'db'")
    server = request.getfixturevalue("postgres")
    server.execute("DROP TABLE IF EXISTS t", "CREATE TABLE t (id int, word text, number float8, day text)")
    values = [
        "'{}'".format(v.replace("'", "''")) if isinstance(v, str) else "NULL" if v is None else str(v)
        for r in ROWS
        for v in r
    ]
    for start in range(0, len(values), 4):
        server.execute(f"{insert} ({', '.join(values[start : start + 4])})")
    options = {"username": "tester", "password": server.connection["password"]}
    return open_database(server.url, options, "datastore 'db'")


def read(path):
    import duckdb

    with duckdb.connect() as connection:
        found = connection.read_parquet(str(path))
        types = dict(zip(found.columns, map(str, found.types), strict=True))
        zoned = {name: "VARCHAR" for name, kind in types.items() if "ZONE" in kind}
        names = ", ".join(f'"{n}"::VARCHAR' if n in zoned else f'"{n}"' for n in types)
        return types, found.project(names).fetchall()


def test_an_answer_has_the_rows_with_their_types(database, tmp_path):
    result = database.export("SELECT * FROM t ORDER BY id;", tmp_path / "x.parquet", 30)
    columns, rows = read(tmp_path / "x.parquet")
    assert rows == ROWS
    assert columns == {"id": "BIGINT", "word": "VARCHAR", "number": "DOUBLE", "day": "VARCHAR"}
    assert (result.rows, result.columns) == (3, columns)


def test_equal_rows_have_one_digest(database, tmp_path):
    def digest(query):
        return database.export(query, tmp_path / "x.parquet", 30).digest

    first = digest("SELECT * FROM t ORDER BY id")
    assert digest("SELECT id, word, number, day FROM t ORDER BY 1") == first
    assert digest("SELECT * FROM t ORDER BY id DESC") != first
    assert digest("SELECT id AS x, word, number, day FROM t ORDER BY 1") != first


def test_an_answer_may_be_empty(database, tmp_path):
    assert database.export("SELECT * FROM t WHERE id > 99", tmp_path / "x.parquet", 30).rows == 0
    assert read(tmp_path / "x.parquet")[1] == []


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("SELECT * FROM nothing", "nothing"),
        ("SELECT wrong FROM t", "wrong"),
        ("SELEC 1", "syntax error|error in your SQL syntax"),
        ("", "the query is empty"),
        ("SELECT id, id FROM t", "two columns that are called 'id'|\"id\" specified more than once|'id'"),
        ("DROP TABLE t", "."),
        ("WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone", "."),
    ],
)
def test_a_query_that_fails_says_why_and_leaves_nothing(database, tmp_path, query, error):
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=f"(?s)datastore 'db'.*({error})|{error}"):
        database.export(query, tmp_path / "out/x.parquet", 30)
    assert list((tmp_path / "out").iterdir()) == []
    assert database.export("SELECT * FROM t", tmp_path / "x.parquet", 30).rows == 3


def test_a_query_that_takes_too_long_is_ended(database, tmp_path):
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    query = "SELECT SLEEP(20)" if database.kind == "mysql" else numbers
    with pytest.raises(DataError, match="timeout|interrupted|max_statement_time"):
        database.export(query, tmp_path / "x.parquet", 0.3)


def test_types_of_postgresql_are_kept(postgres, tmp_path):
    options = {"username": "tester", "password": postgres.connection["password"]}
    database = open_database(postgres.url, options, "here")
    query = (
        "SELECT true AS b, 7::numeric(5,2) AS n, date '2024-01-02' AS d, timestamp '2024-01-02 03:04:05' AS t, "
        "timestamptz '2024-01-02 03:04:05+02' AS z, '{\"a\": 1}'::jsonb AS j"
    )
    database.export(query, tmp_path / "x.parquet", 30)
    columns, ((b, n, d, t, _, j),) = read(tmp_path / "x.parquet")
    assert list(columns.values()) == [
        "BOOLEAN",
        "DOUBLE",
        "DATE",
        "TIMESTAMP",
        "TIMESTAMP WITH TIME ZONE",
        "VARCHAR",
    ]
    assert (b, n, str(d), str(t), j) == (True, 7.0, "2024-01-02", "2024-01-02 03:04:05", '{"a": 1}')


def test_an_answer_that_fails_at_its_last_row_leaves_nothing(postgres, tmp_path):
    from servers.postgres import PASSWORD

    options = {"username": "tester", "password": PASSWORD}
    shop = open_database(postgres.url, options, "datastore 'shop'")
    query = "SELECT n, 1 / (100000 - n) AS x FROM generate_series(1, 100000) AS n"
    with pytest.raises(DataError, match="datastore 'shop': the query fails: division by zero"):
        shop.export(query, tmp_path / "answer.parquet", 60)
    assert list(tmp_path.iterdir()) == []
    assert shop.export(query.replace("100000)", "99999)"), tmp_path / "answer.parquet", 60).rows == 99_999


def test_an_sql_server_is_asked_at_its_address(tmp_path, monkeypatch):
    pymssql = pytest.importorskip("pymssql", reason="pip install pymssql")
    connection = {"conn_type": "mssql", "host": "127.0.0.1", "port": 1, "login": "me", "password": "geheim"}
    monkeypatch.setenv("AIRFLOW_CONN_BOOKS", json.dumps(connection))
    options = connection_options("books", "datastore 'books'", "mssql://127.0.0.1/books")
    database = open_database("mssql://127.0.0.1:1/books", options, "datastore 'books'")
    with pytest.raises(
        DataError, match=r"'books' can't be reached: Unable to connect: .*127\.0\.0\.1"
    ) as caught:
        database.export("SELECT 1", tmp_path / "x.parquet", 5)
    assert "geheim" not in str(caught.value)
    given = {}
    monkeypatch.setattr(pymssql, "connect", lambda **options: given.update(options))
    database.connect(30)
    assert {name: given[name] for name in ("server", "port", "user", "password", "database", "timeout")} == {
        "server": "127.0.0.1", "port": 1, "user": "me", "password": "geheim", "database": "books", "timeout": 30,
    }  # fmt: skip


def test_line_breaks_in_many_rows_lose_none(postgres, tmp_path):
    options = {"username": "tester", "password": postgres.connection["password"]}
    query = "SELECT i, repeat(E'a\"\\n,', i % 50) AS w FROM generate_series(1, 50000) i ORDER BY i"
    result = open_database(postgres.url, options, "here").export(query, tmp_path / "x.parquet", 60)
    rows = read(tmp_path / "x.parquet")[1]
    assert result.rows == len(rows) == 50_000
    assert rows == [(i, 'a"\n,' * (i % 50)) for i in range(1, 50_001)]


def test_a_password_that_is_wrong_is_told_and_not_repeated(postgres, tmp_path):
    database = open_database(postgres.url, {"username": "tester", "password": "hunter2"}, "datastore 'db'")
    assert "hunter2" not in repr(database)
    with pytest.raises(
        DataError, match="datastore 'db' can't be reached: .*password authentication failed"
    ) as caught:
        database.export("SELECT 1 AS x", tmp_path / "x.parquet", 30)
    assert "hunter2" not in str(caught.value)


def test_a_connection_opens_a_database(postgres, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps(postgres.connection))
    workspace = Workspace(
        "w", tmp_path / "ws", datastores=[DatastoreSpec("db", "postgresql://", connection="db")]
    )
    assert workspace.database("db").export("SELECT 1 AS x", tmp_path / "x.parquet", 30).rows == 1
    monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps({**postgres.connection, "login": None}))
    with pytest.raises(WorkspaceError, match="connection 'db' of type 'postgres' lacks the user"):
        workspace.database("db")


def test_a_database_is_no_folder_and_a_folder_no_database(tmp_path):
    workspace = Workspace("w", tmp_path / "ws", datastores=[DatastoreSpec("db", "sqlite:////x.db")])
    with pytest.raises(WorkspaceError, match="'db' is a database and has no files"):
        workspace.datastore("db")
    with pytest.raises(WorkspaceError, match="'workspaceblobstore' is no database"):
        workspace.database("workspaceblobstore")


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("postgresql:///db", "names no host"),
        ("postgresql://host", "names no database"),
        ("mssql://host/db", r"pip install 'airflow-provider-ml-pipelines\[mssql\]'"),
    ],
)
def test_what_a_url_lacks_is_named(url, error, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymssql", None)  # as where it is not installed
    with pytest.raises(WorkspaceError, match=error):
        open_database(url, {}, "datastore 'db'")


def test_a_file_that_is_missing_is_not_made(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/none.db", {}, "datastore 'db'")
    with pytest.raises(DataError, match=r"can't be reached: there is no file .*none\.db"):
        database.export("SELECT 1", tmp_path / "x.parquet", 30)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "is_one"), [("postgres://h/d", True), ("sqlite:///x", True), ("s3://b", False), ("/a", False)]
)
def test_databases_are_known_by_their_scheme(url, is_one):
    assert is_database(url) is is_one
