"""What can be done with a table, wherever it is read."""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.runtime.datasets import TabularDataset
from airflow_ml_pipelines.runtime.expressions import check_expression, column, evaluate
from airflow_ml_pipelines.runtime.operations import check_operation
from airflow_ml_pipelines.runtime.table_engine import Table

ROWS = 1000


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("tables") / "t.csv"
    lines = [f"{n},{n / 4},{'red' if n % 3 else 'blue'},2024-01-{1 + n % 28:02}" for n in range(ROWS)]
    file.write_text("\n".join(["id,price,colour,day", *lines]) + "\n")
    return str(file)


@pytest.fixture
def table(path):
    return TabularDataset([{"place": path, "kind": "file", "label": "/t.csv"}], {})


def day(number):
    return dt.datetime.fromisoformat(f"2024-01-{number:02}")


def ids(dataset):
    return dataset.to_pandas_dataframe()["id"].tolist()


def test_rows_are_taken_in_the_order_of_the_file(table):
    assert ids(table.take(3)) == [0, 1, 2]
    assert ids(table.skip(998)) == [998, 999]
    assert ids(table.skip(10).take(2)) == [10, 11]
    assert ids(table.take(2).skip(1)) == [1]
    assert ids(table.take(0)) == ids(table.skip(ROWS)) == ids(table.skip(2**64)) == []
    assert len(ids(table.take(2**64))) == ROWS


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (lambda t: t["id"] < 3, [0, 1, 2]),
        (lambda t: (t["id"] > 995) & (t["colour"] == "blue"), [996, 999]),
        (lambda t: (t["id"] == 1) | (t["price"] == 249.75), [1, 999]),
        (lambda t: ~(t["id"] >= 2), [0, 1]),
        (lambda t: t["id"].isin([5, 7]), [5, 7]),
        (lambda t: t["colour"].starts_with("bl") & (t["id"] <= 3), [0, 3]),
        (lambda t: (t["id"] % 500 == 0) & ~t["colour"].is_null(), [0, 500]),
        (lambda t: (t["day"] > day(27)) & (t["id"] < 30), [27]),
        (lambda t: t["colour"].contains("'; DROP TABLE x; --"), []),
        (lambda t: t["colour"] == None, []),  # noqa: E711
    ],
)
def test_rows_are_chosen_by_a_condition(table, condition, expected):
    assert ids(table.filter(condition(table))) == expected


def test_columns_are_kept_and_dropped(table):
    assert list(table.keep_columns(["price", "id"]).take(1).to_pandas_dataframe()) == ["price", "id"]
    assert list(table.drop_columns("day").take(1).to_pandas_dataframe()) == ["id", "price", "colour"]


def test_a_split_has_every_row_once_and_is_the_same_each_time(table):
    one, two = table.random_split(0.3, seed=7)
    first, second = ids(one), ids(two)
    assert sorted(first + second) == list(range(ROWS))
    assert 200 < len(first) < 400
    again, _ = table.random_split(0.3, seed=7)
    assert ids(again) == first
    assert ids(table.random_split(0.3, seed=8)[0]) != first


def test_a_sample_has_about_its_share(table):
    assert 50 < len(ids(table.take_sample(0.1, seed=1))) < 150
    assert ids(table.take_sample(0, seed=1)) == []
    assert ids(table.take_sample(1, seed=1)) == list(range(ROWS))
    assert ids(table.take_sample(0.1, seed=1)) == ids(table.take_sample(0.1, seed=1))


def test_a_sample_of_known_rows_never_changes(table):
    assert ids(table.take(40).take_sample(0.2, seed=3)) == [1, 7, 17, 21, 28]


def test_rows_are_chosen_by_time(path):
    table = TabularDataset([{"place": path, "kind": "file", "label": "/t.csv"}], {"timestamp": "day"})
    start, end = day(2), day(4)
    assert ids(table.take(28).time_between(start, end)) == [1, 2, 3]
    assert ids(table.take(28).time_before(start)) == [0, 1]
    assert ids(table.take(28).time_after(end, include_boundary=False))[0] == 4
    assert ids(table.time_recent(dt.timedelta(days=1))) == []
    with pytest.raises(DataError, match="with_timestamp_columns"):
        TabularDataset([{"place": path}], {}).time_before(start)


def test_nothing_is_read_before_it_is_needed(tmp_path):
    table = TabularDataset([{"place": str(tmp_path / "none.csv")}], {})
    smaller = table.filter(table["a"] > 1).take(5).keep_columns("a")
    with pytest.raises(DataError, match="there is no file"):
        smaller.to_pandas_dataframe()


def test_files_that_are_written_have_the_rows(table, tmp_path):
    small = table.take(3).keep_columns(["id", "colour", "day"])
    wanted = small.to_pandas_dataframe()
    written = small.to_parquet_files(str(tmp_path / "p"))
    assert written.to_path() == ["/part-00000.parquet"]
    parts = [{"place": str(tmp_path / "p/part-00000.parquet"), "kind": "file", "label": "/x"}]
    assert TabularDataset(parts, {"format": "parquet"}).to_pandas_dataframe().equals(wanted)
    small.to_csv_files(";", str(tmp_path / "c"))
    parts = [{"place": str(tmp_path / "c/part-00000.csv"), "kind": "file", "label": "/x"}]
    assert TabularDataset(parts, {"separator": ";"}).to_pandas_dataframe().equals(wanted)
    assert os.listdir(tmp_path / "c") == ["part-00000.csv"]


def test_json_lines_are_a_table(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"x": 1, "y": "a"}\n{"x": 2}\n')
    parts = [{"place": str(tmp_path / "a.jsonl"), "kind": "file", "label": "/2024/a.jsonl"}]
    options = {"format": "json_lines", "partition_format": "/{Year}/a.jsonl", "include_path": True}
    with Table(TabularDataset(parts, {})._files(), options) as table:
        rows = table.rows()
    assert rows == [("/2024/a.jsonl", "2024", 1, "a"), ("/2024/a.jsonl", "2024", 2, None)]
    (tmp_path / "a.jsonl").write_text("no json\n")
    with pytest.raises(DataError, match=r"the table of /2024/a.jsonl can't be read"):
        TabularDataset(parts, options).to_pandas_dataframe()


def test_a_profile_tells_of_every_column(table):
    found = {item.name: item for item in table.profile()}
    assert (found["id"].min, found["id"].max, found["id"].count) == ("0", "999", ROWS)
    assert found["price"].mean == pytest.approx(124.875)
    assert found["colour"].mean is None
    assert found["colour"].unique == 2
    assert found["day"].type == "TIMESTAMP"


def test_missing_values_are_counted(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,\n,\n3,\n")
    parts = [{"place": str(tmp_path / "a.csv"), "kind": "file", "label": "/a.csv"}]
    assert [item.missing_count for item in TabularDataset(parts, {}).profile()] == [1, 3]


@pytest.mark.parametrize("text", ["x\r\n1\r\n2\r\n", "x\n1\r\n2\n", "x\n1\n2", 'x\n"1"\n"2"\n'])
def test_line_ends_and_quotes_make_no_difference(tmp_path, text):
    (tmp_path / "a.csv").write_text(text, newline="")
    parts = [{"place": str(tmp_path / "a.csv"), "kind": "file", "label": "/a.csv"}]
    assert TabularDataset(parts, {}).to_pandas_dataframe()["x"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ('{"a": 1}\n' * 30_000 + '{"a": 1, "late": 2}\n', {"a": "BIGINT", "late": "BIGINT"}),
        ('{"a": 1}\n' * 30_000 + '{"a": "text"}\n', {"a": "VARCHAR"}),
        (
            '{"a": {"b": 1}, "c": [1]}\n{"a": {"d": 2}}\n',
            {"a": "STRUCT(b BIGINT, d BIGINT)", "c": "BIGINT[]"},
        ),
        ('\ufeff{"a": 1}\n\n{"a": 2}\n', {"a": "BIGINT"}),
        ("\n", {"Column1": '"NULL"'}),
    ],
)
def test_all_lines_of_json_say_which_columns_there_are(tmp_path, text, columns):
    (tmp_path / "a.jsonl").write_text(text)
    parts = [{"place": str(tmp_path / "a.jsonl"), "kind": "file", "label": "/a.jsonl"}]
    with Table(TabularDataset(parts, {})._files(), {"format": "json_lines"}) as table:
        assert table.columns == columns
        assert table.count() == text.count("{") - text.count(": {")


def test_values_of_several_kinds_are_text(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": "x"}\n{"a": null}\n{"a": [1]}\n')
    parts = [{"place": str(tmp_path / "a.jsonl"), "kind": "file", "label": "/a.jsonl"}]
    with Table(TabularDataset(parts, {})._files(), {"format": "json_lines"}) as table:
        assert table.rows() == [("1",), ("x",), (None,), ("[1]",)]


@pytest.mark.parametrize("text", ["[1, 2]\n", "5\n", '{"a": 1}\nno json\n'])
def test_a_line_that_is_no_object_is_told(tmp_path, text):
    (tmp_path / "a.jsonl").write_text(text)
    parts = [{"place": str(tmp_path / "a.jsonl"), "kind": "file", "label": "/a.jsonl"}]
    with pytest.raises(DataError, match="the table of /a.jsonl can't be read") as caught:
        Table(TabularDataset(parts, {})._files(), {"format": "json_lines"})
    assert str(tmp_path) not in str(caught.value)
    assert "SELECT" not in str(caught.value)


@pytest.mark.parametrize("rows", [0, 5000])
def test_rows_after_a_quote_that_does_not_end_are_not_dropped(tmp_path, rows):
    (tmp_path / "a.csv").write_text("x,y\n" + "1,2\n" * rows + '"a,2\n' + "3,4\n" * 10)
    parts = [{"place": str(tmp_path / "a.csv"), "kind": "file", "label": "/a.csv"}]
    with pytest.raises(
        DataError, match=f"a value in quotes does not end; its row begins in line {rows + 2}$"
    ):
        Table(TabularDataset(parts, {})._files(), {})


@given(st.lists(st.lists(st.text('x1", \n', max_size=4), min_size=2, max_size=2), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_no_row_is_lost(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("rows") / "a.csv"
    with file.open("w", newline="") as target:
        csv.writer(target, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    options = {"infer_column_types": False, "empty_as_string": True}
    with Table(
        TabularDataset([{"place": str(file), "kind": "file", "label": ""}], {})._files(), options
    ) as table:
        assert [list(row) for row in table.rows()] == rows


def test_a_type_does_not_hang_on_the_first_rows(tmp_path):
    (tmp_path / "a.csv").write_text("x\n" + "1\n" * 50_000 + "word\n")
    parts = [{"place": str(tmp_path / "a.csv"), "kind": "file", "label": "/a.csv"}]
    assert TabularDataset(parts, {}).take(1).to_pandas_dataframe()["x"].tolist() == ["1"]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda t: t.filter("id > 3"), "expected a condition such as"),
        (lambda t: t.take(-1), "expected a number of rows"),
        (lambda t: t.take_sample(2), "expected a number from 0 to 1"),
        (lambda t: t.keep_columns([]), "expected the name of a column"),
        (lambda t: t[3], "expected the name of a column"),
        (lambda t: bool(t["id"] > 1), "combine conditions with"),
        (lambda t: t["id"] > object(), "expected a number, text, a date or a column"),
        (lambda t: t["colour"] == "\ud800", "it is no text that a file can have"),
        (lambda t: t.random_split(0.5, seed="a"), "seed=…: expected a whole number"),
        (lambda _: TabularDataset([], {"timestamp": "t"}).time_recent("1d"), "expected a datetime.timedelta"),
    ],
)
def test_mistakes_are_told_at_once(table, make, error):
    with pytest.raises(TypeError, match=error):
        make(table)


@pytest.mark.parametrize(
    "make",
    [
        lambda t: t.filter(t["prize"] > 1),
        lambda t: t.keep_columns("prize"),
        lambda t: t.drop_columns("prize"),
    ],
)
def test_a_column_that_is_missing_is_named(table, make):
    with pytest.raises(DataError, match=r"there is no column 'prize'\. Did you mean 'price'\?"):
        make(table).to_pandas_dataframe()


def test_without_duckdb_what_needs_it_says_so(path):
    code = (
        "import sys; sys.modules['duckdb'] = None\n"
        "from airflow_ml_pipelines.runtime.datasets import TabularDataset\n"
        f"table = TabularDataset([{{'place': {path!r}}}], {{}})\n"
        "print(len(table.to_pandas_dataframe()))\n"
        "table.take(1).to_pandas_dataframe()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(ROWS)]
    assert "needs DuckDB, which is not installed in the step's environment: add 'duckdb'" in done.stderr


VALUES = st.one_of(st.integers(-100, 100), st.text("abc'\"; ", max_size=4))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["id", "colour"]),
    st.sampled_from(["__eq__", "__lt__", "__ge__", "__ne__"]),
    st.integers(-5, 1005),
    st.text("redblu'\" ", max_size=5),
)
def test_conditions_mean_the_same_to_rows_and_to_files(path, name, operator, number, text):
    condition = getattr(column(name), operator)(number if name == "id" else text)
    check_expression(condition.document)
    found = Table(
        TabularDataset([{"place": path, "kind": "file", "label": "/t.csv"}], {})._files(),
        {"operations": [{"do": "filter", "where": json.loads(json.dumps(condition.document))}]},
    )
    with found as chosen:
        rows = [{"id": n, "colour": "red" if n % 3 else "blue"} for n in range(ROWS)]
        assert [row[0] for row in chosen.rows()] == [
            row["id"] for row in rows if evaluate(condition.document, row)
        ]


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ({}, "expected an operation with `do`, found None"),
        ({"do": "tak"}, "Did you mean 'take'"),
        ({"do": "take"}, "the field 'count' is missing: a number of rows"),
        ({"do": "take", "count": True}, "count: expected a number of rows, found True"),
        ({"do": "keep", "columns": [1]}, "columns: expected a list of names"),
        (
            {"do": "sample", "probability": 2, "seed": 1},
            "probability: expected a number from 0 to 1, found 2",
        ),
        ({"do": "take", "count": 1, "cout": 2}, "no field 'cout'"),
        ({"do": "filter", "where": ["gt", ["column", "x"]]}, "expected a condition such as"),
        ({"do": "filter", "where": ["sql", ["value", 1], ["value", 2]]}, "expected a condition such as"),
        ({"do": "filter", "where": ["eq", ["time", "soon"], ["column", "x"]]}, "soon"),
    ],
)
def test_operations_that_somebody_wrote_are_checked(operation, error):
    with pytest.raises(ValueError, match=error):
        check_operation(operation)
