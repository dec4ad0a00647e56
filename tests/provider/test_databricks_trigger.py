"""The trigger that waits for runs of Databricks."""

import asyncio
import importlib

import pytest
from servers.databricks import Faults

from airflow_ml_pipelines.core.reuse.lease import acquire_lease, find_holder

pytestmark = [
    pytest.mark.filterwarnings("ignore:ProvidersManager"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of what the provider calls
]

KEY = "ab" * 32
SUBMIT = {
    "tasks": [
        {
            "task_key": "t",
            "notebook_task": {"notebook_path": "/Shared/n"},
            "new_cluster": {"spark_version": "x", "node_type_id": "m", "num_workers": 1},
        }
    ],
}


@pytest.fixture
def make(databricks, workspace, monkeypatch):
    from airflow_ml_pipelines.triggers.databricks import DatabricksRunTrigger

    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_TEST", databricks.connection())
    databricks.notebook("/Shared/n", "dbutils.notebook.exit('done')\n")
    run_id = databricks.runs.submit(SUBMIT)["run_id"]

    def made(**options):
        given = {"polling_period_seconds": 1, "retry_limit": 1, "forced": "the task was cleared", **options}
        return DatabricksRunTrigger(
            run_id=given.pop("run_id", run_id),
            databricks_conn_id="databricks_test",
            workspace=str(workspace.file),
            lease_key=KEY,
            owner="me",
            **given,
        )

    return made


def event(trigger):
    async def first():
        async for found in trigger.run():
            return found.payload
        return None

    return asyncio.run(asyncio.wait_for(first(), 120))


def test_it_is_made_again_from_what_it_serialises(make):
    path, arguments = make().serialize()
    module, _, name = path.rpartition(".")
    assert getattr(importlib.import_module(module), name)(**arguments).serialize() == (path, arguments)


def test_it_tells_the_end_of_a_run_and_keeps_the_lease(make, workspace, databricks):
    acquire_lease(workspace.store, KEY, "me", workspace.lease_seconds)
    told = event(make())
    assert told == {"status": "ended", "run_id": 1000, "forced": "the task was cleared"}
    assert find_holder(workspace.store, KEY) is not None


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (Faults(plan=[500] * 50), "500"),
        (Faults(plan=[429] * 50), "429"),
        (Faults(gone={1000}), "400"),
    ],
    ids=["500", "429", "gone"],
)
def test_a_run_that_it_can_not_see_is_given_back_to_the_task(make, databricks, faults, said):
    trigger = make()
    databricks.fail(faults)
    told = event(trigger)
    assert (told["status"], told["run_id"], told["forced"]) == ("unseen", 1000, "the task was cleared")
    assert said in told["error"]
