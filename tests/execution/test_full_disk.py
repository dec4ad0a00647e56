"""Runs whose store takes no more, at places where it matters what was written before."""

import re

import pytest
from project import Project

from airflow_ml_pipelines.core.check import check_workspace
from airflow_ml_pipelines.core.errors import StoreError
from airflow_ml_pipelines.core.stores.local_store import LocalStore


@pytest.fixture
def refuse(monkeypatch):
    """Let all writes fail from the first one on whose path matches a pattern, or those alone that match."""

    def install(pattern: str, *, stays: bool) -> None:
        full = []
        put = LocalStore.put

        def fail(self, path, data):
            if re.search(pattern, path):
                full.append(path)
            elif not full or not stays:
                return put(self, path, data)
            raise StoreError(f"{path} can't be written: No space left on device")

        monkeypatch.setattr(LocalStore, "put", fail)

    return install


def findings(project: Project) -> list[str]:
    return [str(found) for found in check_workspace(project.workspace) if found.level != "note"]


@pytest.mark.parametrize("pattern", ["history/pipe/train", r"leases/.*/1\.json"])
def test_what_no_result_depends_on_fails_no_step(pattern, project, refuse):
    refuse(pattern, stays=False)
    outcome = project.run()
    assert (outcome.status, outcome.errors) == ("Finished", {})
    assert findings(project) == []


def test_of_a_disk_that_stays_full_the_first_error_is_told_first(project, refuse, monkeypatch):
    project.workspace.lease_seconds = 1
    refuse(r"/1/manifests/out\.json", stays=True)
    with pytest.raises(StoreError) as caught:
        project.run()
    first, second = str(caught.value).splitlines()
    step = re.search(r"/steps/(\w+)/1/manifests/out.json can't be written", first)[
        1
    ]  # of those that ran at once
    assert second.startswith(f"nor can it be kept that step {step!r} failed: ")
    assert findings(project) == []
    monkeypatch.undo()
    assert project.run().status == "Finished"


def test_a_step_whose_failure_can_be_kept_has_failed_with_the_first_error(project, refuse):
    refuse(r"train/1/manifests/out\.json", stays=False)
    outcome = project.run()
    assert outcome.status == "Failed"
    assert "train/1/manifests/out.json can't be written" in outcome.steps["train"].error
