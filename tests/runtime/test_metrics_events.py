import json
import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_ml_pipelines.core.metrics import (
    encode_event,
    read_events,
    read_metrics,
    read_properties,
    read_tags,
)
from airflow_ml_pipelines.runtime.journal import FileJournal, MemoryJournal


def metric(name, form, value, **more):
    return {"kind": "metric", "name": name, "form": form, "value": value, **more}


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(PLAIN)
def test_an_event_is_read_as_it_was_written(value):
    line = encode_event(metric("m", "scalar", value))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    json.loads(line, parse_constant=pytest.fail)  # JSON knows no NaN
    assert repr(read_events(line)[0]["value"]) == repr(value)


def test_lines_that_were_not_written_to_their_end_are_left_out():
    data = (
        encode_event(metric("a", "scalar", 1))
        + b'{"kind":"metric","na\n'
        + encode_event(metric("b", "scalar", 2))
        + b'{"ki'
    )
    assert [event["name"] for event in read_events(data)] == ["a", "b"]
    assert read_events(b"\xff\xfe\n[]\n3\n{}\n") == []


@pytest.mark.parametrize(
    ("events", "value"),
    [
        ([("scalar", 1.5)], 1.5),
        ([("scalar", 0), ("scalar", 1), ("scalar", 2)], [0, 1, 2]),
        ([("list", [1])], [1]),
        ([("list", [1, 2]), ("list", [3])], [1, 2, 3]),
        ([("row", {"x": 1, "y": "a"})], {"x": 1, "y": "a"}),
        ([("row", {"x": 1, "y": "a"}), ("row", {"x": 2, "y": "b"})], {"x": [1, 2], "y": ["a", "b"]}),
        ([("row", {"x": 1}), ("row", {"y": 2})], {"x": [1, None], "y": [None, 2]}),
        ([("table", {"a": [1, 2], "b": [3]})], {"a": [1, 2], "b": [3, None]}),
        ([("table", {"a": [1]}), ("row", {"a": 2})], {"a": [1, 2]}),
        ([("table", {"a": 1})], {"a": [1]}),
        ([("image", "outputs/images/a.png")], "outputs/images/a.png"),
        ([("residuals", {"data": 1})], {"data": 1}),
        ([("scalar", 1), ("row", {"x": 1})], {"x": 1}),
    ],
)
def test_metrics_are_what_was_logged(events, value):
    assert read_metrics(metric("m", form, given) for form, given in events) == {"m": value}


def test_metrics_come_in_the_order_of_their_first_event():
    events = [metric("b", "scalar", 1), metric("a", "scalar", 1), metric("b", "scalar", 2)]
    assert list(read_metrics(events)) == ["b", "a"]


def test_what_is_about_the_pipeline_s_run_is_apart():
    events = [metric("own", "scalar", 1), metric("all", "scalar", 2, parent=True)]
    assert read_metrics(events) == {"own": 1}
    assert read_metrics(events, parent=True) == {"all": 2}


def test_the_last_tag_counts_and_the_first_property():
    events = [
        {"kind": kind, "name": "n", "value": value} for kind in ("tag", "property") for value in ("1", "2")
    ]
    assert read_tags(events) == {"n": "2"}
    assert read_properties(events) == {"n": "1"}


def test_forked_processes_write_whole_lines_to_one_file(tmp_path):
    journal = FileJournal(str(tmp_path / "metrics.jsonl"))
    children = []
    for child in range(4):
        pid = os.fork()
        if not pid:
            try:
                for number in range(100):
                    journal.add(kind="metric", name=f"m{child}", form="scalar", value=number, text="x" * 500)
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)

    assert {name: len(values) for name, values in read_metrics(journal.events()).items()} == {
        f"m{c}": 100 for c in range(4)
    }


def test_a_journal_that_nobody_wrote_to_is_empty(tmp_path):
    assert FileJournal(str(tmp_path / "none")).events() == []


def test_a_journal_in_memory_prints_what_is_logged(capsys):
    journal = MemoryJournal()
    journal.add(**metric("accuracy", "scalar", 0.5))
    journal.add(kind="artifact", name="a")
    assert capsys.readouterr().err == "metric accuracy = 0.5\n"
    assert math.isclose(read_metrics(journal.events())["accuracy"], 0.5)
