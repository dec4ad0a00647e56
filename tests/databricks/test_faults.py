"""Steps on Databricks while answers fail, connections break off, clusters are lost and workers are killed."""

import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter

import pytest
from servers.databricks import Faults

from airflow_ml_pipelines.core.databricks import client
from airflow_ml_pipelines.core.errors import MlPipelinesError
from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.steps.decide import Go, Hit, decide, open_step
from airflow_ml_pipelines.execution.databricks_job import page_url
from airflow_ml_pipelines.execution.runner import run_pipeline
from airflow_ml_pipelines.execution.step import run_step


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(client, "_BACKOFF", 0.01)


def clean(project, run):
    """Run the middle step as a task of a scheduler does that is tried once."""
    workspace = project.open()
    context = open_step(workspace, RunFolder(workspace.store, run.pipeline, run.run), "clean")
    outcome = decide(context)
    if isinstance(outcome, Hit):  # the worker was killed after it had ended its step
        return outcome.document
    assert isinstance(outcome, Go), outcome
    return run_step(context, outcome)


def prepared(project):
    """Return a run whose first step has run."""
    run = new_run(project.spec())
    project.server.fail(Faults(no_cluster="not yet"))
    run_pipeline(project.workspace, run)
    project.server.fail(Faults())
    project.server.runs.runs.clear()
    folder = RunFolder(project.workspace.store, run.pipeline, run.run)
    folder.clear_failure("clean")
    return run


@pytest.mark.system  # it takes half a minute
def test_fifty_sequences_of_faults_end_right_or_say_why(project):
    run = prepared(project)
    ended = {"right": 0, "with an error": 0}
    fork = multiprocessing.get_context("fork")
    submitted = 0
    happened = Counter()
    for seed in range(50):
        draw = random.Random(seed)
        project.server.fail(Faults.drawn(seed))
        before = set(project.server.runs.tokens)
        if draw.random() < 0.4:
            worker = fork.Process(target=_quietly, args=(project, run))
            worker.start()
            time.sleep(draw.uniform(0.05, 0.6))
            os.kill(worker.pid, signal.SIGKILL)
            worker.join()
            happened["killed"] += worker.exitcode == -signal.SIGKILL
        try:
            document = clean(project, run)
        except MlPipelinesError as error:
            ended["with an error"] += 1
            assert any(
                word in str(error) for word in ("Databricks", "cluster", "answers", "reached", "is gone from")
            ), error
        else:
            ended["right"] += 1
            output = document.outputs["cleaned"]
            text = project.workspace.datastore(output.datastore).get(f"{output.path}/part-0.txt")
            assert text == b"DATA one"
        tokens = set(project.server.runs.tokens) - before
        # a worker that was killed after its step had ended lets the next one begin an attempt of its own
        assert len(tokens) <= 2, f"seed {seed}"
        submitted += len(tokens)
        happened += project.server.faults.happened
        folder = RunFolder(project.workspace.store, run.pipeline, run.run)
        folder.clear_failure("clean")
        _forget(project, run)
    assert len(project.server.runs.runs) == submitted, "a submission with the same token started a second run"
    print(ended, dict(happened), submitted)
    assert ended["right"] > 30
    assert ended["with an error"] > 0
    kinds = {429, 500, 503, "reset", "lose", "slow start", "lost cluster", "lost run", "killed"}
    assert {kind for kind in kinds if happened[kind] < 3} == set(), (happened, ended)


def _quietly(project, run):
    try:
        clean(project, run)
    except MlPipelinesError:
        os._exit(1)


def _forget(project, run):
    """Let the next sequence run the step anew."""
    store = project.workspace.store
    for top in ("reuse", "leases"):
        for info in list(store.walk(top)):
            store.delete(info.path)


def test_a_killed_worker_s_run_is_found_again_and_submitted_once(project):
    run = prepared(project)
    project.server.fail(Faults(slow_start=1.5))
    worker = multiprocessing.get_context("fork").Process(target=_quietly, args=(project, run))
    worker.start()
    while not project.server.runs.runs:
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    document = clean(project, run)
    assert document.status == "finished"
    assert len(project.server.runs.runs) == 1


def test_an_answer_to_a_submission_that_is_lost_starts_no_second_run(project):
    run = prepared(project)
    before = len(project.server.requests)
    project.server.fail(Faults(plan=["lose"]))
    assert clean(project, run).status == "finished"
    assert project.server.requests[before:][:2] == ["POST /api/2.2/jobs/runs/submit"] * 2
    assert len(project.server.runs.runs) == 1


def test_a_token_that_ends_in_the_middle_starts_no_second_run(project):
    project.server.notebook("/Shared/clean", project.notebook + "import time; time.sleep(1)\n")
    run = prepared(project)
    worker = threading.Thread(target=_spoil, args=(project.server,))
    worker.start()
    with pytest.raises(
        MlPipelinesError, match=r"answers 403.*check the token.*\n.*run 1000 .* may still go on"
    ):
        clean(project, run)
    worker.join()
    project.server.token = "dapi-test"
    failed = RunFolder(project.workspace.store, run.pipeline, run.run).read_step("clean")
    document = clean(project, run)
    assert (failed.status, document.status, document.error) == ("failed", "finished", None)
    assert document.attempt == failed.attempt
    assert len(project.server.runs.runs) == 1


def test_a_submission_whose_answers_are_all_lost_starts_one_run(project):
    run = prepared(project)
    project.server.fail(Faults(plan=["lose"] * 10))
    with pytest.raises(MlPipelinesError, match="can't be reached"):
        clean(project, run)
    assert clean(project, run).status == "finished"
    assert len(project.server.runs.runs) == 1


def _spoil(server):
    while not server.runs.runs:
        time.sleep(0.01)
    server.token = "another"


def test_a_run_that_failed_unseen_is_not_taken_for_one_that_goes_on(project):
    project.server.notebook("/Shared/clean", "raise ValueError('no rows')\n")
    run = prepared(project)
    worker = threading.Thread(target=_spoil, args=(project.server,))
    worker.start()
    with pytest.raises(MlPipelinesError, match="403"):
        clean(project, run)
    worker.join()
    project.server.token = "dapi-test"
    (ran,) = project.server.runs.runs.values()
    ran.thread.join(60)
    with pytest.raises(MlPipelinesError, match="no rows"):
        clean(project, run)
    assert len(project.server.runs.runs) == 2


@pytest.mark.parametrize(
    ("code", "kind", "parameters"),
    [
        (
            "CLOUD_PROVIDER_LAUNCH_FAILURE",
            "CLOUD_FAILURE",
            {"azure_error_message": "quota of 10 cores exceeded"},
        ),
        ("INSTANCE_POOL_MAX_CAPACITY_REACHED", "CLIENT_ERROR", {"instance_pool_id": "p-1"}),
        (
            "INIT_SCRIPT_FAILURE",
            "CLIENT_ERROR",
            {"instance_id": "i-1", "databricks_error_message": "exit code 7"},
        ),
        ("SPARK_STARTUP_FAILURE", "SERVICE_FAULT", {"databricks_error_message": "Spark failed to start"}),
        ("INVALID_ARGUMENT", "CLIENT_ERROR", {}),
        ("ACCESS_TOKEN_FAILURE", "SERVICE_FAULT", None),
        ("INSTANCE_UNREACHABLE", "CLOUD_FAILURE", {"inactivity_duration_min": "5"}),
    ],
)
def test_a_cluster_that_can_not_be_had_says_why(project, code, kind, parameters):
    reason = {"code": code, "type": kind}
    if parameters is not None:
        reason["parameters"] = parameters
    project.server.fail(Faults(no_cluster=reason))
    error = project.run().errors["clean"]
    assert f"its cluster cluster-1000 ended: {code}" in error
    assert all(f"{name}={value}" in error for name, value in (parameters or {}).items())
    assert f"its page: {project.server.url}/#job/" in error


def test_what_a_run_says_is_kept_without_secrets_and_codes_for_terminals(project, monkeypatch):
    monkeypatch.setenv("MY_KEY", "hunter2-secret")
    source = """
import os, sys
print("the key is", os.environ["KEY"])
raise ValueError("\\x1b[31mred\\x1b[0m " + os.environ["KEY"])
"""
    project.server.put("dbfs:/x.py", source.encode())
    step = project.clean(
        form="python_script", path="dbfs:/x.py", parameters={}, spark_env_variables={"KEY": "env:MY_KEY"}
    )
    outcome = project.run(step)
    assert "ValueError: red ***" in outcome.errors["clean"]
    store = project.workspace.store
    kept = b"".join(store.get(info.path) for info in store.walk(""))
    assert b"the key is ***" in kept
    assert b"hunter2" not in kept
    assert b"\x1b" not in kept


@pytest.mark.parametrize(
    "source",
    ["'x' * 3_000_000", "'\\ud83d'", "'é\\u0000<b>'", "None", "{'a': 1}", "''"],
    ids=["huge", "half a character", "odd letters", "None", "a dict", "nothing"],
)
def test_whatever_a_notebook_exits_with_is_kept(project, source):
    project.server.notebook("/Shared/clean", project.notebook.replace("str(len(text))", source))
    outcome = project.run()
    assert outcome.errors == {}
    store, folder = project.workspace.store, outcome.steps["clean"].folder
    kept = store.get(f"{folder}/outputs/notebook_exit.txt").decode()
    value = eval(source)
    assert kept == str(value).encode("utf-8", "replace").decode()
    document = json.loads(store.get(f"{folder}/databricks.json"))
    assert document["notebook_exit"] == (kept if len(kept) < 10_000 else None)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://x/<b>\n", 'https://x/"> <script>', 7, None])
def test_a_page_that_no_browser_may_be_sent_to_is_no_link(url):
    assert page_url({"run_page_url": url}) == ""
    assert page_url({"run_page_url": "https://adb.example/?o=1#job/1/run/2"}).startswith("https://adb")


def test_a_parameter_that_is_called_like_an_input_is_told(project):
    from airflow_ml_pipelines.core.spec import ParameterValue

    step = project.clean(parameters={"prepared": ParameterValue(parameter="word")})
    assert "'prepared' is a parameter and an input or output too" in project.run(step).errors["clean"]
    assert project.server.submitted == []


def test_a_notebook_that_fails_says_what_and_where_to_look(project):
    project.server.notebook("/Shared/clean", "raise ValueError('no rows')\n")
    error = project.run().errors["clean"]
    assert "ValueError: no rows" in error
    assert f"its page: {project.server.url}/#job/" in error


def test_a_notebook_that_writes_no_output_is_told_where_its_place_is(project):
    project.server.notebook("/Shared/clean", "pass\n")
    error = project.run().errors["clean"]
    assert "nothing is there" in error
    assert "the widget or argument 'cleaned'" in error


def test_a_notebook_that_there_is_not_is_told_before_anything_runs(project):
    from airflow_ml_pipelines.core.errors import DefinitionError

    with pytest.raises(DefinitionError, match="/Shared/nothing"):
        project.run(project.clean(path="/Shared/nothing"))
    assert project.server.submitted == []


def test_a_wrong_token_is_an_error_that_says_so(project, monkeypatch):
    monkeypatch.setenv("DATABRICKS_TOKEN", "wrong")
    with pytest.raises(MlPipelinesError, match="check the token") as caught:
        project.run()
    assert "wrong" not in str(caught.value).replace("wrong token", "")


def test_a_run_that_is_canceled_is_canceled_there(project):
    project.server.notebook("/Shared/clean", "import time\ntime.sleep(60)\n")
    cancel = threading.Event()

    def end():
        while not any(r.state["life_cycle_state"] == "RUNNING" for r in project.server.runs.runs.values()):
            time.sleep(0.02)
        cancel.set()

    threading.Thread(target=end).start()
    outcome = run_pipeline(project.workspace, new_run(project.spec()), cancel=cancel)
    assert outcome.status == "Canceled"
    (ran,) = project.server.runs.runs.values()
    ran.thread.join(10)
    assert ran.state["result_state"] == "CANCELED"


def test_a_time_out_ends_the_run_there(project):
    import msgspec

    project.server.notebook("/Shared/clean", "import time\ntime.sleep(60)\n")
    outcome = project.run(msgspec.structs.replace(project.clean(), timeout=1))
    assert "TIMEDOUT" in outcome.errors["clean"]


@pytest.mark.parametrize(("permit", "text"), [(False, "permit_cluster_restart is False"), (True, None)])
def test_a_cluster_that_was_ended_is_started_only_where_that_is_permitted(project, permit, text):
    reason = {"code": "INACTIVITY", "type": "SUCCESS"}
    project.server.runs.clusters["c-1"] = {
        "cluster_id": "c-1",
        "state": "TERMINATED",
        "spark_version": "15.4.x-scala2.12",
        "termination_reason": reason,
    }
    given = {"num_workers": None, "existing_cluster_id": "c-1", "permit_cluster_restart": permit}
    errors = project.run(project.clean(**given)).errors
    if text is None:
        assert errors == {}
        assert project.server.runs.clusters["c-1"]["state"] == "RUNNING"
    else:
        assert text in errors["clean"]
        assert project.server.submitted == []


def test_a_library_that_can_not_be_installed_is_named(project):
    library = {
        "library": {"pypi": {"package": "nothing"}},
        "status": "FAILED",
        "messages": ["no such package"],
    }
    project.server.runs.clusters["c-1"] = {"cluster_id": "c-1", "state": "RUNNING"}
    project.server.runs.libraries["c-1"] = [library]
    project.server.notebook("/Shared/clean", "raise ValueError('x')\n")
    errors = project.run(project.clean(num_workers=None, existing_cluster_id="c-1")).errors
    assert "could not be installed: no such package" in errors["clean"]
