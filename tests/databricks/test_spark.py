"""Steps on Spark without Databricks, and what they have in common with those on it."""

import textwrap

import pytest

from airflow_ml_pipelines.core.databricks.notebook import HEADER, split_sql
from airflow_ml_pipelines.core.databricks.urls import spark_url
from airflow_ml_pipelines.core.errors import DataError, DefinitionError
from airflow_ml_pipelines.core.spec import DatabricksSpec
from airflow_ml_pipelines.execution.targets.spark import SparkOptions, spark_variables
from airflow_ml_pipelines.runtime.notebook import run_notebook


@pytest.fixture
def notebook(tmp_path):
    def write(*cells, name="n.py"):
        text = "\n# COMMAND ----------\n".join(textwrap.dedent(cell) for cell in cells)
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{HEADER}\n{text}")
        return str(file)

    return write


def test_a_notebook_exits_with_a_value_and_the_rest_does_not_run(notebook):
    file = notebook("a = dbutils.widgets.get('a')", "dbutils.notebook.exit(a + '!')", "raise ValueError")
    assert run_notebook(file, {"a": "1"}) == "1!"


def test_what_a_notebook_was_given_comes_before_its_defaults(notebook):
    file = notebook(
        "dbutils.widgets.text('a', 'default')",
        "dbutils.widgets.dropdown('b', 'x', ['x', 'y'])",
        "dbutils.notebook.exit(str(sorted(dbutils.widgets.getAll().items())))",
    )
    assert run_notebook(file, {"a": "given"}) == "[('a', 'given'), ('b', 'x')]"


def test_a_widget_that_there_is_not_is_named_with_those_that_are(notebook):
    with pytest.raises(ValueError, match="no widget 'b'. There are: a"):
        run_notebook(notebook("dbutils.widgets.get('b')"), {"a": "1"})


def test_a_notebook_runs_another_in_its_own_namespace(notebook):
    notebook("word = 'from there'", name="lib/words.py")
    file = notebook("# MAGIC %run ./lib/words", "# MAGIC %md\n# MAGIC # text", "dbutils.notebook.exit(word)")
    assert run_notebook(file, {}) == "from there"


def test_a_notebook_calls_another_and_gets_its_value(notebook):
    notebook("dbutils.notebook.exit(dbutils.widgets.get('n') * 2)", name="other.py")
    file = notebook("dbutils.notebook.exit(dbutils.notebook.run('other', 60, {'n': 'x'}))")
    assert run_notebook(file, {}) == "xx"


def test_a_jupyter_notebook_runs_too(tmp_path):
    import json

    cells = [
        {"cell_type": "markdown", "source": ["# text"]},
        {"cell_type": "code", "source": ["a = 1\n", "b = 2"]},
        {"cell_type": "code", "source": ["dbutils.notebook.exit(a + b)"]},
    ]
    file = tmp_path / "n.ipynb"
    file.write_text(json.dumps({"cells": cells}))
    assert run_notebook(str(file), {}) == "3"


def test_an_error_in_a_notebook_has_its_line(notebook):
    import traceback

    file = notebook("a = 1", "b = 2\nraise KeyError('x')")
    with pytest.raises(KeyError) as caught:
        run_notebook(file, {})
    assert traceback.extract_tb(caught.value.__traceback__)[-1].lineno == 5


@pytest.mark.parametrize("magic", ["sh ls", "fs ls /", "scala val x = 1", "r x <- 1", "pip install x"])
def test_a_magic_that_only_databricks_has_is_said_with_its_line(notebook, magic):
    text = rf"line 4: there is no %{magic.split()[0]} outside of Databricks"
    with pytest.raises(DefinitionError, match=text + (".*pypi_libraries" if "pip" in magic else "")):
        run_notebook(notebook("a = 1", f"# MAGIC %{magic}"), {})


@pytest.mark.parametrize("name", ["secrets", "fs", "library", "jobs", "credentials"])
def test_utilities_that_only_databricks_has_are_said(notebook, name):
    with pytest.raises(
        AttributeError, match=rf"dbutils\.{name} is there on Databricks alone.*dbutils\.widgets"
    ):
        run_notebook(notebook(f"dbutils.{name}.get('a', 'b')"), {})


def test_widgets_of_every_kind_have_values(notebook):
    file = notebook(
        "dbutils.widgets.text('a', '1', 'label')",
        "dbutils.widgets.dropdown('b', 'x', ['x', 'y'])",
        "dbutils.widgets.combobox('c', 'z', ['x', 'y'])",
        "dbutils.widgets.multiselect('d', 'x', ['x', 'y'])",
        "dbutils.widgets.text('e', 'gone'); dbutils.widgets.remove('e')",
        "dbutils.notebook.exit(''.join(dbutils.widgets.get(n) for n in 'abcd') + getArgument('e', '!'))",
    )
    assert run_notebook(file, {"d": "x,y"}) == "1xzx,y!"


def test_html_and_values_are_shown_as_text(notebook, capsys):
    run_notebook(notebook("displayHTML('<b>x</b>')", "display([1])"), {})
    assert capsys.readouterr().out == "<b>x</b>\n[1]\n"


def test_run_takes_quoted_paths_paths_from_the_top_and_widgets(notebook, tmp_path, monkeypatch):
    notebook("word = dbutils.widgets.get('env')", name="top/Shared/my lib/words.py")
    file = notebook(
        '# MAGIC %run "/Shared/my lib/words" $env="prod" $other=1',
        "dbutils.notebook.exit(word + dbutils.widgets.get('env'))",
        name="top/Users/me/n.py",
    )
    monkeypatch.chdir(tmp_path)
    assert run_notebook(file, {"env": "test"}) == "prodtest"


def test_a_notebook_that_runs_itself_is_told(notebook):
    notebook("# MAGIC %run ./n", name="other.py")
    with pytest.raises(DefinitionError, match=r"n\.py runs itself by %run"):
        run_notebook(notebook("# MAGIC %run ./other"), {})


@pytest.mark.parametrize("line", ["%run", "%run ./a b", "%run ./a $x", '%run "./a', "%run ./a $x=1 y"])
def test_a_run_that_can_not_be_read_is_told_with_its_line(notebook, line):
    with pytest.raises(DefinitionError, match=r"n\.py, line 2: %run.*expected a notebook's path"):
        run_notebook(notebook(f"# MAGIC {line}"), {})


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT ';', \";\", `;` -- ; no\n; SELECT /* ; */ 2;\n", 2),
        ("-- nothing\n;;", 0),
        ("SELECT 'it\\'s; one'", 1),
        ("BEGIN SELECT 1; SELECT 2; END", 1),
        ("SELECT 'open; quote", 2),
    ],
)
def test_statements_are_parted_by_semicolons(text, statements):
    found = list(split_sql(text))
    assert (found if isinstance(statements, list) else len(found)) == statements


@pytest.mark.system  # a JVM
def test_sql_has_widgets_and_several_statements(notebook):
    sql = "CREATE OR REPLACE TEMP VIEW v AS SELECT id FROM range(10) WHERE id < :n;\nSELECT ';', count(*) FROM v"
    file = notebook(
        "# DBTITLE 1,Rows\n# MAGIC %sql\n" + "\n".join(f"# MAGIC {line}" for line in sql.splitlines()),
        "dbutils.notebook.exit(str(spark.table('v').count()))",
    )
    try:
        assert run_notebook(file, {"n": "4"}) == "4"
    finally:
        from pyspark.sql import SparkSession

        SparkSession.getActiveSession().stop()


def test_what_a_step_says_of_its_cluster_reaches_spark_submit():
    step = DatabricksSpec(
        spark_conf={"spark.x": "a b"},
        libraries=(
            {"maven": {"coordinates": "g:a:1", "exclusions": ["x:y"]}},
            {"jar": "/a.jar"},
            {"whl": "/w.whl"},
        ),
    )
    options = SparkOptions(
        master="spark://host:7077", conf={"spark.driver.memory": "4g"}, packages=("p:q:1",)
    )
    words = spark_variables(options, step)["PYSPARK_SUBMIT_ARGS"]
    for wanted in (
        "--master spark://host:7077",
        "--packages p:q:1,g:a:1",
        "--exclude-packages x:y",
        "--jars /a.jar",
        "--py-files /w.whl",
        "--conf spark.driver.memory=4g",
        "'spark.x=a b'",
    ):
        assert wanted in words
    assert words.endswith("pyspark-shell")


@pytest.mark.parametrize(
    ("store", "path", "options", "on_databricks", "url"),
    [
        ("s3://bucket/top", "a/b", {}, True, "s3://bucket/top/a/b"),
        ("s3://bucket", "a", {}, False, "s3a://bucket/a"),
        ("gs://bucket", "a", {}, True, "gs://bucket/a"),
        ("abfs://c/top", "a", {"account_name": "acc"}, True, "abfss://c@acc.dfs.core.windows.net/top/a"),
        ("abfss://c@acc.dfs.core.windows.net", "a", {}, True, "abfss://c@acc.dfs.core.windows.net/a"),
        ("file:///dbfs/mnt/x", "a", {}, True, "dbfs:/mnt/x/a"),
        ("file:///Volumes/m/s/v", "a", {}, True, "/Volumes/m/s/v/a"),
        ("file:///data", "a", {}, False, "file:/data/a"),
    ],
)
def test_a_place_has_the_url_that_spark_opens(store, path, options, on_databricks, url):
    assert spark_url(store, path, options, on_databricks=on_databricks, shared=True) == url


def test_a_place_that_the_cluster_does_not_see_is_refused():
    with pytest.raises(DataError, match="shared_paths"):
        spark_url("file:///data", "a", {}, on_databricks=True, shared=False)
    with pytest.raises(DataError, match="opens no store such as sftp://host"):
        spark_url("sftp://host", "a", {}, on_databricks=True, shared=True)
    with pytest.raises(DataError, match="account_name"):
        spark_url("abfs://c", "a", {}, on_databricks=True, shared=True)


@pytest.mark.parametrize("target", ["bricks", "spark"])
def test_a_script_of_a_folder_finds_its_neighbours_and_its_ports(project, target):
    project.script("clean", "from words import WORD\nimport sys, pathlib\n" + SCRIPT)
    (project.folder / "clean/words.py").write_text("WORD = 'neighbour'\n")
    step = project.clean(target=target, form="python_script", path=None, script="clean.py", parameters={})
    outcome = project.run(step)
    assert outcome.errors == {}
    assert project.read(outcome, "compare", "out", "out.txt") == "data neighbour"


@pytest.mark.parametrize("target", ["bricks", "spark"])
def test_a_notebook_of_a_folder_runs_with_its_neighbours(project, target):
    source = project.server.files.local("/Shared/clean.py").read_text()
    project.script("clean", "")
    (project.folder / "clean/lib.py").write_text(f"{HEADER}\nextra = 'one'\n")
    (project.folder / "clean/clean.py").write_text(
        source.replace("\n", "\n# MAGIC %run ./lib\n# COMMAND ----------\n", 1)
    )
    outcome = project.run(project.clean(target=target, path=None, script="clean.py"))
    assert outcome.errors == {}
    assert project.read(outcome, "compare", "out", "out.txt") == "DATA one"


def test_a_snapshot_is_brought_to_databricks_once(project):
    project.script("clean", "from words import WORD\nimport sys, pathlib\n" + SCRIPT)
    (project.folder / "clean/words.py").write_text("WORD = 'neighbour'\n")
    step = project.clean(form="python_script", path=None, script="clean.py", parameters={})
    project.run(step)
    before = len([text for text in project.server.requests if "workspace/import" in text])
    project.run(step, regenerate_outputs=True)
    assert before == len([text for text in project.server.requests if "workspace/import" in text])


def test_a_script_on_dbfs_runs_on_both(project):
    project.server.put("dbfs:/x/clean.py", ("WORD = 'dbfs'\nimport sys, pathlib\n" + SCRIPT).encode())
    given = {"form": "python_script", "path": "dbfs:/x/clean.py", "parameters": {}}
    outcome = project.run(project.clean(target="spark", **given))
    assert outcome.errors == {}
    assert project.read(outcome, "compare", "out", "out.txt") == "data dbfs"
    again = project.run(project.clean(**given))
    assert again.steps["clean"].status == "reused"


SCRIPT = """
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
source, target = (pathlib.Path(given[f"--{name}"].removeprefix("file:")) for name in ("prepared", "cleaned"))
target.mkdir(parents=True)
target.joinpath("part-0.txt").write_text("".join(f.read_text() for f in sorted(source.iterdir())) + WORD)
"""
