"""Published pipelines on a real Airflow with users: DAGs by themselves, and runs by REST calls."""

from __future__ import annotations

import json
import os
import struct
import time
import zoneinfo
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from servers.airflow import API, serve

from airflow_ml_pipelines.core.workspaces.server import ServerError
from dag_factory import (
    ParameterError,
    PipelineEndpoint,
    PipelineRun,
    PublishedPipeline,
    Schedule,
    ScheduleRecurrence,
    Workspace,
    WorkspaceError,
)

pytestmark = pytest.mark.system


MOVING = "Test/Moving"


def write_zone(folder, change):
    """Make a time zone whose clocks are those of UTC, and are put forward by an hour at some moment."""
    offsets = struct.pack(">lbb", 0, 0, 0) + struct.pack(">lbb", 3600, 1, 4)
    old = struct.pack(">6L", 0, 0, 0, 1, 2, 8) + struct.pack(">lb", change, 1) + offsets + b"STD\0DST\0"
    new = struct.pack(">6L", 0, 0, 0, 1, 2, 8) + struct.pack(">qb", change, 1) + offsets + b"STD\0DST\0"
    magic = b"TZif2" + bytes(15)
    file = folder / MOVING
    file.parent.mkdir(parents=True)
    file.write_bytes(magic + old + magic + new + b"\nDST-1\n")


@pytest.fixture(scope="module")
def zones(tmp_path_factory):
    """A folder of time zones that Airflow and this process look in first."""
    folder, known = tmp_path_factory.mktemp("zones"), zoneinfo.TZPATH
    path = [str(folder), *known]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONTZPATH", os.pathsep.join(path))
        zoneinfo.reset_tzpath(path)
        yield folder
        zoneinfo.reset_tzpath(known)


@pytest.fixture(scope="module")
def served(tmp_path_factory, postgres, zones):
    with serve(tmp_path_factory.mktemp("published"), postgres.create_database("published")) as served:
        # a minute after the clocks were put forward; by any other clock it is an hour and more until then
        served.due = (int(time.time()) // 60 + 3) * 60
        write_zone(zones, served.due - 60)
        served.moving = Schedule.create(
            served.ws,
            "by the clock",
            served.publish("punctual").id,
            "clock",
            ScheduleRecurrence(
                "Day", 1, time_zone=MOVING, time_of_day=time.strftime("%H:%M", time.gmtime(served.due + 3600))
            ),
        )
        ticking = served.publish("ticking")
        served.schedule = Schedule.create(
            served.ws,
            "every minute",
            ticking.id,
            "ticks",
            ScheduleRecurrence("Minute", 1),
            pipeline_parameters={"pipeline_arg": 7},
        )
        yield served


def test_a_published_pipeline_is_a_dag_and_runs_without_its_source_folder(served):
    published = served.publish("talk")
    status, answer = served.call(
        "POST",
        f"{API}/pipelines/{published.id}",
        {
            "ExperimentName": "My_Pipeline",
            "RunSource": "API",
            "ParameterAssignments": {"pipeline_arg": 20},
            "Tags": {"team": "a"},
        },
    )
    assert (status, answer["PipelineId"], answer["ExperimentName"]) == (200, "talk.1", "My_Pipeline")
    assert answer["Url"] == f"{served.airflow.url}/dags/talk.1/runs/{answer['Id']}"
    assert served.wait(published.id, answer["Id"]) == "success"

    run = PipelineRun.get(served.ws, f"{published.id}/{answer['Id']}")
    (step,) = run.get_steps()
    assert (run.experiment.name, run.get_tags()) == ("My_Pipeline", {"team": "a"})
    assert step.get_stdout_log().strip() == "says 20"

    base = f"{API}/runs/{published.id}/{answer['Id']}"
    _, found = served.call("GET", base)
    assert (found["status"], found["parameters"]) == ("Finished", {"pipeline_arg": 20})
    _, steps = served.call("GET", f"{base}/steps")
    assert [(item["id"], item["status"]) for item in steps] == [("say", "finished")]
    assert steps[0]["reasons"] == ["there is no earlier result of this step"]
    assert served.call("GET", f"{base}/steps/say/metrics") == (200, {"n": 3})
    assert served.call("GET", f"{base}/plan")[1]["steps"][0]["decision"] == "run"
    _, page = served.call("GET", f"{API}/runs/{published.id}")
    assert [item["id"] for item in page["items"]] == [answer["Id"]]
    _, dag = served.call("GET", f"/api/v2/dags/{published.id}")
    assert {tag["name"] for tag in dag["tags"]} == {"published", "talk", "1.0"}


def test_python_starts_follows_and_ends_runs_on_the_server(served, monkeypatch):
    talk, sleep = served.publish("remote"), served.publish("endless", "import time; time.sleep(600)\n")
    (served.folder / "ws/workspace.yaml").write_text(f"name: test\nairflow: {served.airflow.url}\n")
    ws = Workspace.from_config(served.folder / "ws")
    with pytest.raises(WorkspaceError, match="AIRFLOW_API_TOKEN"):
        talk.submit(ws, "remotes")
    monkeypatch.setenv("AIRFLOW_API_TOKEN", served.token("admin"))
    run = PublishedPipeline.get(ws, talk.id).submit(ws, "remotes", {"pipeline_arg": 5})
    assert run.wait_for_completion(show_output=False) == "Finished"
    (step,) = run.get_steps()
    assert step.get_stdout_log().strip() == "says 5"
    with pytest.raises(ParameterError, match="Did you mean 'pipeline_arg'"):
        PublishedPipeline.get(ws, talk.id).submit(ws, "remotes", {"pipline_arg": 5})

    run = PipelineEndpoint.publish(ws, "endless", None, sleep).submit("remotes")
    while not any(
        step.get_status() == "Running"
        for step in PipelineRun.get_pipeline_runs(ws, sleep.id)[:1]
        for step in step.get_steps()
    ):
        time.sleep(0.2)
    run.cancel()
    assert run.wait_for_completion(show_output=False, raise_on_error=False) == "Canceled"
    monkeypatch.setenv("AIRFLOW_API_TOKEN", served.token("viewer"))
    with pytest.raises(ServerError, match="403"):
        PublishedPipeline.get(ws, talk.id).submit(ws, "remotes")


def test_an_endpoint_runs_its_default_version_or_the_one_that_is_named(served):
    endpoint = PipelineEndpoint.publish(served.ws, "words", "Words.", served.publish("first"))
    endpoint.add_default(served.publish("second"))
    for path, pipeline in ((endpoint.id, "second.1"), ("words", "second.1"), ("words/0", "first.1")):
        status, answer = served.call("POST", f"{API}/endpoints/{path}", {"ExperimentName": "words"})
        assert (status, answer.get("PipelineId")) == (200, pipeline), answer
        assert served.wait(pipeline, answer["Id"]) == "success"
    _, found = served.call("GET", f"{API}/endpoints/words")
    assert (found["default_version"], found["versions"]) == ("1", ["first.1", "second.1"])
    status, answer = served.call("POST", f"{API}/endpoints/words/7", {})
    assert status == 409
    assert "no version '7'" in answer["detail"]


def test_wrong_parameters_are_refused_with_the_names_that_there_are(served):
    published = served.publish("strict")
    for assignments, told in (
        (
            {"1": "united", "2": "city"},
            ["there is no parameter '1'", "there is no parameter '2'", "pipeline_arg"],
        ),
        ({"pipeline_arg": "10"}, ["'pipeline_arg' takes integer"]),
    ):
        status, answer = served.call(
            "POST", f"{API}/pipelines/{published.id}", {"ParameterAssignments": assignments}
        )
        assert status == 422
        assert all(text in answer["detail"] for text in told), answer
    status, answer = served.call("POST", f"{API}/pipelines/{published.id}", {"Parameters": {}})
    assert status == 422
    assert served.call("GET", f"{API}/pipelines/strict.9")[0] == 404


def test_only_who_may_run_the_dag_runs_it(served):
    published = served.publish("guarded")
    path = f"{API}/pipelines/{published.id}"
    for method, where in (
        ("POST", path),
        ("GET", path),
        ("GET", f"{API}/pipelines"),
        ("GET", f"{API}/endpoints"),
    ):
        assert served.call(method, where, {} if method == "POST" else None, user=None)[0] == 401
    assert served.call("GET", path, user="viewer")[0] == 200
    assert served.call("POST", path, {}, user="viewer")[0] == 403
    assert served.call("PATCH", path, {"status": "Disabled"}, user="viewer")[0] == 403
    status, started = served.call("POST", path, {"ParameterAssignments": {"pipeline_arg": 3}})
    assert status == 200, started
    _, log = served.call("GET", f"/api/v2/eventLogs?dag_id={published.id}&event=trigger_dag_run")
    (entry,) = log["event_logs"]
    assert (entry["owner"], entry["run_id"]) == ("admin", started["Id"])
    assert json.loads(entry["extra"])["conf"] == {"pipeline_arg": 3, "experiment_name": "guarded"}
    _, run = served.call("GET", f"/api/v2/dags/{published.id}/dagRuns/{started['Id']}")
    assert (run["triggering_user_name"], run["triggered_by"]) == ("admin", "rest_api")


def test_a_repeated_request_is_the_same_run(served):
    published = served.publish("once")
    path, headers = f"{API}/pipelines/{published.id}", {"Idempotency-Key": "order-17"}
    _, first = served.call("POST", path, {"ParameterAssignments": {"pipeline_arg": 1}}, headers=headers)
    status, again = served.call("POST", path, {"ParameterAssignments": {"pipeline_arg": 1}}, headers=headers)
    assert (status, again["Id"]) == (200, first["Id"])
    status, answer = served.call("POST", path, {"ParameterAssignments": {"pipeline_arg": 2}}, headers=headers)
    assert status == 422
    assert "Idempotency-Key" in answer["detail"]
    assert served.wait(published.id, first["Id"]) == "success"


def test_what_is_disabled_does_not_run(served):
    published = served.publish("resting")
    path = f"{API}/pipelines/{published.id}"
    assert served.call("PATCH", path, {"status": "Disabled"})[1]["status"] == "Disabled"
    status, answer = served.call("POST", path, {})
    assert (status, answer["detail"]) == (409, "published pipeline 'resting.1' is disabled")
    assert published.id not in {item["id"] for item in served.call("GET", f"{API}/pipelines")[1]["items"]}
    served.call("PATCH", path, {"status": "Active"})
    status, answer = served.call("POST", path, {})
    assert status == 200, answer
    assert served.wait(published.id, answer["Id"]) == "success"


def test_a_run_that_is_under_way_ends_also_where_its_pipeline_is_disabled_meanwhile(served):
    hold = served.folder / "hold"
    hold.touch()
    code = f"import pathlib, time\nwhile pathlib.Path({str(hold)!r}).exists(): time.sleep(0.1)\n"
    busy, idle = served.publish("midway", code), served.publish("idle")
    _, answer = served.call("POST", f"{API}/pipelines/{busy.id}", {})
    served.airflow_dag(idle.id)
    for published in (busy, idle):
        published.disable()
    served.wait_until_stale(idle.id)
    time.sleep(10)  # another look of the bundle, and a scheduler's at the run
    assert served.airflow_dag(busy.id)["is_stale"] is False
    hold.unlink()
    assert served.wait(busy.id, answer["Id"]) == "success"
    served.wait_until_stale(busy.id)


def test_of_a_hundred_submissions_at_once_none_is_lost_and_the_step_runs_once(served):
    published = served.publish("busy", "import time; time.sleep(2)\n")
    path = f"{API}/pipelines/{published.id}"
    first = served.call("POST", path, {})
    with ThreadPoolExecutor(20) as pool:
        answers = [first, *pool.map(lambda _: served.call("POST", path, {}), range(99))]
    assert {status for status, _ in answers} == {200}
    ids = {answer["Id"] for _, answer in answers}
    assert len(ids) == 100
    assert {served.wait(published.id, run) for run in ids} == {"success"}
    steps = [next(PipelineRun.get(served.ws, f"{published.id}/{run}").get_steps()) for run in ids]
    assert sum(not step.is_reused for step in steps) == 1


def test_a_schedule_runs_by_itself_until_it_is_disabled(served):
    schedule = served.schedule
    until = time.monotonic() + 150
    while schedule.get_last_pipeline_run() is None and time.monotonic() < until:
        time.sleep(0.5)
    run = schedule.get_pipeline_runs()[-1]
    assert served.wait(schedule.dag_id, run.id) == "success"
    assert (run.experiment.name, run.parameters) == ("ticks", {"pipeline_arg": 7})
    assert run.id.startswith("scheduled__")
    schedule.disable()
    served.wait_until_stale(schedule.dag_id)


def test_a_schedule_keeps_to_the_clock_when_the_clocks_are_put_forward(served):
    until = served.due + 90
    while not (runs := served.call("GET", f"/api/v2/dags/{served.moving.dag_id}/dagRuns")[1]["dag_runs"]):
        assert time.time() < until
        time.sleep(1)
    assert datetime.fromisoformat(runs[0]["run_after"]).timestamp() == served.due
    assert served.wait(served.moving.dag_id, runs[0]["dag_run_id"]) == "success"
    assert len(runs) == 1
