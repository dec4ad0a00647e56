"""Tables that a database returns, in pipelines."""

from __future__ import annotations

import sqlite3

import pytest

from dag_factory import (
    DataPath,
    Dataset,
    Datastore,
    DefinitionError,
    Experiment,
    Pipeline,
    PythonScriptStep,
    WorkspaceError,
)


@pytest.fixture
def shop(ws, project):
    connection = sqlite3.connect(project.folder / "shop.db")
    connection.execute("CREATE TABLE sales (id INTEGER, price REAL)")
    connection.executemany("INSERT INTO sales VALUES (?, ?)", [(n, n / 2) for n in range(5)])
    connection.commit()
    yield Datastore.register(ws, "shop", f"sqlite:///{project.folder}/shop.db"), connection
    connection.close()


QUERY = "SELECT * FROM sales ORDER BY id"


def test_a_query_is_a_table(shop):
    store, _ = shop
    table = Dataset.Tabular.from_sql_query((store, QUERY))
    assert table.take(2).to_pandas_dataframe().to_dict("list") == {"id": [0, 1], "price": [0.0, 0.5]}
    assert Dataset.Tabular.from_sql_query(DataPath(store, QUERY)).data == table.data
    text = Dataset.Tabular.from_sql_query((store, QUERY), set_column_types={"id": "string"})
    assert text.to_pandas_dataframe()["id"].tolist()[:2] == ["0", "1"]


def test_a_step_is_reused_while_the_rows_are_the_same(shop, ws, project):
    store, connection = shop
    project.write(
        "steps/sum.py",
        """
        from azureml.core import Run
        print("sum", Run.get_context().input_datasets["sales"].to_pandas_dataframe()["price"].sum())
        """,
    )

    def run():
        table = Dataset.Tabular.from_sql_query((store, QUERY)).as_named_input("sales")
        done = Experiment(ws, "sales").submit(
            Pipeline(ws, [PythonScriptStep("sum.py", inputs=[table], source_directory="steps")])
        )
        assert done.wait_for_completion(show_output=False) == "Finished"
        (step,) = done.get_steps()
        return step.is_reused

    assert [run(), run()] == [False, True]
    connection.execute("UPDATE sales SET price = 7 WHERE id = 2")
    connection.commit()
    assert [run(), run()] == [False, True]


def test_a_query_can_be_registered(shop, ws):
    store, _ = shop
    made = Dataset.Tabular.from_sql_query((store, QUERY)).register(ws, "sales")
    assert len(Dataset.get_by_id(ws, made.id).to_pandas_dataframe()) == 5


def test_a_query_survives_yaml(shop, ws, project):
    store, _ = shop
    project.copy_script("steps/copy.py")
    table = Dataset.Tabular.from_sql_query((store, QUERY), query_timeout=90).take(3)
    step = PythonScriptStep("copy.py", inputs=[table.as_named_input("sales")], source_directory="steps")
    Pipeline(ws, [step]).to_yaml("p.pipeline.yaml")
    assert Pipeline.load_yaml(ws, "p.pipeline.yaml").to_spec().steps[0].inputs[0].source == table.data


def test_mistakes_are_told(shop, ws):
    store, _ = shop
    with pytest.raises(TypeError, match=r"expected \(datastore, 'SELECT …'\)"):
        Dataset.Tabular.from_sql_query(QUERY)
    with pytest.raises(DefinitionError, match="expected the text of a query"):
        Dataset.Tabular.from_sql_query((store, "  "))
    with pytest.raises(WorkspaceError, match="is no database"):
        Dataset.Tabular.from_sql_query((ws.get_default_datastore(), QUERY)).to_pandas_dataframe()


def test_databases_are_registered_as_the_reference_does_it(ws, postgres, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", str(postgres.connection["password"]))
    store = Datastore.register_azure_postgre_sql(
        ws, "pg", "127.0.0.1", "postgres", "tester", "env:DB_PASSWORD", postgres.port, enforce_ssl=False
    )
    assert Dataset.Tabular.from_sql_query((store, "SELECT 7 AS x")).to_pandas_dataframe()["x"].tolist() == [7]
    assert (
        Datastore.register_azure_postgre_sql(ws, "p2", "mine", "db").url
        == "postgresql://mine.postgres.database.azure.com/db"
    )
    assert (
        Datastore.register_azure_my_sql(ws, "my", "mine", "db").url
        == "mysql://mine.mysql.database.azure.com/db"
    )
    assert (
        Datastore.register_azure_sql_database(ws, "ms", "mine", "db").url
        == "mssql://mine.database.windows.net/db"
    )
    with pytest.raises(DefinitionError, match="service principals are not supported"):
        Datastore.register_azure_sql_database(ws, "ms2", "mine", "db", tenant_id="t")
