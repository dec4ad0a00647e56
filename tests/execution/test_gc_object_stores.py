"""Clean-up on object stores: what is marked, taken back and removed, and runs beside it.

A store's clock can't be set, so it is put forward here; what objects say of their age is what the server says.
"""

from __future__ import annotations

import json
import threading
import time

import pytest
from project import Project

from airflow_ml_pipelines.core.check import check_workspace
from airflow_ml_pipelines.core.gc import Policy, collect, undo
from airflow_ml_pipelines.core.keeping import tombstones
from airflow_ml_pipelines.core.keeping.pins import pin_run
from airflow_ml_pipelines.core.runs.folder import open_run
from airflow_ml_pipelines.core.stores.obstore_store import ObstoreStore
from airflow_ml_pipelines.core.workspaces.registry import DatastoreSpec
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

DAY = 24 * 3600.0
MONTH = Policy(older_than=30 * DAY)


class Far(Project):
    """A project whose workspace is on a server."""

    later = 0.0

    def gc(self, policy=MONTH):
        """Clean up; return how many of what something happened to."""
        return counts(collect(self.workspace, policy, delete=True))

    def marked(self):
        return sorted(path for path in self.paths("runs/") if path.endswith(f"/{tombstones.NAME}"))

    def paths(self, begin):
        return [info.path for info in self.workspace.store.walk() if info.path.startswith(begin)]

    def broken(self):
        # what it says of the lists of files on other stores is not about clean-up
        found = [str(found) for found in check_workspace(self.workspace) if found.level != "note"]
        return [text for text in found if "manifests/" not in text]


def counts(report):
    """Return how many of what something happened to; leases are always old where the clock is put forward."""
    return {key: tally.count for key, tally in sorted(report.tallies.items()) if key[1] != "lease"}


@pytest.fixture(params=["s3", "azurite", "gcs"])
def far(request, tmp_path, monkeypatch):
    server = request.getfixturevalue(request.param)
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AIRFLOW_CONN_SERVER", json.dumps(server.connection))
    url = f"{server.bucket('pipelines')}/{tmp_path.name}"
    project = Far(tmp_path, Workspace("far", DatastoreSpec("root", url, connection="server")))
    clock = ObstoreStore.clock
    monkeypatch.setattr(ObstoreStore, "clock", lambda store: clock(store) + project.later)
    project.run(run_id="r1")
    project.ran()
    return project


def test_what_is_old_is_marked_and_goes_after_the_grace(far):
    assert far.gc() == {}
    far.later = 40 * DAY
    assert far.gc() == {("mark", "result"): 3, ("mark", "run"): 1}
    assert len(far.marked()) == 4
    far.later = 46 * DAY
    assert far.gc() == {("wait", "result"): 3, ("wait", "run"): 1}
    far.later = 48 * DAY
    found = far.gc()
    assert found[("remove", "result")] == 3
    assert found[("remove", "run")] == 1
    assert far.broken() == []
    far.later = 60 * DAY
    far.gc()
    assert [path for path in far.paths("") if not path.startswith(("history/", "leases/"))] == [
        "data/workspaceblobstore/in/a.txt"
    ]


def test_a_removed_result_is_made_again(far):
    far.later = 40 * DAY
    far.gc()
    far.later = 48 * DAY
    far.gc()
    far.later = 0
    assert far.run().status == "Finished"
    assert far.ran() == ["prepare", "report", "train"]


def test_a_look_writes_nothing(far):
    before = {info.path: info.version for info in far.workspace.store.walk(unfinished=True)}
    assert counts(collect(far.workspace, Policy(older_than=0))) == {("mark", "result"): 3, ("mark", "run"): 1}
    assert {info.path: info.version for info in far.workspace.store.walk(unfinished=True)} == before


def test_undo_takes_back_what_has_not_gone(far):
    far.later = 40 * DAY
    far.gc()
    assert counts(undo(far.workspace)) == {("lift", "result"): 3, ("lift", "run"): 1}
    assert far.marked() == []
    far.gc()
    far.later = 48 * DAY
    assert counts(undo(far.workspace)) == {("wait", "result"): 3, ("wait", "run"): 1}


def test_a_run_takes_back_what_it_uses(far):
    far.later = 40 * DAY
    far.gc()
    again = far.run(run_id="r2")
    assert {document.status for document in again.steps.values()} == {"reused"}
    assert far.marked() == [f"runs/pipe/r1/{tombstones.NAME}"]
    far.later = 48 * DAY
    assert far.gc(Policy()) == {("lift", "run"): 1}
    assert far.broken() == []


def test_a_pinned_run_stays(far):
    pin_run(open_run(far.workspace.store, "r1"), "ann")
    far.later = 40 * DAY
    assert far.gc() == {}


def test_runs_beside_a_clean_up_that_wants_everything_end_well_or_say_why(far):
    """The worst there is: what is not in use at a moment is marked without a grace, and goes with the next clean-up."""
    ended = threading.Event()
    errors, removed = [], []

    def clean():
        workspace = Workspace("far", far.workspace.root)  # of a process of its own
        try:
            while not ended.is_set():
                report = collect(workspace, Policy(older_than=0, grace=-60), delete=True)
                removed.append(report.tally("remove", "result").count)
        except BaseException as error:  # noqa: BLE001 - the test's own thread tells it
            errors.append(error)

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    try:
        runs = []
        while len(runs) < 4 or (not sum(removed) and not errors and len(runs) < 60):
            runs.append(far.run(parameters={"word": ("one", "two")[len(runs) % 2]}))
            # on a slow server runs come between mark and removal for ever: from now on they wait for a few clean-ups
            if len(runs) >= 4 and not sum(removed):
                rounds = len(removed) + 3
                while len(removed) < rounds and not errors:
                    time.sleep(0.05)
    finally:
        ended.set()
        cleaner.join(120)
    assert errors == []
    assert sum(removed) > 0
    for run in runs:
        said = [step.error for step in run.steps.values() if step.error is not None]
        assert all("removed by `ml-pipelines gc`" in error for error in said), said
        assert run.status == ("Failed" if said else "Finished")
    assert far.run().status == "Finished"
    assert far.broken() == []
