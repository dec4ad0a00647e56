from __future__ import annotations

import asyncio
import importlib
import os
import time
from datetime import UTC, datetime

import msgspec
import pytest
from airflow.sdk import DAG  # noqa: TID253

from airflow_ml_pipelines.core.publishing.recurrence import Recurrence
from airflow_ml_pipelines.core.publishing.schedules import change_schedule, create_schedule
from airflow_ml_pipelines.core.publishing.watches import Watch, finish, look, start
from airflow_ml_pipelines.operators.files import FindFilesOperator, FinishFilesOperator, StartRunOperator
from airflow_ml_pipelines.triggers.files import FilesTrigger


@pytest.fixture
def lake(workspace):
    return workspace.datastore()


def write(lake, path):
    lake.put(path, b"x")
    old = time.time() - 60
    os.utime(lake.local_path(path), (old, old))


@pytest.fixture
def schedule(workspace, lake):
    watch = Watch(datastore=workspace.default_datastore, path="in", seconds=0.02, parameter="rows")
    document = create_schedule(
        workspace.store, "arrivals", pipeline="talk.1", experiment="files", watch=watch
    )
    start(workspace.store, document.id, watch, lake)
    return document


def events(trigger, seconds):
    """Return what a trigger yields in some time."""
    found = []

    async def collect():
        events = trigger.run()
        while True:
            found.append((await anext(events)).payload)

    async def limited():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(collect(), seconds)

    asyncio.run(limited())
    return found


def find_in(workspace, schedule):
    with DAG("files", schedule=None):
        return FindFilesOperator(task_id="find", schedule=schedule.id, workspace=str(workspace.file))


def trigger_of(workspace, schedule):
    return FilesTrigger(schedule=schedule.id, workspace=str(workspace.file))


def test_a_trigger_is_made_again_from_what_it_serialises():
    trigger = FilesTrigger(schedule="abc", workspace="/somewhere")
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    assert getattr(importlib.import_module(module), name)(**arguments).serialize() == trigger.serialize()


def test_it_tells_of_files_once_and_again_after_a_restart_until_they_were_acted_on(workspace, schedule, lake):
    assert events(trigger_of(workspace, schedule), 0.3) == []
    write(lake, "in/a.csv")
    event = {"schedule": schedule.id, "batch": 2, "files": 1}
    assert events(trigger_of(workspace, schedule), 0.5) == [event]
    assert events(trigger_of(workspace, schedule), 0.5) == [event]
    batch = look(workspace.store, schedule.id, schedule.watch, lake, keep=True)
    finish(workspace.store, schedule.id, batch.number)
    assert events(trigger_of(workspace, schedule), 0.3) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "Disabled"},
        {
            "watch": None,
            "recurrence": Recurrence(frequency="Day", interval=1, start=datetime(2026, 1, 1, tzinfo=UTC)),
        },
        {"watch": Watch(datastore="gone", seconds=0.02)},
    ],
)
def test_it_stays_and_tells_nothing_where_there_is_nothing_to_watch(workspace, schedule, lake, fields):
    change_schedule(workspace.store, schedule.id, lambda last: msgspec.structs.replace(last, **fields))
    write(lake, "in/a.csv")
    assert events(trigger_of(workspace, schedule), 0.3) == []


def test_files_become_runs_with_ids_that_stay(workspace, schedule, lake, run_task):
    find = find_in(workspace, schedule)
    assert run_task(find, "r1").value == []
    write(lake, "in/a.csv")
    write(lake, "in/{{ 7 * 7 }}.csv")
    found = run_task(find, "r2").value
    assert [run["trigger_run_id"] for run in found] == ["files__2-1", "files__2-2"]
    assert found[1]["conf"] == {
        "rows": {"DataStoreName": workspace.default_datastore, "RelativePath": "in/{{ 7 * 7 }}.csv"},
        "tags": {"changed": "in/{{ 7 * 7 }}.csv"},
    }
    write(lake, "in/c.csv")
    assert run_task(find, "r3").value == found
    finish(workspace.store, schedule.id, 2)
    assert [run["trigger_run_id"] for run in run_task(find, "r4").value] == ["files__3-1"]


def test_one_run_for_all_gets_the_path(workspace, schedule, lake, run_task):
    change = {"watch": msgspec.structs.replace(schedule.watch, run_per="poll")}
    change_schedule(workspace.store, schedule.id, lambda last: msgspec.structs.replace(last, **change))
    write(lake, "in/a.csv")
    write(lake, "in/b.csv")
    find = find_in(workspace, schedule)
    (run,) = run_task(find, "r1").value
    assert run["conf"] == {
        "rows": {"DataStoreName": workspace.default_datastore, "RelativePath": "in"},
        "tags": {"changed": "2 files"},
    }


def test_names_of_files_are_no_templates():
    assert StartRunOperator.template_fields == ()
    assert (
        FinishFilesOperator(task_id="finish", schedule="x", find_task_id="find").trigger_rule == "none_failed"
    )
