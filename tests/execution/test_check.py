"""The checker of a workspace: silent after runs, and it says what is not as it should be."""

import json
import os
import shutil
from datetime import datetime

import msgspec
import pytest
from project import made, step

from airflow_ml_pipelines.core.check import Finding, check_workspace
from airflow_ml_pipelines.core.publishing.dag_views import current_view, write_view
from airflow_ml_pipelines.core.publishing.drafts import create_draft
from airflow_ml_pipelines.core.publishing.endpoints import create_endpoint
from airflow_ml_pipelines.core.publishing.pinned import pin_pipeline
from airflow_ml_pipelines.core.publishing.published import publish, write_status
from airflow_ml_pipelines.core.publishing.recurrence import Recurrence
from airflow_ml_pipelines.core.publishing.schedules import create_schedule
from airflow_ml_pipelines.core.reuse.lease import acquire_lease
from airflow_ml_pipelines.core.spec import Data, Location, OutputSpec, PipelineSpec, RegisterSpec
from airflow_ml_pipelines.core.workspaces.registry import DatastoreSpec
from airflow_ml_pipelines.core.workspaces.workspace import Workspace


def findings(project, **options) -> list[Finding]:
    return list(check_workspace(project.workspace, **options))


def levels(project, **options) -> set[str]:
    return {finding.level for finding in findings(project, **options)}


def test_nothing_is_found_in_an_empty_workspace(project):
    assert findings(project) == []


def test_nothing_is_found_after_runs_of_every_kind(project):
    project.run()
    project.run(parameters={"word": "two"})
    project.run(regenerate_outputs=True)
    register = RegisterSpec(name="kept")
    first = msgspec.structs.replace(
        project.spec.steps[0], outputs=(OutputSpec(name="out", register=register),), allow_reuse=False
    )
    project.run(msgspec.structs.replace(project.spec, name="other", steps=(first,)))
    project.script("train", "import sys; sys.exit('it broke')")
    assert project.run().status == "Failed"
    environment = project.workspace.environment("AzureML-any")
    project.workspace.register_environment(msgspec.structs.replace(environment, name="mine"))
    assert findings(project) == []


def test_nothing_is_found_where_pipelines_are_published(project):
    store, pinned = project.workspace.store, pin_pipeline(project.workspace, project.spec)
    published = publish(project.workspace, pinned, name="words")
    write_status(store, published, "Disabled")
    create_draft(store, "next", pinned)
    create_endpoint(store, "latest words", published.id)
    hourly = Recurrence(frequency="Hour", interval=1, start=datetime.fromisoformat("2026-01-01T00:00"))
    create_schedule(store, "hourly", pipeline=published.id, experiment="words", recurrence=hourly)
    write_view(store, current_view(store))
    assert findings(project) == []


def one(project, pattern: str):
    """The one file under the root that matches."""
    (found,) = project.workspace.store.root.glob(pattern)
    return found


def edit(file, **fields):
    document = json.loads(file.read_text())
    file.write_text(json.dumps(document | fields))


def cut(file):
    file.write_bytes(file.read_bytes()[:-7])


TRAIN = "runs/pipe/r1/steps/train"


@pytest.fixture
def ran(project):
    assert project.run(run_id="r1").status == "Finished"
    project.record = next(
        path
        for path in project.workspace.store.root.glob("reuse/*/*.json")
        if json.loads(path.read_text())["origin"]["step"] == "train"
    )
    project.root = project.workspace.store.root
    return project


def move_record(project):
    target = project.record.with_name("0" * 64 + ".json")
    project.record.rename(target)


def forget(project, path):
    file = project.root / path
    shutil.rmtree(file) if file.is_dir() else file.unlink()


DATA = "data/workspaceblobstore/outputs/pipe/r1/train/1/out"
WRONG = {
    "a half-written record": (lambda p: cut(p.record), "broken", "is no JSON document"),
    "a record of another key": (move_record, "broken", "it is the record of another key"),
    "a record whose key document was changed": (
        lambda p: edit(p.record, document={"schema": 1}),
        "broken",
        "not the digest of its key document",
    ),
    "a record of a newer version": (lambda p: edit(p.record, schema=99), "note", "a newer version wrote it"),
    "an attempt without its record": (
        lambda p: forget(p, f"{TRAIN}/1/record.json"),
        "damaged",
        "has no record",
    ),
    "an attempt without its manifest": (
        lambda p: forget(p, f"{TRAIN}/1/manifests/out.json"),
        "damaged",
        "its manifest runs/pipe/r1/steps/train/1/manifests/out.json is not there",
    ),
    "a half-written manifest": (
        lambda p: cut(p.root / f"{TRAIN}/1/manifests/out.json"),
        "broken",
        "manifests/out.json",
    ),
    "an output that is gone": (lambda p: forget(p, DATA), "damaged", "out.txt is gone"),
    "an output that has changed": (
        lambda p: (p.root / DATA / "out.txt").write_text("data ONE"),
        "damaged",
        "out.txt has other content",
    ),
    "a half-written plan": (
        lambda p: cut(p.root / "runs/pipe/r1/plan.json"),
        "broken",
        "is no JSON document",
    ),
    "a run without a beginning": (
        lambda p: forget(p, "runs/pipe/r1/run.json"),
        "broken",
        "it has no run.json",
    ),
    "a run under another name": (
        lambda p: edit(p.root / "runs/pipe/r1/run.json", run="r2"),
        "broken",
        "it is run 'r2' of 'pipe'",
    ),
    "a plan of another pipeline": (
        lambda p: edit(p.root / "runs/pipe/r1/plan.json", steps=[]),
        "broken",
        "its steps are not those of run.json",
    ),
    "a run that finished without a step": (
        lambda p: forget(p, f"{TRAIN}.json"),
        "broken",
        "the run finished, and its step 'train' did not",
    ),
    "a step that runs after its run": (
        lambda p: edit(p.root / f"{TRAIN}.json", status="running"),
        "broken",
        "the step runs, and the run has ended as Finished",
    ),
    "a step without its attempt": (lambda p: forget(p, f"{TRAIN}/1"), "broken", "its attempt 1 is not there"),
    "a step without an output": (
        lambda p: edit(p.root / f"{TRAIN}.json", outputs={}),
        "broken",
        "step 'train' has no output out",
    ),
    "a step of another name": (
        lambda p: edit(p.root / f"{TRAIN}.json", step="report"),
        "broken",
        "it is of another step, 'report'",
    ),
    "a lease without a number": (
        lambda p: p.workspace.store.put(f"leases/ab/{'ab' * 32}/x.json", b"{}"),
        "broken",
        "it is no numbered lease",
    ),
    "a half-written lease": (
        lambda p: p.workspace.store.put(f"leases/ab/{'ab' * 32}/1.json", b"{"),
        "broken",
        "is no JSON document",
    ),
    "a half-written history": (lambda p: cut(p.root / "history/pipe/train.json"), "broken", "is no JSON"),
    "a damaged archive": (lambda p: cut(next(p.root.glob("snapshots/*.zip"))), "broken", "no whole archive"),
    "an archive without its list": (
        lambda p: next(p.root.glob("snapshots/*.json")).unlink(),
        "note",
        "its list is missing",
    ),
    "a list under another digest": (
        lambda p: shutil.copy(next(p.root.glob("snapshots/*.json")), p.root / f"snapshots/{'0' * 64}.json"),
        "broken",
        "it is the list of another snapshot",
    ),
    "a manifest under another digest": (
        lambda p: (
            shutil.copy(one(p, f"{TRAIN}/1/manifests/out.json"), p.root / "manifests/00.json")
            and p.workspace.store.put(
                f"manifests/00/{'00' * 32}.json", (p.root / "manifests/00.json").read_bytes()
            )
        ),
        "broken",
        "it is another manifest",
    ),
    "half-written defaults": (lambda p: p.workspace.store.put("defaults.json", b"{"), "broken", "no JSON"),
    "a half-written registration": (
        lambda p: p.workspace.store.put("datastores/lake.json", b'{"schema": 1'),
        "broken",
        "is no JSON document",
    ),
    "what a killed writer left": (
        lambda p: (p.root / "reuse/.~12-ab").write_text("half"),
        "note",
        "killed while it wrote",
    ),
    "a folder that is not ours": (
        lambda p: p.workspace.store.put("mine/file", b""),
        "note",
        "nothing that this version knows",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_it_says_what_is_wrong(what, ran):
    change, level, text = WRONG[what]
    change(ran)
    found = findings(ran)
    assert any(finding.level == level and text in str(finding) for finding in found), found
    if level == "note":
        assert {finding.level for finding in found} == {"note"}


def test_a_dataset_in_a_datastore_that_is_gone_is_named(project):
    data = Data(locations=(Location(datastore="lake", path="in"),))
    project.workspace.register_dataset("rows", data)
    (found,) = findings(project)
    assert (found.level, found.path) == ("damaged", "datasets/rows/1.json")
    assert "datastore 'lake' is no longer known" in found.text


def test_a_datastore_that_another_process_has_just_registered_is_known(project):
    assert findings(project) == []  # what is registered is taken for fresh for a while from here on
    other = Workspace(project.workspace.name, project.workspace.store.root)
    other.register_datastore(DatastoreSpec(name="lake", url=str(project.folder.parent / "lake")))
    other.register_dataset("rows", Data(locations=(Location(datastore="lake", path="in"),)))
    assert findings(project) == []


def test_what_a_killed_run_leaves_is_noted(ran):
    """A step that was running, a lease that nobody renews: nothing is broken, and the next run ends well."""
    for name in ("result.json", "steps/train.json", "steps/report.json"):
        forget(ran, f"runs/pipe/r1/{name}")
    key = json.loads(ran.record.read_text())["key"]
    document = {"schema": 1, "step": "train", "status": "running", "attempt": 1, "key": key, "started": 1.0}
    (ran.root / f"{TRAIN}.json").write_text(json.dumps(document))
    shutil.rmtree(ran.root / "leases")
    lease = acquire_lease(ran.workspace.store, key, "pipe/r1/train", 60)
    assert findings(ran) == []
    lease.document = msgspec.structs.replace(lease.document, seconds=-1)
    lease.beat()
    lost, running = sorted(findings(ran), key=lambda finding: finding.path)
    assert (lost.level, lost.path) == ("note", f"leases/{key[:2]}/{key}/1.json")
    assert "pipe/r1/train holds it and gives no sign of life" in lost.text
    assert (running.level, running.path) == ("note", f"{TRAIN}.json")
    assert "was running when its process was lost" in running.text
    assert ran.run().status == "Finished"


def test_files_that_are_told_by_their_versions_are_fine(project):
    first, *others = project.spec.steps
    source = first.inputs[0].source
    for fingerprint in ("etag", "content"):
        data = msgspec.structs.replace(source, locations=(*source.locations, Location(path="more")))
        project.workspace.datastore().put("more/b.txt", b"more")
        reads = msgspec.structs.replace(first.inputs[0], source=data, fingerprint=fingerprint)
        reading = msgspec.structs.replace(first, inputs=(reads,))
        spec = msgspec.structs.replace(project.spec, steps=(reading, *others))
        assert project.run(spec).status == "Finished"
    assert findings(project) == []


def test_data_is_compared_on_demand_alone(ran):
    forget(ran, DATA)
    assert levels(ran) == {"damaged"}
    assert levels(ran, data=False) == set()


def test_a_record_that_was_found_damaged_is_no_finding(ran):
    forget(ran, DATA)
    assert ran.run().status == "Finished"
    assert [finding for finding in findings(ran) if "reuse/" in finding.path] == []


def test_it_says_what_it_looks_at(project):
    told = []
    findings(project, on_progress=told.append)
    assert told[0] == "checking records"
    assert len(told) == 8


def test_steps_of_many_shapes_are_fine(project):
    names = [f"s{number}" for number in range(6)]
    for name in names:
        project.script(name, (project.folder / "train/train.py").read_text())
    steps = (project.spec.steps[0], *(step(name, made("prepare")) for name in names))
    project.run(PipelineSpec(name="a b/c: 数", base_directory=str(project.folder), steps=steps))
    assert findings(project) == []
    assert len(os.listdir(project.workspace.store.root / "runs")) == 1
