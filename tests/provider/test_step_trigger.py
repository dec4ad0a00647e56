"""Tasks that are deferred while their jobs go on, and the trigger that looks after these."""

from __future__ import annotations

import asyncio
import importlib
import re
import threading
import time
from datetime import timedelta

import msgspec
import pytest
import yaml  # noqa: TID253
from airflow.sdk import DAG  # noqa: TID253

from airflow_ml_pipelines._airflow import AirflowException
from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.reuse.lease import find_holder
from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.spec import OutputPath
from airflow_ml_pipelines.execution import left
from airflow_ml_pipelines.execution.reaper import why_reap
from airflow_ml_pipelines.execution.targets.port import Owner
from airflow_ml_pipelines.operators.python_script import PythonScriptOperator
from airflow_ml_pipelines.testing import FakeComputeTarget, FakeStep
from airflow_ml_pipelines.triggers import step as module
from airflow_ml_pipelines.triggers.step import StepTrigger

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:
    from airflow.exceptions import TaskDeferred

FOREVER = 3600.0
STEP = {"arguments": ["--write", OutputPath(output="out")], "outputs": ["out"]}


@pytest.fixture
def fake():
    step = FakeStep(outputs={"out": {"out.txt": b"made"}}, lines=("begun",), seconds=FOREVER)
    with FakeComputeTarget({"train": step}, outlives=True) as made:
        yield made


@pytest.fixture
def make(source, workspace):
    """Return what makes the task, which is deferred while its job runs."""

    def made(**given):
        with DAG("mine", schedule=None):
            return PythonScriptOperator(
                task_id="train",
                script_name="step.py",
                source_directory=source,
                **{**STEP, "deferrable": True, **given},
            )

    return made


@pytest.fixture
def defer(make, run_task, fake):
    """Return what runs a task until it is deferred, and returns its trigger."""

    def deferred(method="execute", event=None, **given):
        with pytest.raises(TaskDeferred) as caught:
            run_task(make(**given), method=method, event=event)
        assert caught.value.method_name == "resume"
        return again(caught.value.trigger)

    return deferred


def again(trigger):
    """Return a trigger as another process makes it."""
    path, arguments = trigger.serialize()
    module_name, _, name = path.rpartition(".")
    made = getattr(importlib.import_module(module_name), name)(**arguments)
    made.poll_interval, made.not_before = 0.02, 0.0
    return made


async def first(trigger):
    async for found in trigger.run():
        return found.payload
    return None


def event_of(trigger):
    return asyncio.run(asyncio.wait_for(first(trigger), 60))


def folder_of(workspace):
    return RunFolder(workspace.store, "mine", "r1")


def wait_until(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def told(capsys):
    """Return what returns the script's lines that were logged so far."""
    said = []

    def lines():
        said.append(capsys.readouterr().out)
        return re.findall(r"\] (begun|line \d)\b", "".join(said))

    return lines


class Started:
    """A trigger that runs in another thread's event loop until it is canceled."""

    def __init__(self, trigger):
        self.trigger = trigger
        self._loop = asyncio.new_event_loop()
        self._task = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        wait_until(lambda: self._task is not None)
        return self

    def __exit__(self, *_):
        if self._thread.is_alive():
            self.cancel()

    def cancel(self):
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self):
        async def main():
            self._task = asyncio.current_task()
            await first(self.trigger)

        try:
            self._loop.run_until_complete(main())
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.close()


# --- the good way ------------------------------------------------------------------------------------------------


def test_a_deferred_task_collects_what_its_job_has_made(defer, make, run_task, fake, workspace):
    trigger = defer()
    assert folder_of(workspace).read_step("train").status == "running"
    fake.end("train")
    event = event_of(trigger)
    done = run_task(make(), method="resume", event=event)
    assert (event["status"], done.value["decision"]) == ("ended", "run")
    assert folder_of(workspace).read_step("train").outputs["out"].files == 1
    assert (fake.ran, fake.left) == (["train"], [])
    assert run_task(make(), "r2").value["decision"] == "reuse"


def test_each_line_is_told_once_by_triggerers_that_follow_one_another_and_the_worker(
    defer, make, run_task, fake, told, workspace
):
    def kept():  # how many lines were told as the next triggerer knows it
        job = trigger.job
        return left.read_left(workspace.store, job.folder(workspace.store)).stdout

    trigger = defer()
    with Started(trigger) as started:
        wait_until(lambda: told() == ["begun"] and kept() == 1)
        started.cancel()
    fake.write("train", "line 1", "line 2")
    with Started(again(trigger)) as started:
        wait_until(lambda: "line 2" in told() and kept() == 3)
        started.cancel()
    fake.write("train", "line 3")
    fake.end("train")
    run_task(make(), method="resume", event=event_of(again(trigger)))
    assert told() == ["begun", "line 1", "line 2", "line 3"]


def test_the_event_waits_until_the_process_that_deferred_the_task_has_ended(defer, fake):
    trigger = defer()
    trigger.not_before = time.time() + 0.5
    fake.end("train")
    assert event_of(trigger)["status"] == "ended"
    assert time.time() >= trigger.not_before


def test_a_job_that_ended_at_once_is_not_deferred(make, run_task, fake):
    fake.steps["train"] = FakeStep(outputs={"out": {"out.txt": b"made"}})
    assert run_task(make()).value["decision"] == "run"


def test_a_job_that_ends_with_its_worker_is_not_deferred(make, run_task, fake):
    fake.outlives = False
    fake.steps["train"] = FakeStep(outputs={"out": {"out.txt": b"made"}}, seconds=0.1)
    assert run_task(make()).value["decision"] == "run"


@pytest.mark.parametrize(
    ("operator", "target", "by_default", "defers"),
    [
        (None, None, "False", False),
        (None, None, "True", True),
        (None, False, "True", False),
        (None, True, "False", True),
        (False, True, "True", False),
        (True, False, "False", True),
    ],
)
def test_the_task_goes_before_its_target_and_that_before_airflows_default(
    make, run_task, fake, workspace, monkeypatch, operator, target, by_default, defers
):
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", by_default)
    document = yaml.safe_load(workspace.file.read_text())
    options = {} if target is None else {"deferrable": target}
    document["compute_targets"] = {"box": {"type": "docker", **options}}
    workspace.file.write_text(yaml.safe_dump(document))
    fake.steps["train"] = FakeStep(seconds=0.3)
    task = make(deferrable=operator, compute_target="box", outputs=[], arguments=[])
    if defers:
        with pytest.raises(TaskDeferred):
            run_task(task)
    else:
        assert run_task(task).value["decision"] == "run"


# --- while it waits ----------------------------------------------------------------------------------------------


def test_the_lease_is_kept_and_a_sign_of_life_given(defer, workspace, monkeypatch):
    trigger = defer()
    workspace.store.delete(f"leases/{trigger.job.lease_key[:2]}/{trigger.job.lease_key}/1.json")
    before = workspace.store.info(f"{folder_of(workspace).attempt_folder('train', 1)}/place.json").modified
    monkeypatch.setattr(module, "SIGN_OF_LIFE", 0.0)
    with Started(trigger):
        wait_until(lambda: find_holder(workspace.store, trigger.job.lease_key) is not None)
        place = f"{folder_of(workspace).attempt_folder('train', 1)}/place.json"
        wait_until(lambda: workspace.store.info(place).modified > before)
    assert find_holder(workspace.store, trigger.job.lease_key).owner == "mine/r1/train"


def test_the_end_of_the_triggerer_leaves_the_job_alone(defer, fake, workspace):
    with Started(defer()) as started:
        started.cancel()
    assert fake.left == ["train"]
    assert folder_of(workspace).read_step("train").status == "running"


def test_what_can_not_be_seen_for_long_is_given_to_a_worker_which_stays_with_it(
    defer, make, run_task, fake, monkeypatch
):
    trigger = defer()

    def away(*_):
        raise ComputeTargetException("the engine is away")

    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    monkeypatch.setattr(module, "find_job", away)
    event = event_of(trigger)
    assert event["status"] == "unseen"
    assert "the engine is away" in event["error"]
    threading.Timer(0.3, fake.end, ("train",)).start()
    assert run_task(make(), method="resume", event=event).value["decision"] == "run"
    assert fake.ran == ["train"]


def test_what_can_not_be_seen_for_a_moment_is_looked_at_again(defer, fake, monkeypatch):
    trigger, looks = defer(), []
    find = module.find_job

    def away_at_first(*arguments):
        looks.append(1)
        if len(looks) < 3:
            raise ComputeTargetException("the engine is away")
        return find(*arguments)

    monkeypatch.setattr(module, "find_job", away_at_first)
    fake.end("train")
    assert event_of(trigger)["status"] == "ended"


def test_a_job_whose_time_is_over_is_ended_by_the_worker(defer, make, run_task, fake, workspace):
    trigger = defer(execution_timeout=timedelta(seconds=0.5))
    event = event_of(trigger)
    assert event["status"] == "timeout"
    with pytest.raises(AirflowException, match="execution_timeout of 0:00:00.5"):
        run_task(make(execution_timeout=timedelta(seconds=0.5)), method="resume", event=event)
    assert fake.left == []
    assert folder_of(workspace).read_step("train").status == "canceled"


def test_the_failure_of_another_step_ends_it(defer, make, run_task, fake, workspace):
    trigger = defer()
    document = folder_of(workspace).read_run()
    folder_of(workspace).write_run(msgspec.structs.replace(document, continue_on_step_failure=False))
    folder_of(workspace).write_failure("other", "it broke")
    assert event_of(trigger)["status"] == "stop"


# --- kills -------------------------------------------------------------------------------------------------------


def kill(trigger):
    asyncio.run(trigger.on_kill())


def test_killing_the_task_ends_the_job_and_frees_the_lease(defer, fake, workspace):
    trigger = defer()
    kill(trigger)
    step = folder_of(workspace).read_step("train")
    assert (fake.left, step.status, step.error) == ([], "canceled", "the task was killed")
    assert find_holder(workspace.store, trigger.job.lease_key) is None
    kill(again(trigger))  # as the API server and the triggerer both hear of it


def test_a_job_that_a_worker_has_taken_up_is_not_ended(defer, make, run_task, fake):
    trigger = defer()
    fake.end("train")
    event = event_of(trigger)
    kill(again(trigger))
    assert run_task(make(), method="resume", event=event).value["decision"] == "run"


def test_a_killed_task_that_is_run_anew_starts_anew(defer, fake, workspace):
    kill(defer())
    defer()
    assert fake.ran == ["train", "train"]
    assert folder_of(workspace).read_step("train").attempt == 2


def test_clearing_a_task_that_nobody_looks_after_ends_its_job(defer, fake, workspace):
    trigger = defer()
    defer()  # the next try; the trigger is gone
    assert (fake.ran, fake.left) == (["train", "train"], ["train"])
    assert folder_of(workspace).read_step("train").attempt == 2
    kill(again(trigger))  # comes too late, and touches nothing of the new attempt
    assert fake.left == ["train"]


def test_a_worker_that_was_lost_after_it_took_the_job_up_loses_nothing(
    defer, make, run_task, fake, workspace
):
    trigger = defer()
    fake.end("train")
    event_of(trigger)
    assert run_task(make()).value["decision"] == "run"  # the next try begins anew
    assert fake.ran == ["train"]
    assert folder_of(workspace).read_step("train").attempt == 1


def test_where_airflow_does_not_tell_a_trigger_of_a_kill_the_runs_folder_does(
    defer, fake, workspace, monkeypatch
):
    monkeypatch.setattr(module, "TRIGGERS_ARE_KILLED", False)
    trigger = defer()
    find = module.end_left
    with Started(trigger) as started:
        other = again(trigger)
        monkeypatch.setattr("airflow_ml_pipelines.execution.left.remove_job", lambda *_: False)
        other.end_job()  # of an API server that can't reach the engine
        monkeypatch.undo()
        monkeypatch.setattr(module, "TRIGGERS_ARE_KILLED", False)
        assert fake.left == ["train"]
        assert find is module.end_left
        started.cancel()
    assert fake.left == []


def test_the_reaper_knows_a_job_whose_task_was_killed_and_one_that_nobody_looks_after(defer, workspace, fake):
    trigger = defer()
    owner = Owner("mine", "r1", "train", 1)
    assert why_reap(workspace, owner, 60) is None
    clock = workspace.store.clock
    workspace.store.clock = lambda: clock() + 100
    assert "nobody has followed it for" in why_reap(workspace, owner, 60)
    workspace.store.clock = clock
    kill(trigger)
    assert why_reap(workspace, owner, 60) == "its step is canceled"


@pytest.mark.parametrize("wrong", [{"poll_interval": 0}, {"attempt": None, "color": "red"}])
def test_a_trigger_refuses_what_it_could_not_look_after(defer, wrong):
    _, arguments = defer().serialize()
    with pytest.raises(ValueError, match=r"poll_interval|needs to know its job"):
        StepTrigger(**{**arguments, **wrong})


def test_a_task_that_is_run_anew_waits_until_who_has_killed_it_is_done(defer, fake, workspace, monkeypatch):
    trigger = defer()
    ending, go_on = threading.Event(), threading.Event()
    remove = left.remove_job

    def slow(*arguments):
        if threading.current_thread() is thread:
            ending.set()
            assert go_on.wait(60)
        return remove(*arguments)

    monkeypatch.setattr(left, "remove_job", slow)
    thread = threading.Thread(target=again(trigger).end_job)
    thread.start()
    assert ending.wait(60)
    threading.Timer(0.3, go_on.set).start()
    defer()
    thread.join(60)
    step = folder_of(workspace).read_step("train")
    assert (step.status, step.attempt, fake.left) == ("running", 2, ["train"])
    assert find_holder(workspace.store, trigger.job.lease_key) is not None
