import asyncio
import importlib
import threading
import time

import pytest

from airflow_ml_pipelines.core.layout import record_path
from airflow_ml_pipelines.core.reuse.lease import acquire_lease
from airflow_ml_pipelines.triggers.reuse import ReuseTrigger

KEY = "ab" * 32


def _event(trigger):
    async def first():
        async for event in trigger.run():
            return event.payload
        return None

    return asyncio.run(asyncio.wait_for(first(), 20))


def test_a_trigger_is_made_again_from_what_it_serialises():
    trigger = ReuseTrigger(key=KEY, workspace="/somewhere", poll_interval=2.5, not_before=7.0)
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**arguments)
    assert isinstance(again, ReuseTrigger)
    assert again.serialize() == trigger.serialize()
    assert arguments == {"key": KEY, "workspace": "/somewhere", "poll_interval": 2.5, "not_before": 7.0}


@pytest.mark.parametrize(
    "wrong", [{"key": ""}, {"key": KEY, "poll_interval": 0}, {"key": KEY, "poll_interval": -1}]
)
def test_a_trigger_refuses_what_it_could_not_wait_for(wrong):
    with pytest.raises(ValueError, match=r"key|poll_interval"):
        ReuseTrigger(**wrong)


def test_it_fires_when_there_is_a_record(workspace):
    acquire_lease(workspace.store, KEY, "another", 60)
    trigger = ReuseTrigger(key=KEY, workspace=str(workspace.file), poll_interval=0.02)
    threading.Timer(0.2, workspace.store.put, (record_path(KEY), b"{}")).start()
    assert _event(trigger) == {"status": "recorded", "key": KEY}


def test_it_does_not_fire_while_the_process_that_deferred_the_task_may_be_ending(workspace):
    workspace.store.put(record_path(KEY), b"{}")
    when = time.time() + 0.5
    trigger = ReuseTrigger(key=KEY, workspace=str(workspace.file), poll_interval=0.02, not_before=when)
    assert _event(trigger)["status"] == "recorded"
    assert time.time() >= when


def test_it_fires_when_the_holder_lets_go(workspace):
    lease = acquire_lease(workspace.store, KEY, "another", 60)
    trigger = ReuseTrigger(key=KEY, workspace=str(workspace.file), poll_interval=0.02)
    threading.Timer(0.2, lease.release).start()
    assert _event(trigger) == {"status": "free", "key": KEY}


def test_it_fires_when_the_holder_gives_no_sign_of_life(workspace):
    acquire_lease(workspace.store, KEY, "another", 0.2)
    assert (
        _event(ReuseTrigger(key=KEY, workspace=str(workspace.file), poll_interval=0.02))["status"] == "free"
    )


def test_it_leaves_the_event_loop_to_others_while_it_looks(monkeypatch):
    looking, answered = threading.Event(), threading.Event()

    def look(self):
        looking.set()
        return "free" if answered.wait(20) else "nobody else had a turn"

    monkeypatch.setattr(ReuseTrigger, "_look", look)

    async def both():
        async def answer():
            await asyncio.to_thread(looking.wait, 20)
            answered.set()

        other = asyncio.ensure_future(answer())
        found = [event.payload["status"] async for event in ReuseTrigger(key=KEY).run()]
        await other
        return found

    assert asyncio.run(asyncio.wait_for(both(), 30)) == ["free"]
