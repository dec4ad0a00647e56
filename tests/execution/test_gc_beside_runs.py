"""Clean-up beside runs, statement by statement.

Runs and clean-ups take turns at a store: before each of its operations another one may go on, and time passes, all by a
seeded generator. Whatever the order, nobody who was told to take a result finds its data gone.
"""

from __future__ import annotations

import io
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path

import pytest

from airflow_ml_pipelines.core import gc
from airflow_ml_pipelines.core.canonical import compact_json
from airflow_ml_pipelines.core.check import check_workspace
from airflow_ml_pipelines.core.errors import NotFoundError
from airflow_ml_pipelines.core.files.digest import digest_bytes
from airflow_ml_pipelines.core.files.manifest import Entry, Manifest
from airflow_ml_pipelines.core.gc import Policy, collect
from airflow_ml_pipelines.core.layout import manifest_path, step_run_id
from airflow_ml_pipelines.core.plans import plan
from airflow_ml_pipelines.core.plans.plan import make_plan
from airflow_ml_pipelines.core.reuse.lease import Lease
from airflow_ml_pipelines.core.reuse.records import Record, write_record
from airflow_ml_pipelines.core.runs.folder import Origin, OutputDocument, RunFolder, StepDocument
from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.spec import InputSpec, OutputSpec, PipelineSpec, StepOutput, StepSpec
from airflow_ml_pipelines.core.steps import decide
from airflow_ml_pipelines.core.steps.decide import Go, Hit, open_step
from airflow_ml_pipelines.core.stores.store import ObjectInfo, is_unfinished
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

DAY = 24 * 3600.0
GRACE = 30.0
SCHEDULES = 150


class World:
    """Objects, a clock, and actors of whom one at a time does something.

    :param seed: decides who is next, and how much time passes; None for no other actors.
    """

    def __init__(self, objects: dict[str, tuple[bytes, float]], now: float, seed: int | None = None) -> None:
        self.objects = dict(objects)
        self.now = now
        self.random = random.Random(seed)
        self.turn = threading.Condition()
        self.actors: dict[str, threading.Thread] = {}
        self.current: str | None = None
        self.errors: list[BaseException] = []

    def run(self, **actors: Callable[[], None]) -> None:
        for name, work in actors.items():
            self.actors[name] = threading.Thread(target=self._act, args=(name, work), name=name)
        self.current = self.random.choice(sorted(self.actors))
        threads = list(self.actors.values())
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        if self.errors:
            raise self.errors[0]

    def _act(self, name: str, work: Callable[[], None]) -> None:
        with self.turn:
            self.turn.wait_for(lambda: self.current == name)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the test's own thread raises it
            self.errors.append(error)
        with self.turn:
            del self.actors[name]
            self._next()

    def _next(self) -> None:
        self.current = self.random.choice(sorted(self.actors)) if self.actors else None
        self.turn.notify_all()

    def pause(self) -> None:
        """Let time pass, and perhaps another one go on."""
        name = threading.current_thread().name
        if self.current != name:
            return
        with self.turn:
            self.now += self.random.choice((0, 0.01, 0.1, 1, 1, 4, GRACE / 2))
            if self.random.random() < 0.5:
                self._next()
                self.turn.wait_for(lambda: self.current == name)


class WorldStore:
    """A folder of the world."""

    conditional = True

    def __init__(self, world: World, url: str, prefix: str) -> None:
        self.world = world
        self.url = url
        self.prefix = prefix

    def get(self, path: str) -> bytes:
        self.world.pause()
        try:
            return self.world.objects[self.prefix + path][0]
        except KeyError:
            raise NotFoundError(path) from None

    def put(self, path: str, data: bytes) -> None:
        self.world.pause()
        self.world.objects[self.prefix + path] = (data, self.world.now)

    def create(self, path: str, data: bytes) -> bool:
        self.world.pause()
        if self.prefix + path in self.world.objects:
            return False
        self.world.objects[self.prefix + path] = (data, self.world.now)
        return True

    def open(self, path: str) -> io.BytesIO:
        return io.BytesIO(self.get(path))

    def upload(self, source: Path, path: str) -> None:
        self.put(path, source.read_bytes())

    def info(self, path: str) -> ObjectInfo | None:
        self.world.pause()
        found = self.world.objects.get(self.prefix + path)
        return None if found is None else self._info(self.prefix + path, found)

    def _info(self, name: str, found: tuple[bytes, float]) -> ObjectInfo:
        return ObjectInfo(name[len(self.prefix) :], len(found[0]), digest_bytes(found[0]), found[1])

    def walk(self, path: str = "", *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        below = f"{self.prefix}{path}/" if path else self.prefix
        self.world.pause()
        found = [
            (name, self.world.objects[name]) for name in sorted(self.world.objects) if name.startswith(below)
        ]
        for name, stored in found:  # what a listing says may be over when it is read
            if unfinished or not is_unfinished(name):
                yield self._info(name, stored)

    def folders(self, path: str = "") -> list[str]:
        below = f"{self.prefix}{path}/" if path else self.prefix
        self.world.pause()
        names = (name[len(below) :] for name in self.world.objects if name.startswith(below))
        return sorted({name.partition("/")[0] for name in names if "/" in name})

    def delete(self, path: str) -> None:
        self.world.pause()
        self.world.objects.pop(self.prefix + path, None)

    def remove(self, path: str) -> None:
        for info in list(self.walk(path, unfinished=True)):
            self.delete(info.path)

    def local_path(self, path: str) -> Path:
        """No path; but where there is one, things are done one after the other."""
        return Path("/nowhere", path)

    def clock(self) -> float:
        self.world.pause()
        return self.world.now


DATA = "data/workspaceblobstore/"


@pytest.fixture
def open_world(tmp_path, monkeypatch):
    """Returns a workspace in a world."""
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("airflow_ml_pipelines.core.runs.new_run.git_facts", lambda _: {})
    for item in vars(decide.StepContext).values():
        if isinstance(item, cached_property):  # in Python 3.11 it has a lock that all threads share
            monkeypatch.setattr(item, "lock", nullcontext(), raising=False)

    def opened(world: World) -> Workspace:
        workspace = Workspace("world", "world://root")

        def open_store(url: str) -> WorldStore:
            prefix = url.removeprefix("world://root").strip("/")
            return WorldStore(world, url, f"{prefix}/" if prefix else "")

        monkeypatch.setattr("airflow_ml_pipelines.core.workspaces.stores.open_store", open_store)
        return workspace

    return opened


@pytest.fixture
def spec(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "step.py").write_text(f"# {name}")
    first = StepSpec(
        id="first",
        name="first",
        script="step.py",
        source_directory="first",
        outputs=(OutputSpec(name="out"),),
    )
    made = InputSpec(name="data", source=StepOutput(step="first", output="out"))
    second = StepSpec(
        id="second",
        name="second",
        script="step.py",
        source_directory="second",
        inputs=(made,),
        outputs=(OutputSpec(name="out"),),
    )
    return PipelineSpec(name="pipe", base_directory=str(tmp_path), steps=(first, second))


def run_all(workspace: Workspace, spec: PipelineSpec, run_id: str) -> None:
    """Run a pipeline as the runner does, but for the scripts."""
    run = new_run(spec, run_id=run_id)
    folder = RunFolder(workspace.store, run.pipeline, run.run)
    planned = make_plan(workspace, run)
    used: list[OutputDocument] = []
    for item in planned.steps:
        if item.decision == "reuse":
            used += item.outputs.values()
        else:
            used += _decide_and_make(workspace, folder, item.step, used)
        for _ in range(5):
            _look(workspace, used)
    folder.write_result("Finished")


def _decide_and_make(
    workspace: Workspace, folder: RunFolder, step: str, used: list[OutputDocument]
) -> list[OutputDocument]:
    context = open_step(workspace, folder, step)
    while True:
        outcome = decide.decide(context)
        if isinstance(outcome, Hit):
            return list(outcome.document.outputs.values())
        if isinstance(outcome, Go):
            assert isinstance(outcome.lease, Lease)
            return _make(context, folder, outcome.lease)
        _look(workspace, used)  # another run is making it
        context = context.again()


def _make(context: decide.StepContext, folder: RunFolder, lease: Lease) -> list[OutputDocument]:
    """Write what a step makes, in the order in which it is written."""
    workspace, step, store = context.workspace, context.step.id, context.workspace.store
    attempt = folder.new_attempt(step)
    place = folder.attempt_folder(step, attempt)
    running = StepDocument(step=step, status="running", key=lease.key, attempt=attempt, folder=place)
    folder.write_step(running)
    made = {item.output.folder for item in context.inputs.values() if item.output is not None}
    assert decide.claim_results(folder, made) == frozenset()
    names = {name: workspace.datastore_url(name) for name in workspace.datastores()}
    path = f"outputs/{folder.path.removeprefix('runs/')}/{step}/{attempt}/out"
    job = {
        "schema": 1,
        "workspace": {"datastores": names},
        "outputs": {"out": {"store": names["workspaceblobstore"], "path": path}},
    }
    store.put(f"{place}/job.json", compact_json(job))
    _look(workspace, [item.output for item in context.inputs.values() if item.output is not None])
    workspace.datastore().put(f"{path}/out.txt", step.encode())
    info = workspace.datastore().info(f"{path}/out.txt")
    manifest = Manifest((Entry("out.txt", info.size, digest_bytes(step.encode()), version=info.version),))
    data = compact_json(manifest.to_dict())
    store.put(f"{place}/manifests/out.json", data)
    store.put(manifest_path(manifest.digest), data)
    output = OutputDocument(
        datastore="workspaceblobstore",
        path=path,
        digest=manifest.digest,
        manifest=f"{place}/manifests/out.json",
        files=1,
        size=info.size,
    )
    origin = Origin(
        pipeline=folder.pipeline,
        run=folder.run,
        step=step,
        attempt=attempt,
        id=step_run_id(folder.pipeline, folder.run, step, attempt),
    )
    write_record(
        store,
        Record(
            key=lease.key,
            document=context.document,
            origin=origin,
            folder=place,
            outputs={"out": output},
            started=1.0,
            finished=2.0,
        ),
    )
    folder.write_step(
        StepDocument(
            step=step,
            status="finished",
            key=lease.key,
            attempt=attempt,
            folder=place,
            outputs={"out": output},
        )
    )
    lease.release()
    return [output]


class VanishedError(AssertionError):
    """Data is gone that somebody reads."""


def _look(workspace: Workspace, outputs: list[OutputDocument]) -> None:
    """Read what was taken or made."""
    store = workspace.datastore()
    for output in outputs:
        try:
            store.get(f"{output.path}/out.txt")
        except NotFoundError:
            raise VanishedError(output.path) from None


@pytest.fixture
def past(open_world, spec):
    """What a run has left a hundred days ago."""
    world = World({}, time.time() - 100 * DAY)
    run_all(open_world(world), spec, "r1")
    return world.objects


def simulate(seed, open_world, spec, past) -> World:
    world = World(past, time.time(), seed)
    policy = Policy(older_than=30 * DAY, grace=GRACE)

    def clean() -> None:
        workspace = open_world(world)  # one each, as of processes: a workspace has locks of its own
        for _ in range(12):
            collect(workspace, policy, delete=True)
            for _ in range(world.random.randrange(3)):
                world.pause()

    def read(name: str) -> Callable[[], None]:
        def work() -> None:
            for _ in range(world.random.randrange(40)):
                world.pause()
            run_all(open_world(world), spec, name)

        return work

    world.run(gc=clean, one=read("r2"), two=read("r3"))
    findings = [str(finding) for finding in check_workspace(open_world(world)) if finding.level != "note"]
    assert findings == []
    return world


def test_nobody_reads_data_that_vanishes(open_world, spec, past):
    removed = made = 0
    for seed in range(SCHEDULES):
        try:
            world = simulate(seed, open_world, spec, past)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        removed += f"{DATA}outputs/pipe/r1/first/1/out/out.txt" not in world.objects
        made += any(
            name.startswith((f"{DATA}outputs/pipe/r2", f"{DATA}outputs/pipe/r3")) for name in world.objects
        )
    assert 0 < removed < SCHEDULES, "the schedules were all alike"
    assert 0 < made < SCHEDULES, "the schedules were all alike"


@pytest.mark.parametrize("flaw", ["readers that do not claim", "a clean-up that does not see runs"])
def test_a_flaw_in_the_protocol_is_noticed(flaw, open_world, spec, past, monkeypatch):
    """Where a part is left out, somebody reads data that vanishes."""
    if flaw == "readers that do not claim":
        for module in (decide, plan):
            monkeypatch.setattr(module, "claim_results", lambda _folder, _folders: frozenset())
    else:
        monkeypatch.setattr(gc.run_look.RunLook, "_is_alive", lambda *_: False)
        monkeypatch.setattr(gc.marking, "_DUE", "(removed = 1 OR (removed IS NULL AND until <= ?))")
        monkeypatch.setattr(gc.marking, "_AGAIN", "0")
    noticed = False
    for seed in range(4 * SCHEDULES):  # few orders of events show it
        try:
            simulate(seed, open_world, spec, past)
        except (VanishedError, AssertionError):
            noticed = True
            break
    assert noticed, "the simulation would not notice"
