"""Rows are copied between files and tables: all or none, and once."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from itertools import count

import pytest

from airflow_ml_pipelines.core.databases import append
from airflow_ml_pipelines.core.errors import StoreError
from airflow_ml_pipelines.execution import step as execution_step
from dag_factory import (
    DataReference,
    Dataset,
    Datastore,
    DataTransferStep,
    Experiment,
    Pipeline,
    PipelineDefinition,
    SqlDataReference,
)

_numbers = count()
ROWS = [("Aarhus", 1, 1.5), ("", 2, None), ('naïve, "quoted"\nline', 3, -2.0)]
CSV = 'city,number,price\nAarhus,1,1.5\n"",2,\n"naïve, ""quoted""\nline",3,-2\n'


class Sqlite:
    def __init__(self, folder, ws, monkeypatch):
        self.path = folder / "shop.db"
        self.table = "sales"
        self.execute("CREATE TABLE sales (city TEXT, number INTEGER NOT NULL, price REAL)")
        Datastore.register(ws, "shop", f"sqlite:///{self.path}")

    def execute(self, statement):
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(statement).fetchall()

    def rows(self):
        return self.execute(f"SELECT city, number, price FROM {self.table} ORDER BY number")


class Postgres:
    def __init__(self, server, ws, monkeypatch):
        self.server = server
        self.table = f"sales_{next(_numbers)}"
        self.execute(f"CREATE TABLE {self.table} (city TEXT, number INTEGER NOT NULL, price FLOAT8)")
        monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(server.connection))
        Datastore.register(ws, "shop", server.url, connection="shop")

    def execute(self, statement):
        import psycopg
        from servers.postgres import PASSWORD

        with psycopg.connect(self.server.url, user="tester", password=PASSWORD) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def rows(self):
        return self.execute(f"SELECT city, number, price FROM {self.table} ORDER BY number")


class Mariadb:
    def __init__(self, server, ws, monkeypatch):
        self.server = server
        self.table = f"sales_{next(_numbers)}"
        self.execute(f"CREATE TABLE {self.table} (city TEXT, number INTEGER NOT NULL, price DOUBLE)")
        monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(server.connection))
        Datastore.register(ws, "shop", server.url, connection="shop")

    def execute(self, statement):
        return self.server.execute(statement.replace('"', "`"))

    def rows(self):
        return list(self.execute(f"SELECT city, number, price FROM {self.table} ORDER BY number"))


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def shop(request, ws, tmp_path, monkeypatch):
    if request.param == "sqlite":
        return Sqlite(tmp_path, ws, monkeypatch)
    if request.param == "mariadb":
        return Mariadb(request.getfixturevalue("mariadb"), ws, monkeypatch)
    return Postgres(request.getfixturevalue("postgres"), ws, monkeypatch)


@pytest.fixture
def submit(ws):
    def submit(*steps, status="Finished", **options):
        run = Experiment(ws, "tables").submit(Pipeline(ws, list(steps)), **options)
        assert run.wait_for_completion(show_output=False, raise_on_error=False) == status
        return run

    return submit


def load(ws, project, shop, text=CSV, name="in/sales.csv", **options):
    file = project.write(name)
    file.write_bytes(text.encode())
    ws.get_default_datastore().upload_files(
        [str(file)], target_path=name.rpartition("/")[0], overwrite=True, show_progress=False
    )
    source = DataReference(ws.get_default_datastore(), path_on_datastore=name.partition("/")[0])
    return DataTransferStep("load", source, SqlDataReference("shop", sql_table=shop.table), **options)


def test_the_rows_of_files_are_appended(ws, project, shop, submit):
    shop.execute(f"INSERT INTO {shop.table} VALUES ('before', 0, 0)")
    run = submit(load(ws, project, shop))
    expected = [(city or None, number, price) for city, number, price in ROWS]
    assert shop.rows() == [("before", 0, 0.0), *expected]
    (step,) = run.find_step_run("load")
    assert step.get_metrics()["rows"] == 3
    assert "appended 3 rows to table" in step.get_stdout_log()


def test_the_same_rows_are_not_appended_again_unless_reuse_is_refused(ws, project, shop, submit):
    submit(load(ws, project, shop))
    submit(load(ws, project, shop))
    assert len(shop.rows()) == 3
    for _ in range(2):
        submit(load(ws, project, shop, allow_reuse=False))
    assert len(shop.rows()) == 9
    submit(load(ws, project, shop), regenerate_outputs=True)
    assert len(shop.rows()) == 12


def test_rows_are_appended_once_where_the_process_was_lost_before_it_could_say_so(
    ws, project, shop, submit, monkeypatch
):
    def lose(*_, **__):
        raise StoreError("the process is lost")

    with monkeypatch.context() as patch:
        patch.setattr(execution_step, "_finish", lose)
        submit(load(ws, project, shop), status="Failed")
    assert len(shop.rows()) == 3
    run = submit(load(ws, project, shop))
    assert len(shop.rows()) == 3
    assert "were appended to table" in run.find_step_run("load")[0].get_stdout_log()


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        ("city,number,colour\na,1,red\n", "in/a.csv", "has no column 'colour', which the source has"),
        ("city,price\na,1\n", "in/a.csv", "nothing is appended to table"),
        ("city,number\na,1\n", "in/a.xlsx", "expected files of one kind"),
        ("", "in/a.csv", "has nothing but empty files: expected rows with the names of their columns"),
        ("\n\n", "in/a.csv", "has nothing but empty files: expected rows with the names of their columns"),
    ],
)
def test_what_does_not_fit_is_one_error_and_nothing_is_appended(
    ws, project, shop, submit, text, name, problem
):
    failed = submit(load(ws, project, shop, text, name), status="Failed")
    assert problem in failed.find_step_run("load")[0].error
    assert shop.rows() == []


def test_a_bad_value_in_the_last_row_undoes_the_others(ws, project, shop, submit):
    if isinstance(shop, Sqlite):
        shop.execute("CREATE UNIQUE INDEX one ON sales (number)")
        text = "city,number\n" + "".join(f"x,{number}\n" for number in range(20_000)) + "x,0\n"
    else:
        text = "city,number\n" + "".join(f"x,{number}\n" for number in range(20_000)) + "x,many\n"
    failed = submit(load(ws, project, shop, text), status="Failed")
    assert "nothing is appended to table" in failed.find_step_run("load")[0].error
    assert shop.rows() == []
    submit(load(ws, project, shop, text.rpartition("x,")[0]))
    assert len(shop.rows()) == 20_000


def test_a_table_that_is_not_there_is_named(ws, project, shop, submit):
    step = load(ws, project, shop)
    step.table.sql_table = "nowhere"
    error = submit(step, status="Failed").find_step_run("load")[0].error
    assert "table 'nowhere' of datastore 'shop'" in error


def test_a_database_that_is_not_there_is_named(ws, project, shop, submit):
    Datastore.register(ws, "shop", "sqlite:////nowhere/a.db")
    error = submit(load(ws, project, shop), status="Failed").find_step_run("load")[0].error
    assert "there is no file /nowhere/a.db" in error


def test_a_wrong_password_is_one_error_without_the_password(ws, project, postgres, submit, monkeypatch):
    shop = Postgres(postgres, ws, monkeypatch)
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({**postgres.connection, "password": "wrong-secret"}))
    error = submit(load(ws, project, shop), status="Failed").find_step_run("load")[0].error
    assert "datastore 'shop' can't be reached" in error
    assert "wrong-secret" not in error


def test_a_dataset_says_how_its_files_are_read(ws, project, shop, submit):
    load(ws, project, shop, "Aarhus;1\n", "in/a.dat")
    data = Dataset.Tabular.from_delimited_files(
        [(ws.get_default_datastore(), "in")], separator=";", header=False
    )
    table = shop.table + "_2"
    shop.execute(f'CREATE TABLE {table} ("Column1" TEXT, "Column2" INTEGER)')
    submit(DataTransferStep("load", data, SqlDataReference("shop", sql_table=table)))
    assert shop.execute(f"SELECT * FROM {table}") == [("Aarhus", 1)]


@pytest.mark.parametrize("name", ["sales.parquet", "sales.csv", "sales.tsv"])
def test_what_a_query_returns_becomes_a_file(ws, project, shop, submit, name):
    submit(load(ws, project, shop))
    lake = Datastore.register(ws, "lake", str(project.folder / "lake"))
    query = SqlDataReference(
        "shop", sql_query=f"SELECT city, number FROM {shop.table} WHERE number <> 2 ORDER BY number"
    )
    step = DataTransferStep("ask", query, DataReference(lake, path_on_datastore=name))
    submit(step)
    read = {
        "parquet": Dataset.Tabular.from_parquet_files,
        "csv": lambda path: Dataset.Tabular.from_delimited_files(path, support_multi_line=True),
        "tsv": lambda path: Dataset.Tabular.from_delimited_files(
            path, separator="\t", support_multi_line=True
        ),
    }[name.rpartition(".")[2]]
    frame = read((lake, name)).to_pandas_dataframe()
    assert frame["number"].tolist() == [1, 3]
    assert frame["city"].tolist() == [ROWS[0][0], ROWS[2][0]]


def test_a_table_is_copied_to_another_in_yaml(ws, project, shop, submit):
    submit(load(ws, project, shop))
    shop.execute(f"CREATE TABLE {shop.table}_copy (city TEXT, number INTEGER, price FLOAT)")
    text = f"""
        name: tables
        steps:
          copy:
            transfer:
              source: {{datastore: shop, table: {shop.table}}}
              destination: {{datastore: shop, table: {shop.table}_copy}}
    """
    file = project.write("tables.pipeline.yaml", text)
    assert PipelineDefinition.from_yaml(str(file)).to_spec().steps[0].transfer.table == f"{shop.table}_copy"
    run = Experiment(ws, "tables").submit(Pipeline.load_yaml(ws, str(file)))
    assert run.wait_for_completion(show_output=False) == "Finished"
    shop.table += "_copy"
    assert len(shop.rows()) == 3


def test_each_transfer_is_noted_in_the_database(ws, project, shop, submit):
    submit(load(ws, project, shop))
    notes = shop.execute(f"SELECT target, rows_appended FROM {append.NOTES}")
    assert (shop.table, 3) in notes
