"""Schedules on the files of a datastore, on an Airflow whose parts are killed and started again."""

from __future__ import annotations

import signal
import time
from contextlib import suppress

import psutil
import pytest
from servers.airflow import serve

from dag_factory import (
    DataPath,
    DataPathComputeBinding,
    Pipeline,
    PipelineParameter,
    PythonScriptStep,
    Schedule,
)

pytestmark = pytest.mark.system

SCRIPT = """
import pathlib, sys
path = pathlib.Path(sys.argv[1])
print("reads", path.read_text() if path.is_file() else len(list(path.iterdir())))
"""
POLLS = 12.0
"""Seconds in which many looks are taken, so that what came twice would have come."""


@pytest.fixture(scope="module")
def served(tmp_path_factory, postgres):
    folder = tmp_path_factory.mktemp("files")
    settings = {
        "workers__min_heartbeat_interval": "1",
        # a task that was killed along with its scheduler is missed soon, not after five minutes
        "scheduler__task_instance_heartbeat_timeout": "15",
        "scheduler__task_instance_heartbeat_timeout_detection_interval": "2",
    }
    with serve(folder, postgres.create_database("files"), **settings) as served:
        yield served


@pytest.fixture(scope="module")
def schedules(served):
    """A schedule with a run per file and one with a run for all, of the same folder."""
    (served.folder / "read").mkdir()
    (served.folder / "read/read.py").write_text(SCRIPT)
    pair = (
        PipelineParameter("rows", DataPath("workspaceblobstore", "incoming")),
        DataPathComputeBinding(),
    )
    step = PythonScriptStep(
        "read.py", source_directory=served.folder / "read", arguments=[pair], inputs=[pair]
    )
    arrive(served, "old.csv")
    published = Pipeline(served.ws, [step], name="reader").publish()
    each, together = (
        Schedule.create(
            served.ws,
            name,
            published.id,
            "arrivals",
            datastore="workspaceblobstore",
            path_on_datastore="incoming",
            polling_interval=0.02,
            data_path_parameter_name=parameter,
            run_per=run_per,
        )
        for name, parameter, run_per in (("each", "rows", "file"), ("together", None, "poll"))
    )
    for schedule in (each, together):
        served.airflow_dag(schedule.dag_id)
        served.airflow_dag(f"{schedule.dag_id}.files")
    return each, together


def arrive(served, name, text="rows"):
    served.ws.core.datastore().put(f"incoming/{name}", text.encode())


def changed(served, schedule, count=0, *, killed=False):
    """Return which files each run of a schedule was for, as Airflow knows them, when there are so many and all ended.

    :param killed: whether a run may have failed, since its task was killed.
    """
    ends = {"success", "failed"} if killed else {"success"}
    until = time.monotonic() + 240
    while True:
        runs = served.call("GET", f"/api/v2/dags/{schedule.dag_id}/dagRuns?limit=1000")[1]["dag_runs"]
        found = sorted(run["conf"]["tags"]["changed"] for run in runs)
        states = {run["state"] for run in runs}
        assert killed or "failed" not in states, (runs, served.airflow.log_tail())
        if len(found) >= count and states <= ends:
            return found
        assert time.monotonic() < until, runs
        time.sleep(0.5)


def kill(served, *parts):
    """Kill parts of Airflow, so that none can put its affairs in order."""
    for process in psutil.Process(served.airflow.pid).children(recursive=True):
        with suppress(psutil.Error):
            if set(parts) & set(process.cmdline()) or any(part in process.name() for part in parts):
                process.send_signal(signal.SIGKILL)


@pytest.mark.timeout(1200)  # Airflow starts three times
def test_each_new_or_changed_file_starts_one_run_also_after_restarts(served, schedules):
    each, together = schedules
    arrive(served, "a.csv")
    assert changed(served, each, 1) == ["incoming/a.csv"]
    (step,) = each.get_last_pipeline_run().get_steps()
    assert step.get_stdout_log().strip() == "reads rows"
    assert changed(served, together, 1) == ["1 files"]

    arrive(served, "b.csv")
    time.sleep(3)  # somewhere between the look that finds it and the run
    kill(served, "scheduler", "triggerer")
    served.airflow.stop()
    arrive(served, "{{ 7 * 7 }}.csv")
    arrive(served, "a.csv", "other rows")
    served.restart()
    wanted = ["incoming/a.csv", "incoming/a.csv", "incoming/b.csv", "incoming/{{ 7 * 7 }}.csv"]
    assert changed(served, each, 4, killed=True) == wanted
    time.sleep(POLLS)
    kill(served, "triggerer")
    served.airflow.stop()
    served.restart()
    time.sleep(POLLS)
    assert changed(served, each, killed=True) == wanted
    assert sum(int(text.partition(" ")[0]) for text in changed(served, together, killed=True)) == 4
    assert len(each.get_pipeline_runs()) == 4


def test_what_came_while_a_schedule_was_disabled_is_found_when_it_is_enabled(served, schedules):
    each, _ = schedules
    before = changed(served, each, killed=True)
    each.disable()
    served.wait_until_stale(f"{each.dag_id}.files")
    arrive(served, "late.csv")
    time.sleep(POLLS)
    assert changed(served, each, killed=True) == before
    each.enable()
    assert changed(served, each, len(before) + 1, killed=True) == sorted([*before, "incoming/late.csv"])
