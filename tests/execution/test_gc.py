"""Clean-up: what it marks, what it removes, and what it never touches."""

import itertools
import json
import os
import random
import shutil
import sqlite3
import threading
import time
from datetime import UTC, datetime

import msgspec
import pytest
from project import Project, made, step

from airflow_ml_pipelines.core.check import check_workspace
from airflow_ml_pipelines.core.documents import write_document
from airflow_ml_pipelines.core.errors import DataError, NewerDocumentError, StoreError, WorkspaceError
from airflow_ml_pipelines.core.gc import Policy, Tally, collect, undo
from airflow_ml_pipelines.core.gc.ledger import Ledger
from airflow_ml_pipelines.core.keeping import fresh, tombstones
from airflow_ml_pipelines.core.keeping.pins import find_pins, pin_run, unpin_run
from airflow_ml_pipelines.core.progress import told_to
from airflow_ml_pipelines.core.publishing.dag_views import current_view
from airflow_ml_pipelines.core.publishing.drafts import change_draft, create_draft
from airflow_ml_pipelines.core.publishing.endpoints import create_endpoint
from airflow_ml_pipelines.core.publishing.pinned import pin_pipeline
from airflow_ml_pipelines.core.publishing.published import publish, read_published, write_status
from airflow_ml_pipelines.core.publishing.recurrence import Recurrence
from airflow_ml_pipelines.core.publishing.schedules import create_schedule
from airflow_ml_pipelines.core.reuse.lease import acquire_lease
from airflow_ml_pipelines.core.runs.folder import RunFolder, open_run
from airflow_ml_pipelines.core.spec import Data, Location, OutputSpec, RegisterSpec
from airflow_ml_pipelines.core.steps.decide import decide, open_step
from airflow_ml_pipelines.core.steps.snapshot import take_snapshot
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.step import run_step

DAY = 24 * 3600.0
MONTH = Policy(older_than=30 * DAY)
ALL = ["prepare", "report", "train"]


class Shop(Project):
    """A project whose past can be made."""

    damaged = False

    @property
    def root(self):
        return self.workspace.store.root

    @property
    def data(self):
        return self.workspace.datastore().root

    def age(self, days: float, *places: str) -> None:
        """Let time pass for all files, or for those in some places."""
        for place in places or ("",):
            for path in [self.root / place, *(self.root / place).rglob("*")]:
                if path.is_file():
                    when = path.stat().st_mtime - days * DAY
                    os.utime(path, (when, when))

    def wait(self, days: float) -> None:
        """Let time pass, for tombstones as well."""
        self.age(days)
        for file in self.root.rglob(tombstones.NAME):
            found = json.loads(file.read_text())
            when = file.stat().st_mtime
            for name in ("placed", "until"):
                found[name] -= days * DAY
            file.write_text(json.dumps(found))
            os.utime(file, (when, when))

    def gc(self, policy: Policy = MONTH, **options):
        """Clean up; return how many of what something happened to."""
        report = collect(self.workspace, policy, delete=True, **options)
        assert "broken" not in {finding.level for finding in check_workspace(self.workspace, data=False)}
        assert self.damaged or self.findings() == []
        return counts(report)

    def findings(self):
        return [str(finding) for finding in check_workspace(self.workspace) if finding.level != "note"]

    def output(self, run: str, step: str) -> str:
        (output,) = RunFolder(self.workspace.store, "pipe", run).read_step(step).outputs.values()
        return (self.workspace.datastore(output.datastore).root / output.path / "out.txt").read_text()

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file()
        }


def counts(report) -> dict[tuple[str, str], int]:
    return {key: tally.count for key, tally in sorted(report.tallies.items())}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    shop = Shop(tmp_path)
    shop.run(run_id="r1")
    shop.ran()
    return shop


# --- what is marked ----------------------------------------------------------------------------------------------


def test_what_has_a_name_stays_without_an_age(shop):
    shop.run(regenerate_outputs=True)
    shop.run(parameters={"word": "two"})
    shop.wait(400)
    assert {key for key in shop.gc(Policy()) if key[1] != "lease"} == set()
    assert shop.run().status == "Finished"
    assert len(shop.ran()) == 4


def test_a_dry_run_writes_nothing_and_says_what_would_be_done(shop):
    shop.wait(40)
    before = shop.files()
    items = []
    report = collect(shop.workspace, MONTH, on_item=items.append)
    assert shop.files() == before
    assert counts(report) == {("mark", "result"): 3, ("mark", "run"): 1, ("remove", "lease"): 3}
    assert report.tally("mark", "result").size == 5 + 5 + 8
    first = items[0]
    assert (first.path, first.size, first.reason) == (
        "runs/pipe/r1/steps/prepare/1",
        5,
        "not used for 40 days",
    )
    assert counts(collect(shop.workspace, MONTH, delete=True)) == counts(report)


def test_what_is_old_is_marked_and_removed_after_the_grace(shop):
    shop.wait(40)
    assert shop.gc() == {("mark", "result"): 3, ("mark", "run"): 1, ("remove", "lease"): 3}
    shop.wait(6)
    assert shop.gc() == {("wait", "result"): 3, ("wait", "run"): 1}
    shop.wait(2)
    assert shop.gc()[("remove", "result")] == 3
    shop.wait(8)
    shop.gc()
    kept = {path for path in shop.files() if not path.startswith(("data/", "history/"))}
    assert kept == {path for path in kept if path.startswith("leases/")}  # that of the clean-up itself
    assert not (shop.data / "outputs/pipe/r1").exists()
    assert (shop.data / "in/a.txt").exists()
    again = shop.run(run_id="r2")
    assert (again.status, shop.ran()) == ("Finished", ALL)
    assert "no longer" in again.steps["prepare"].reasons[0] or "is left" in again.steps["prepare"].reasons[0]
    assert shop.output("r2", "train") == "data one"


def test_a_later_clean_up_without_an_age_removes_what_was_marked(shop):
    shop.wait(40)
    shop.gc()
    shop.wait(8)
    assert shop.gc(Policy())[("remove", "run")] == 1


def test_a_result_that_was_taken_lately_is_not_old(shop):
    shop.run(run_id="other", parameters={"word": "two"})
    shop.wait(40)
    assert shop.run(run_id="r2").steps["train"].status == "reused"
    assert shop.gc() == {("mark", "result"): 1, ("mark", "run"): 1, ("remove", "lease"): 4}
    assert not (shop.root / "runs/pipe/r1/tombstone.json").exists()
    assert (shop.root / "runs/pipe/other/tombstone.json").exists()


def test_of_too_much_data_the_least_recently_used_goes_first(shop):
    for number, word in enumerate(("two", "three", "four")):
        shop.run(run_id=word, parameters={"word": word})
        shop.age(9 - number, f"runs/pipe/{word}")
    shop.age(20, "reuse", "runs/pipe/r1")
    shop.run(run_id="again", parameters={"word": "one"})  # so r1's is the latest but for what is used by all
    items = []
    collect(shop.workspace, Policy(keep_size=5 + 5 + 9 + 8), delete=True, on_item=items.append)
    assert [(item.path, item.reason) for item in items if item.action == "mark"] == [
        ("runs/pipe/two/steps/train/1", "used least recently, 9 days ago"),
        ("runs/pipe/three/steps/train/1", "used least recently, 8 days ago"),
    ]
    assert shop.gc(Policy(keep_size=5 + 5 + 9 + 8)) == {("wait", "result"): 2}
    shop.wait(8)
    assert shop.gc(Policy(keep_size=10**6))[("remove", "result")] == 2
    assert shop.output("four", "train") == "data four"
    assert (
        shop.root / "runs/pipe/two/steps/train/1/logs/stdout.txt"
    ).exists()  # logs stay as long as the run


def test_data_of_an_attempt_that_failed_goes_and_its_logs_stay(shop):
    shop.script("train", "import sys; open(sys.argv[2] + '/half', 'w').write('half'); sys.exit('it broke')")
    assert shop.run(run_id="bad").status == "Failed"
    assert (shop.data / "outputs/pipe/bad/train/1/out/half").exists()
    assert shop.gc(Policy()) == {("mark", "result"): 1}
    shop.wait(8)
    assert shop.gc(Policy())[("remove", "result")] == 1
    assert not (shop.data / "outputs/pipe/bad/train/1").exists()
    assert "it broke" in (shop.root / "runs/pipe/bad/steps/train/1/logs/stderr.txt").read_text()
    assert shop.gc(Policy()) == {}


def test_an_attempt_that_was_made_again_goes(shop):
    folder = RunFolder(shop.workspace.store, "pipe", "r1")
    context = open_step(shop.workspace, folder, "train")
    run_step(context, decide(context, forced="the task was cleared"))
    assert shop.gc(Policy()) == {("mark", "result"): 1}
    assert (shop.root / "runs/pipe/r1/steps/train/1/tombstone.json").exists()
    assert folder.read_step("train").attempt == 2


def test_a_step_that_is_never_reused_keeps_its_data_as_long_as_its_run(shop):
    spec = msgspec.structs.replace(
        shop.spec, steps=tuple(msgspec.structs.replace(s, allow_reuse=False) for s in shop.spec.steps)
    )
    shop.run(spec, run_id="never")
    assert shop.gc(Policy()) == {}
    shop.wait(40)
    shop.gc()
    assert (shop.root / "runs/pipe/never/steps/train/1/tombstone.json").exists()


@pytest.mark.parametrize("path", ["results/fixed", "results/{run-id}", "outputs/mine"])
def test_a_destination_that_the_user_named_is_never_removed(path, shop):
    first = msgspec.structs.replace(shop.spec.steps[0], outputs=(OutputSpec(name="out", path=path),))
    shop.run(msgspec.structs.replace(shop.spec, name="named", steps=(first,)), run_id="n")
    shop.wait(40)
    shop.gc()
    shop.wait(8)
    assert shop.gc()[("remove", "run")] == 2
    left = [str(file.relative_to(shop.data)) for file in shop.data.rglob("out.txt")]
    assert left == [f"{path.replace('{run-id}', 'named.n.prepare.1')}/out.txt"]


# --- what is kept ------------------------------------------------------------------------------------------------


def test_a_pinned_run_is_kept_with_all_that_it_took(shop):
    shop.run(run_id="r2", parameters={"word": "two"})  # whose other steps are those of r1
    pin = pin_run(open_run(shop.workspace.store, "r2"), "ann")
    assert list(find_pins(shop.workspace.store)) == [pin]
    shop.wait(40)
    assert shop.gc()[("mark", "result")] == 1  # train of r1
    assert ("mark", "run") not in shop.gc()
    unpin_run(open_run(shop.workspace.store, "r2"))
    assert shop.gc()[("mark", "result")] == 3
    with pytest.raises(WorkspaceError, match=r"run 'r2' of 'pipe' is not pinned. There are: none"):
        unpin_run(open_run(shop.workspace.store, "r2"))


def test_a_pin_takes_tombstones_back(shop):
    shop.wait(40)
    shop.gc()
    pin_run(open_run(shop.workspace.store, "r1"), "ann")
    assert list(shop.root.rglob(tombstones.NAME)) == []
    assert shop.gc() == {}


def test_a_pin_that_comes_too_late_says_so(shop):
    shop.wait(40)
    shop.gc()
    shop.wait(8)
    with pytest.raises(WorkspaceError, match="run 'r1' is pinned, and not all of it is there any more"):
        pin_run(open_run(shop.workspace.store, "r1"), "ann")


@pytest.mark.parametrize(
    "path",
    [
        "outputs/pipe/r1/train/1/out",
        "/outputs/pipe/r1/train/1/out/out.txt",
        "outputs/pipe/r1/train/1",
        "outputs/pipe/r1/*/1/out/*.txt",
        "outputs/pipe",
        "**/out.txt",
    ],
)
def test_data_of_a_registered_dataset_is_kept(path, shop):
    data = Data(locations=(Location(datastore="workspaceblobstore", path=path),))
    shop.workspace.register_dataset("rows", data)
    shop.wait(40)
    marked = shop.gc()[("mark", "result")] if "train" in path else 0
    assert marked in (0, 2)
    assert not (shop.root / "runs/pipe/r1/steps/train/1/tombstone.json").exists()
    assert not (shop.root / "runs/pipe/r1/tombstone.json").exists()


def test_a_dataset_elsewhere_keeps_nothing(shop):
    for path in ("in", "outputs/pipe/r10", "outputs/pipe/r1/train/10", "outputs2"):
        shop.workspace.register_dataset(
            path.replace("/", "-"), Data(locations=(Location(datastore="workspaceblobstore", path=path),))
        )
    shop.wait(40)
    assert shop.gc()[("mark", "result")] == 3


def test_a_dataset_that_a_marked_result_becomes_takes_the_tombstone_back(shop):
    shop.wait(40)
    shop.gc()
    data = Data(locations=(Location(datastore="workspaceblobstore", path="outputs/pipe/r1/train/1/out"),))
    shop.workspace.register_dataset("rows", data)
    shop.wait(8)
    assert shop.gc()[("remove", "result")] == 2
    assert shop.output("r1", "train") == "data one"


def test_a_dataset_of_data_that_is_being_removed_is_refused(shop):
    shop.wait(40)
    shop.gc()
    shop.wait(8)
    data = Data(locations=(Location(datastore="workspaceblobstore", path="outputs/pipe/r1/train/1/out"),))
    with pytest.raises(WorkspaceError, match=r"dataset 'rows' can't be registered: its data is removed by"):
        shop.workspace.register_dataset("rows", data)
    assert dict(shop.workspace.datasets()) == {}


@pytest.mark.parametrize("keep", ["publish", "draft"])
def test_snapshots_of_published_pipelines_and_drafts_are_kept(keep, shop):
    pinned = pin_pipeline(shop.workspace, shop.spec)
    if keep == "publish":
        publish(shop.workspace, pinned, name="words")
    else:
        create_draft(shop.workspace.store, "words", pinned)
    for days in (40, 8, 8):
        shop.wait(days)
        shop.gc()
    assert len(list(shop.root.glob("snapshots/*.zip"))) == 3
    assert shop.run(pinned, run_id="again").status == "Finished"


def clean(shop, days):
    """Let time pass, and clean up; return the number of snapshots that are left."""
    shop.wait(days)
    shop.gc()
    return len(list(shop.root.glob("snapshots/*.zip")))


def test_of_a_published_pipeline_that_was_deleted_nothing_is_kept_after_a_week(shop):
    document = publish(shop.workspace, pin_pipeline(shop.workspace, shop.spec))
    for days in (40, 8, 8):
        assert clean(shop, days) == 3
    write_status(shop.workspace.store, document, "Deleted")
    assert clean(shop, 6) == 3  # a run may be waiting to be planned
    assert clean(shop, 2) == 0


@pytest.mark.parametrize("status", ["Active", "Disabled"])
def test_a_published_pipeline_that_was_not_deleted_keeps_its_snapshots(status, shop):
    document = publish(shop.workspace, pin_pipeline(shop.workspace, shop.spec))
    write_status(shop.workspace.store, document, status)
    assert [clean(shop, days) for days in (40, 8, 8)] == [3, 3, 3]


def test_runs_of_a_published_pipeline_that_was_deleted_keep_their_snapshots(shop):
    document = publish(shop.workspace, pin_pipeline(shop.workspace, shop.spec))
    shop.run(document.spec, run_id="published")
    pin_run(open_run(shop.workspace.store, "published"), "ann")
    write_status(shop.workspace.store, document, "Deleted")
    assert [clean(shop, days) for days in (40, 8, 8)] == [3, 3, 3]
    assert shop.output("r1", "train") == "data one"


def submit(shop):
    """Return the document of what is submitted to a server."""
    return publish(shop.workspace, pin_pipeline(shop.workspace, shop.spec), submitted=True)


def shown_to_airflow(shop):
    return sorted(current_view(shop.workspace.store).dags)


def test_what_was_submitted_goes_when_it_is_old_and_its_runs_are_gone(shop):
    document = submit(shop)
    shop.run(document.spec, run_id="submitted")
    shop.wait(40)
    assert ("remove", "submitted pipeline") not in shop.gc()  # its run was marked just now
    shop.wait(8)
    assert shop.gc()[("remove", "submitted pipeline")] == 1
    assert shown_to_airflow(shop) == []
    assert clean(shop, 8) == 0
    again = submit(shop)
    assert again.id == "pipe.submitted.2"  # never an id that old runs of Airflow have
    assert shown_to_airflow(shop) == [again.id]
    assert shop.run(again.spec, run_id="again").status == "Finished"


def test_of_what_was_submitted_only_the_last_document_stays(shop):
    for number in range(3):
        shop.script("train", f"print({number})")
        submit(shop)
    shop.wait(40)
    assert shop.gc()[("remove", "submitted pipeline")] == 3
    assert ("remove", "submitted pipeline") not in shop.gc()
    (folder,) = shop.root.glob("pipelines/*")
    assert sorted(path.name for path in folder.iterdir()) == ["3.json", "3.status.json"]
    assert submit(shop).number == 4


def test_a_pin_keeps_what_was_submitted(shop):
    document = submit(shop)
    shop.run(document.spec, run_id="submitted")
    pin_run(open_run(shop.workspace.store, "submitted"), "ann")
    for days in (40, 8, 8):
        assert clean(shop, days) == 3
    assert shown_to_airflow(shop) == [document.id]


@pytest.mark.parametrize(
    ("policy", "days"), [(Policy(), 60), (Policy(keep_size=0), 60), (Policy(older_than=60), 6)]
)
def test_what_was_submitted_stays_without_an_age_and_for_a_week(policy, days, shop):
    document = submit(shop)
    shop.wait(days)
    shop.gc(policy)
    assert shown_to_airflow(shop) == [document.id]
    assert len(list(shop.root.glob("snapshots/*.zip"))) == 3


def test_what_an_endpoint_or_a_schedule_runs_stays_though_it_was_only_submitted(shop):
    store, documents = shop.workspace.store, []
    for number in range(3):
        shop.script("train", f"print({number})")
        documents.append(submit(shop).id)
    create_endpoint(store, "words", documents[0])
    hourly = Recurrence(frequency="Hour", interval=1, start=datetime(2026, 1, 1, tzinfo=UTC))
    create_schedule(store, "hourly", pipeline=documents[1], experiment="words", recurrence=hourly)
    shop.wait(40)
    assert shop.gc()[("remove", "submitted pipeline")] == 1
    assert [read_published(store, identity).id for identity in documents[:2]] == documents[:2]
    with pytest.raises(WorkspaceError, match="was deleted"):
        read_published(store, documents[2])


def test_a_dry_run_says_what_was_submitted_and_leaves_it(shop):
    submit(shop)
    shop.wait(40)
    before = shop.files()
    assert counts(collect(shop.workspace, MONTH))[("remove", "submitted pipeline")] == 1
    assert shop.files() == before


def test_of_a_draft_the_last_state_counts(shop):
    first = create_draft(shop.workspace.store, "words", pin_pipeline(shop.workspace, shop.spec))
    assert [clean(shop, days) for days in (40, 8, 8)] == [3, 3, 3]
    shop.script("train", "print('another')")
    another = pin_pipeline(shop.workspace, shop.spec)
    change_draft(shop.workspace.store, first.id, lambda last: msgspec.structs.replace(last, spec=another))
    assert clean(shop, 6) == 4
    assert clean(shop, 2) == 3
    change_draft(shop.workspace.store, first.id, lambda last: msgspec.structs.replace(last, deleted=True))
    assert clean(shop, 6) == 3
    assert clean(shop, 2) == 0


def test_snapshots_that_nothing_names_go(shop):
    for name in ALL:
        shop.script(name, (shop.folder / f"{name}/{name}.py").read_text() + "\n#")
    shop.run(run_id="changed")
    shop.age(40, "runs/pipe/r1", "snapshots", "manifests", "reuse")
    assert ("remove", "snapshot") not in shop.gc()  # those of r1: it is marked
    shop.wait(8)
    assert ("remove", "snapshot") not in shop.gc()  # it was named until just now
    assert shop.gc()[("remove", "snapshot")] == 6
    assert shop.run().status == "Finished"


def test_a_snapshot_that_is_taken_again_is_written_anew(shop):
    shop.age(40, "snapshots")
    shop.run(regenerate_outputs=True)
    times = [file.stat().st_mtime for file in shop.root.glob("snapshots/*")]
    assert len(times) == 6
    assert min(times) > time.time() - DAY


@pytest.mark.parametrize("moment", ["info", "delete"])
def test_a_snapshot_that_is_taken_again_in_the_moment_of_its_removal_is_there(moment, shop, monkeypatch):
    for folder in ("runs", "reuse"):
        shutil.rmtree(shop.root / folder)
    shop.wait(40)
    digest = take_snapshot(shop.folder / "train", cache=shop.workspace.stat_cache).digest
    archive = shop.root / f"snapshots/{digest}.zip"
    old = archive.stat().st_mtime
    store = type(shop.workspace.store)
    work = getattr(store, moment)
    takers = []

    def beside(self, path):
        """Let somebody take the snapshot just before gc goes on, as far as that one comes."""
        found = work(self, path) if moment == "info" else None
        on_its_way = (
            threading.current_thread() is threading.main_thread() and path == f"snapshots/{digest}.zip"
        )
        if on_its_way and not takers:
            taker = threading.Thread(
                target=lambda: take_snapshot(shop.folder / "train", cache=shop.workspace.stat_cache).publish(
                    shop.workspace.store
                )
            )
            takers.append(taker)
            taker.start()
            while archive.stat().st_mtime == old and taker.is_alive():
                time.sleep(0.01)
            time.sleep(0.1)  # it may look at more
        return found if moment == "info" else work(self, path)

    monkeypatch.setattr(store, moment, beside)
    report = collect(shop.workspace, delete=True)
    (taker,) = takers
    taker.join(60)
    assert report.tally("remove", "snapshot").count >= 4
    assert archive.exists()
    assert archive.with_suffix(".json").exists()
    assert not (shop.root / "removing.json").exists()
    assert shop.findings() == []


def test_a_clean_up_that_was_killed_holds_nobody_up_for_long(shop, monkeypatch):
    shop.age(40, "snapshots")
    store = shop.workspace.store
    path = f"snapshots/{take_snapshot(shop.folder / 'train', cache=shop.workspace.stat_cache).digest}.zip"
    store.put(fresh.REMOVING, write_document(fresh.RemovalDocument(paths=(path,))))
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        shop.age(1 / 24 / 60, fresh.REMOVING)

    monkeypatch.setattr(fresh.time, "sleep", sleep)
    assert fresh.freshen(store, path)
    assert len(pauses) == 2
    assert (shop.root / path).stat().st_mtime > time.time() - 60


def test_a_clean_up_that_is_slow_leaves_the_rest_to_the_next(shop, monkeypatch):
    for folder in ("runs", "reuse"):
        shutil.rmtree(shop.root / folder)
    shop.wait(40)
    with monkeypatch.context() as patch:
        patch.setattr(fresh, "_REMOVAL_SECONDS", -1)
        assert shop.gc() == {}
    assert shop.gc()[("remove", "snapshot")] == 6


def test_a_run_that_goes_on_keeps_what_it_uses(shop):
    shop.run(run_id="on")
    (shop.root / "runs/pipe/on/result.json").unlink()
    plan = json.loads((shop.root / "runs/pipe/on/plan.json").read_text())
    plan["steps"][2]["decision"] = "run"  # of the three one is still to come
    plan["steps"][2]["archive"] = f"snapshots/{plan['steps'][2]['snapshot']}.zip"
    (shop.root / "runs/pipe/on/plan.json").write_text(json.dumps(plan))
    shop.age(40, "reuse", "runs/pipe/r1")
    shop.age(5, "runs/pipe/on")
    short = Policy(older_than=DAY)
    assert shop.gc(short) == {("mark", "result"): 1}  # report, which it has not taken
    shop.age(3, "runs/pipe/on")  # it is lost
    assert shop.gc(short)[("mark", "result")] == 2


def test_a_run_whose_script_holds_a_lease_goes_on_however_long(shop):
    store = shop.workspace.store
    folder = RunFolder(store, "pipe", "r1")
    running = msgspec.structs.replace(folder.read_step("train"), status="running", outputs={})
    (shop.root / "runs/pipe/r1/result.json").unlink()
    folder.write_step(running)
    shop.wait(100)
    acquire_lease(store, running.key, "pipe/r1/train", 60)
    assert ("mark", "result") not in shop.gc()
    shop.age(2, "leases")
    assert shop.gc()[("mark", "result")] == 3


def test_a_script_whose_result_has_no_key_holds_a_lease_too(shop):
    shop.script("train", "import pathlib, sys; (pathlib.Path(sys.argv[2]) / 'out.txt').write_text('x')")
    (train,) = (msgspec.structs.replace(s, allow_reuse=False) for s in shop.spec.steps if s.id == "train")
    spec = msgspec.structs.replace(shop.spec, name="never", steps=(shop.spec.steps[0], train))
    before = {path for path in shop.files() if path.startswith("leases/")}
    shop.run(spec)
    (lease,) = {path for path in shop.files() if path.startswith("leases/")} - before
    assert json.loads((shop.root / lease).read_text())["released"] is True


# --- taking back -------------------------------------------------------------------------------------------------


def test_a_marked_result_that_is_taken_again_is_marked_no_more(shop):
    shop.wait(40)
    shop.gc()
    again = shop.run(run_id="r2")
    assert {document.status for document in again.steps.values()} == {"reused"}
    assert list(shop.root.glob("runs/pipe/r1/steps/*/1/tombstone.json")) == []
    shop.wait(8)
    assert shop.gc() == {("lift", "run"): 1}
    assert shop.output("r2", "train") == "data one"


def test_a_result_whose_time_has_come_is_a_miss_and_is_made_again(shop):
    shop.wait(40)
    shop.gc()
    shop.wait(8)
    again = shop.run(run_id="r2")
    assert {document.status for document in again.steps.values()} == {"finished"}
    assert shop.ran() == ALL
    assert shop.gc()[("remove", "result")] == 3
    assert shop.output("r2", "train") == "data one"
    assert {document.status for document in shop.run().steps.values()} == {"reused"}


def test_a_step_that_decides_later_takes_its_tombstone_back_too(shop):
    """A step behind one that runs is decided on the way, by itself."""
    shop.wait(40)
    shop.gc()
    shutil.rmtree(shop.data / "outputs/pipe/r1/prepare")
    again = shop.run(run_id="r2")
    assert [again.steps[name].status for name in ALL] == ["finished", "reused", "reused"]
    assert not (shop.root / "runs/pipe/r1/steps/train/1/tombstone.json").exists()
    assert (shop.root / "runs/pipe/r1/steps/prepare/1/tombstone.json").exists()


def test_a_registered_output_that_is_taken_again_keeps_its_data(shop):
    register = OutputSpec(name="out", register=RegisterSpec(name="kept"))
    first = msgspec.structs.replace(shop.spec.steps[0], outputs=(register,))
    spec = msgspec.structs.replace(shop.spec, name="named", steps=(first,))
    shop.run(spec, run_id="n1")
    shutil.rmtree(shop.root / "datasets")
    shop.wait(40)
    shop.gc()
    shop.wait(8)
    assert shop.run(spec, run_id="n2").steps["prepare"].status == "finished"
    assert shop.gc()[("remove", "result")] == 3
    (location,) = shop.workspace.dataset("kept").data.locations
    assert (shop.data / location.path / "out.txt").read_text() == "data "


def test_a_step_of_an_old_run_does_not_read_what_was_removed(shop):
    (shop.root / "runs/pipe/r1/result.json").unlink()  # as on a scheduler
    shop.age(40, "reuse", "runs")
    shop.gc(Policy(older_than=30 * DAY, grace=-60))
    context = open_step(shop.workspace, RunFolder(shop.workspace.store, "pipe", "r1"), "train")
    with pytest.raises(DataError, match=r"run 'r1' of 'pipe' is being removed"):
        run_step(context, decide(context, forced="the task was cleared"))
    (shop.root / "runs/pipe/r1/tombstone.json").unlink()
    for _ in range(2):  # before and after it was removed
        context = open_step(shop.workspace, RunFolder(shop.workspace.store, "pipe", "r1"), "train")
        with pytest.raises(
            DataError, match=r"input 'data' of step 'Train': its data was removed by `ml-pipelines gc`"
        ):
            run_step(context, decide(context, forced="the task was cleared"))
        shop.age(40, "runs/pipe/r1")
        shop.gc(Policy())
    assert shop.ran() == []


def test_undo_takes_back_what_has_not_gone(shop):
    shop.wait(40)
    before = shop.gc()
    assert before[("mark", "result")] == 3
    assert counts(undo(shop.workspace)) == {("lift", "result"): 3, ("lift", "run"): 1}
    assert list(shop.root.rglob(tombstones.NAME)) == []
    shop.gc()
    shop.wait(8)
    assert counts(undo(shop.workspace)) == {("wait", "result"): 3, ("wait", "run"): 1}
    assert shop.gc()[("remove", "result")] == 3
    assert counts(undo(shop.workspace)) == {}


def test_a_file_of_a_script_that_is_called_like_a_tombstone_is_none(shop):
    file = shop.root / "runs/pipe/r1/steps/train/1/outputs/tombstone.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text("R.I.P.")
    assert counts(undo(shop.workspace)) == {}
    shop.age(40)
    assert shop.gc()[("mark", "run")] == 1
    assert counts(undo(shop.workspace)) == {("lift", "result"): 3, ("lift", "run"): 1}


@pytest.mark.parametrize("seed", range(3))
def test_it_makes_no_difference_in_which_order_a_store_lists(seed, shop, monkeypatch):
    for word in ("two", "three"):
        shop.run(run_id=word, parameters={"word": word})
    shop.wait(40)
    shop.run(run_id="r2")
    (shop.root / "runs/pipe/two/result.json").unlink()
    shop.age(-39, "runs/pipe/two")
    expected = []
    collect(shop.workspace, MONTH, on_item=expected.append)
    store = type(shop.workspace.store)
    walk = store.walk

    def shuffled(self, path="", **options):
        found = list(walk(self, path, **options))
        random.Random(seed).shuffle(found)
        return iter(found)

    monkeypatch.setattr(store, "walk", shuffled)
    found = []
    collect(shop.workspace, MONTH, on_item=found.append)

    def plain(items):
        return sorted((item.action, item.kind, item.path, item.size) for item in items)

    assert plain(found) == plain(expected)
    assert {item.kind for item in found} == {"result", "run", "lease"}


# --- on the way --------------------------------------------------------------------------------------------------


def test_a_removal_that_was_interrupted_goes_on(shop, monkeypatch):
    """Wherever a clean-up is cut off, nothing is broken, runs are right, and the next one ends the work."""
    shop.wait(40)
    shop.gc()
    shop.wait(8)
    template = shop.folder / "template"
    shutil.copytree(shop.root, template)
    store = type(shop.workspace.store)
    for cut in range(200):
        shutil.rmtree(shop.root)
        shutil.copytree(template, shop.root)
        left = [cut]

        def cut_off(work, left=left):
            def write(self, *arguments, **options):
                left[0] -= 1
                if left[0] < 0:
                    raise StoreError("cut off")
                return work(self, *arguments, **options)

            return write

        with monkeypatch.context() as patch:
            for name in ("put", "delete", "remove", "create"):
                patch.setattr(store, name, cut_off(getattr(store, name)))
            try:
                collect(shop.workspace, MONTH, delete=True)
            except StoreError:
                ended = False
            else:
                ended = True
        assert shop.findings() == [], cut
        if cut % 7 == 0 or ended:
            number = f"n{cut}"
            assert shop.run(run_id=number).status == "Finished"
            assert shop.output(number, "train") == "data one"
        if ended:
            break
        shutil.rmtree(shop.root / "leases", ignore_errors=True)
        shop.gc()
        assert not [path for path in shop.files() if path.startswith("runs/pipe/r1/")]
    assert cut > 20


def test_two_clean_ups_do_not_meet(shop):
    from airflow_ml_pipelines.core import gc

    acquire_lease(shop.workspace.store, gc._KEY, "ann@there", 60)
    with pytest.raises(StoreError, match=r"ann@there on .* is cleaning .* up at this moment"):
        shop.gc()
    assert counts(collect(shop.workspace)) == {}  # to look is free


@pytest.mark.parametrize(
    "name", ["reuse/*/*.json", "runs/pipe/r1/plan.json", "runs/pipe/r1/steps/train.json"]
)
def test_what_a_newer_version_wrote_ends_it(name, shop):
    file = next(iter(shop.root.glob(name)))
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema": 99}))
    shop.wait(40)
    before = shop.files()
    with pytest.raises(
        NewerDocumentError, match="nothing can be removed, since it is not known what is needed"
    ):
        collect(shop.workspace, MONTH, delete=True)
    left = shop.files()
    assert before.items() <= left.items()


def test_what_killed_writers_left_goes_after_a_day(shop):
    names = [
        "runs/pipe/r1/.~1-ab",
        "reuse/ab/.~1-ab",
        "snapshots/.~1-ab",
        "manifests/ab/.~1-ab",
        "leases/ab/c/.~1-ab",
        "reuse/set-aside/ab/.~1-ab",
        "datasets/rows/.~1-ab",
        "clock/.~1-ab",
    ]
    for name in names:
        (shop.root / name).parent.mkdir(parents=True, exist_ok=True)
        (shop.root / name).write_text("half")
    assert shop.gc(Policy()) == {}
    shop.age(2, *names)
    assert shop.gc(Policy()) == {("remove", "unfinished file"): 8}
    assert list(shop.root.rglob(".~*")) == []


def test_a_temporary_file_that_can_not_be_written_is_told(shop, monkeypatch):
    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Ledger, "add_results", full)
    with pytest.raises(StoreError, match=r"temporary file \(database or disk is full\): make room in"):
        collect(shop.workspace, MONTH, delete=True)
    monkeypatch.undo()
    shop.gc()


def test_records_that_were_set_aside_go_with_an_age(shop):
    shop.damaged = True
    shutil.rmtree(shop.data / "outputs/pipe/r1/train")
    shop.run()
    assert len(list(shop.root.glob("reuse/set-aside/*/*.json"))) == 1
    shop.age(40, "reuse/set-aside")
    assert ("remove", "set-aside record") not in shop.gc(Policy())
    assert shop.gc()[("remove", "set-aside record")] == 1


def test_it_says_how_far_it_is(shop):
    told = []

    class Listener:
        def on_progress(self, meter):
            pass

        def on_end(self, meter):
            told.append((meter.what, meter.done, meter.total, meter.unit))

    shop.wait(40)
    with told_to(Listener()):
        shop.gc(Policy(older_than=30 * DAY, grace=-60))
        undo(shop.workspace)
        size = collect(shop.workspace, delete=True).tally("remove", "result").size
    assert told[:2] == [("looking at runs", 1, 1, "runs"), ("looking at records", 3, None, "records")]
    by_name = {what: (done, total, unit) for what, done, total, unit in told}
    assert by_name["looking for tombstones"][0] > 10
    assert ("marking", 4, None, "objects") in told
    removed, total, unit = by_name["removing"]
    assert (removed, unit) == (total, "bytes")
    assert removed > size > 0


def test_what_stays_is_told_with_its_reason(shop):
    shop.run(run_id="r2", parameters={"word": "two"})
    pin_run(open_run(shop.workspace.store, "r2"), "ann")
    data = Data(locations=(Location(datastore="workspaceblobstore", path="outputs/pipe/r1/train/1/out"),))
    shop.workspace.register_dataset("rows", data)
    shop.wait(40)
    assert collect(shop.workspace, MONTH).kept == {
        "a pinned run made or took it": Tally(3, 5 + 5 + 8),
        "a registered dataset has its data": Tally(1, 8),
    }
    assert collect(shop.workspace).kept["a record or a run names it"] == Tally(1, 8)


@pytest.mark.parametrize("after", range(8))
def test_a_clean_up_that_is_told_to_stop_leaves_nothing_half_done(after, shop):
    shop.wait(40)
    shop.gc()
    shop.wait(8)
    asked = itertools.count()
    report = collect(shop.workspace, MONTH, delete=True, stop=lambda: next(asked) >= after)
    assert report.stopped
    found = [json.loads(file.read_text()) for file in shop.root.rglob(tombstones.NAME)]
    assert all(tombstone.get("done") for tombstone in found if "removed" in tombstone)
    assert shop.gc().get(("remove", "result"), 0) == 3 - report.tally("remove", "result").count


def test_an_empty_workspace_has_nothing_to_clean_up(tmp_path):
    assert counts(collect(Workspace.local(tmp_path), MONTH, delete=True)) == {}


def test_a_document_that_is_no_pin_ends_it(shop):
    shop.workspace.store.put("pins/pipe/r1.json", write_document({"schema": 9}))
    with pytest.raises(NewerDocumentError, match="pin pins/pipe/r1.json"):
        collect(shop.workspace)


def test_steps_with_branches_are_one_by_one(shop):
    names = [f"s{number}" for number in range(4)]
    for name in names:
        shop.script(name, (shop.folder / "train/train.py").read_text())
    spec = msgspec.structs.replace(
        shop.spec, name="many", steps=(shop.spec.steps[0], *(step(name, made("prepare")) for name in names))
    )
    shop.run(spec, run_id="m1")
    shop.wait(40)
    shop.run(msgspec.structs.replace(spec, steps=spec.steps[:3]), run_id="m2")
    assert shop.gc()[("mark", "result")] == 4  # two of r1, s2 and s3
