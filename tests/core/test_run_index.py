"""The index of runs: what it says is what the documents say, and no document of an ended run is read twice."""

from __future__ import annotations

import threading
import time

import pytest
from made_runs import chain, make_run

from airflow_ml_pipelines.core.errors import ParameterError
from airflow_ml_pipelines.core.run_index import (
    RunFilter,
    RunIndex,
    Seen,
    find_run,
    flows,
    list_page,
    list_savings,
    metric_series,
    open_index,
    read_condition,
    steps_savings,
)
from airflow_ml_pipelines.core.run_index import refresh as refreshing
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

EVERYTHING = ("one", "two", "secret")


@pytest.fixture
def workspace(tmp_path):
    return Workspace("test", str(tmp_path / "root"), cache_directory=tmp_path / "cache")


class Counted:
    """A store that counts what is read."""

    def __init__(self, store):
        self._store = store
        self.read = []

    def __getattr__(self, name):
        return getattr(self._store, name)

    def get(self, path):
        self.read.append(path)
        return self._store.get(path)


def listed(index, **wanted):
    index.update()
    with open_index(index.file) as connection:
        given = {"dags": EVERYTHING, **wanted}
        return [item.run for item in list_page(connection, RunFilter(**given), 100).items]


def test_runs_are_listed_the_latest_first_with_what_became_of_their_steps(workspace):
    spec = chain("one")
    make_run(workspace, spec, "first", number=1, parameters={"depth": 3}, metrics={"accuracy": 0.5})
    make_run(workspace, spec, "second", number=2, states={"s1": "reused", "s2": "failed", "s3": "waiting"})
    index = RunIndex(workspace)
    assert listed(index) == ["second", "first"]
    with open_index(index.file) as connection:
        second, first = list_page(connection, RunFilter(dags=EVERYTHING), 10).items
        page = list_page(connection, RunFilter(dags=EVERYTHING), 1, 1)
    assert (first.status, first.steps, first.ran, first.saved) == ("Finished", 3, 3, 0)
    assert (second.status, second.reused, second.failed, second.going, second.saved) == (
        "Failed",
        1,
        1,
        1,
        12,
    )
    assert first.facts == {"parameter": {"depth": "3"}, "metric": {"accuracy": "0.5"}}
    assert (page.total, [item.run for item in page.items]) == (2, ["first"])


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("parameter", "depth=4", ["b"]),
        ("parameter", "depth = 4.0", ["b"]),
        ("parameter", "depth>2", ["b", "a"]),
        ("parameter", "depth!=4", ["a"]),
        ("parameter", "name=x = y", ["a"]),
        ("parameter", "name", ["a"]),
        ("tag", "team=4", ["b"]),
        ("tag", "team=vision", ["a"]),
        ("metric", "accuracy>=0.9", ["b"]),
        ("metric", "loss<0.15", ["a"]),
        ("metric", "'; DROP TABLE runs --", []),
    ],
)
def test_conditions_choose_runs(workspace, kind, text, found):
    parameters = {"depth": 3, "name": "x = y"}
    metrics = {"accuracy": 0.5, "loss": [0.9, 0.1]}
    make_run(workspace, chain("one"), "a", parameters=parameters, tags={"team": "vision"}, metrics=metrics)
    make_run(
        workspace,
        chain("two"),
        "b",
        number=1,
        parameters={"depth": 4},
        tags={"team": "4"},
        metrics={"accuracy": 0.9},
    )
    assert listed(RunIndex(workspace), conditions=(read_condition(kind, text),)) == found


@pytest.mark.parametrize("text", ["", "=3", "accuracy>high", "x" * 501])
def test_what_is_no_condition_is_refused_with_an_example(text):
    with pytest.raises(ParameterError, match=r"accuracy>0\.9|expected a number"):
        read_condition("metric", text)


def test_runs_are_found_by_pipeline_experiment_status_and_the_beginning_of_the_commit(workspace):
    make_run(workspace, chain("one"), "a", git={"commit": "abc123", "branch": "main"}, experiment="x")
    make_run(workspace, chain("two"), "b", number=1, states={"s3": "running"}, git={"commit": "ABC_%"})
    index = RunIndex(workspace)
    assert listed(index, pipeline="two") == ["b"]
    assert listed(index, experiment="x") == ["a"]
    assert listed(index, status="Running") == ["b"]
    assert listed(index, commit="abc1") == ["a"]
    assert listed(index, commit="%") == []


def test_runs_of_other_dags_are_in_no_list_and_no_sum(workspace):
    make_run(workspace, chain("one"), "a", metrics={"accuracy": 1})
    make_run(
        workspace, chain("hidden"), "b", dag_id="secret", states={"s1": "reused"}, metrics={"accuracy": 2}
    )
    index = RunIndex(workspace)
    index.update()
    with open_index(index.file) as connection:
        for dags, pipelines in ((["one"], ["one"]), (["hidden"], []), (["secret"], ["hidden"]), ([], [])):
            page = list_page(connection, RunFilter(dags=dags), 10)
            assert (page.total, [item.pipeline for item in page.items]) == (len(pipelines), pipelines)
            assert [item.name for item in list_savings(connection, dags)] == pipelines
            assert bool(metric_series(connection, "hidden", dags)) == ("secret" in dags)
            assert bool(steps_savings(connection, "hidden", dags)) == ("secret" in dags)
        assert find_run(connection, "secret", "b") == ("hidden", "b")


def test_ended_runs_are_read_once_and_going_ones_until_they_end(workspace):
    spec = chain("one")
    make_run(workspace, spec, "ended", metrics={"accuracy": 1})
    make_run(workspace, spec, "goes", number=1, states={"s3": "running"}, started=time.time())
    index = RunIndex(workspace)
    index.update()
    counted = index._store = Counted(workspace.store)
    index.update()
    assert counted.read == []
    with open_index(index.file) as connection:
        connection.execute("UPDATE runs SET next_look = 1 WHERE next_look IS NOT NULL")
    make_run(workspace, spec, "goes", number=1)
    index.update()
    assert {path.split("/")[2] for path in counted.read} == {"goes"}
    assert listed(index, status="Finished") == ["goes", "ended"]


def test_metrics_of_a_result_that_many_runs_reuse_are_read_once(workspace):
    spec = chain("one")
    make_run(workspace, spec, "first", metrics={"accuracy": 0.75})
    index = RunIndex(workspace)
    index.update()
    counted = index._store = Counted(workspace.store)
    everything = dict.fromkeys(("s1", "s2", "s3"), "reused")
    for number in range(3):
        make_run(workspace, spec, f"again-{number}", number=number + 1, states=everything)
    assert listed(index, conditions=(read_condition("metric", "accuracy=0.75"),)) == [
        "again-2",
        "again-1",
        "again-0",
        "first",
    ]
    assert not [path for path in counted.read if path.endswith("metrics.jsonl")]


def test_a_run_that_the_scheduler_has_changed_is_read_again(workspace):
    changed = set()
    spec = chain("one")
    make_run(workspace, spec, "cleared", dag_id="one")
    index = RunIndex(workspace, lambda since: Seen(frozenset(changed), since + 1))
    index.update()
    make_run(workspace, spec, "cleared", dag_id="one", states={"s3": "failed"})
    assert listed(index, status="Failed") == []
    changed.add(("one", "cleared"))
    assert listed(index, status="Failed") == ["cleared"]


def test_runs_that_have_gone_or_cannot_be_read_are_left_out(workspace):
    for name in ("stays", "goes", "breaks"):
        folder = make_run(workspace, chain("one"), name, dag_id="one")
    index = RunIndex(workspace, lambda since: Seen(frozenset({("one", "breaks")}), since))
    assert len(listed(index)) == 3
    workspace.store.remove(folder.path.replace("breaks", "goes"))
    workspace.store.put(f"{folder.path}/run.json", b"{")
    assert listed(index) == ["stays"]


def test_a_file_that_is_damaged_is_made_again(workspace):
    make_run(workspace, chain("one"), "a")
    index = RunIndex(workspace)
    assert listed(index) == ["a"]
    index.file.write_bytes(b"no database" * 1000)
    assert listed(index) == ["a"]


def test_one_process_at_a_time_brings_it_up_to_date(workspace):
    make_run(workspace, chain("one"), "a")
    first, second = RunIndex(workspace), RunIndex(workspace)

    def other(since):
        second.update()
        return Seen(frozenset(), since)

    first._changed = other
    first.update()
    counted = second._store = Counted(workspace.store)
    second.update()
    assert counted.read == []


def test_datasets_are_followed_from_step_to_step(workspace):
    make_run(workspace, chain("one", reads="raw", registers="clean"), "a")
    make_run(workspace, chain("one", reads="raw", registers="clean"), "b", number=1)
    make_run(workspace, chain("two", reads="clean"), "c", number=2)
    make_run(workspace, chain("secret", reads="raw"), "d", number=3)
    index = RunIndex(workspace)
    index.update()
    with open_index(index.file) as connection:
        found = [item[:6] for item in flows(connection, ["one", "two"])]
        near = {item.pipeline for item in flows(connection, ["one", "two", "secret"], "clean")}
    assert found == [
        ("raw", "reads", "one", "s1", 2, "b"),
        ("clean", "makes", "one", "s3", 2, "b"),
        ("clean", "reads", "two", "s1", 1, "c"),
    ]
    assert near == {"one", "two"}


def test_nobody_waits_for_an_index_that_was_brought_up_to_date_a_moment_ago(workspace, monkeypatch):
    gate = threading.Event()

    def changed(since):
        gate.wait(120)
        return Seen(frozenset(), since)

    monkeypatch.setattr(refreshing, "_PAUSE", 0.0)
    monkeypatch.setattr(refreshing, "_REST", 0.0)
    monkeypatch.setattr(refreshing, "_FRESH", 3600.0)
    index = RunIndex(workspace, changed)
    gate.set()
    assert index.refresh(120).known == 0  # the first look is waited for
    gate.clear()
    make_run(workspace, chain("one"), "first")
    assert index.refresh(120).known == 0  # it is being read, behind the gate
    gate.set()
    until = time.monotonic() + 120
    while index.refresh(120).known == 0:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_after_a_long_look_the_next_one_takes_its_time(workspace, monkeypatch):
    looks = []

    def changed(since):
        looks.append(since)
        return Seen(frozenset(), since)

    monkeypatch.setattr(refreshing, "_PAUSE", 0.0)
    monkeypatch.setattr(refreshing, "_REST", 1e12)
    monkeypatch.setattr(refreshing, "_LONGEST_PAUSE", 3600.0)
    index = RunIndex(workspace, changed)
    for _ in range(5):
        index.refresh(120)
    assert len(looks) == 1


def test_a_dataset_is_read_by_steps_that_began_and_made_by_those_that_ended_well(workspace):
    spec = chain("one", reads="raw", registers="clean")
    make_run(workspace, spec, "whole")
    make_run(workspace, spec, "broken", number=1, states={"s2": "failed", "s3": "canceled"})
    make_run(workspace, spec, "idle", number=2, states=dict.fromkeys(("s1", "s2", "s3"), "waiting"))
    index = RunIndex(workspace)
    index.update()
    with open_index(index.file) as connection:
        found = {(flow.dataset, flow.direction): flow.runs for flow in flows(connection, EVERYTHING)}
    assert found == {("raw", "reads"): 2, ("clean", "makes"): 1}
