"""Whatever is done to a workspace, killed or with a full or read-only disk at any of the changes that it makes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import works
from crash import Ended, Fault, run_forked
from shop import Shop

from dag_factory.cli import main

REASONS = {
    "full": "No space left on device: make room there",
    "full for a moment": "No space left on device: make room there",
    "read-only": "Read-only file system: make it writable",
}

Work = Callable[[], object]
CACHE, TEMPORARY = "cache", "temporary"


@dataclass
class Stage:
    """A workspace on which something is done.

    :param folder: where it is, with a cache and temporary files of its own.
    :param work: what is done.
    """

    folder: Path
    shop: Shop
    work: Callable[[Shop], Work] = lambda shop: partial(main, shop.run_command)

    @classmethod
    def open(cls, folder: Path) -> Stage:
        for name in ("shop", CACHE, TEMPORARY):
            (folder / name).mkdir(parents=True)
        return cls(folder, Shop(folder / "shop").open())

    def copy(self, to: Path) -> Stage:
        shutil.copytree(self.folder, to)
        return replace(self, folder=to, shop=replace(self.shop, folder=to / "shop"))

    def do(self, work: Work | None = None, fault: Fault = "none", at: int = 0) -> Ended:
        cache, temporary = self.folder / CACHE, self.folder / TEMPORARY
        ended = run_forked(
            work or self.work(self.shop),
            self.folder / "log",
            [self.shop.folder, temporary, cache],
            fault,
            at,
            {"ML_PIPELINES_CACHE": str(cache), "TMPDIR": str(temporary)},
        )
        self.shop.expire_leases()
        return ended

    def run(self) -> None:
        """Run the pipeline to its end, with the right result."""
        ended = self.do(partial(main, self.shop.run_command))
        assert (ended.code, ended.error) == (0, ""), ended
        assert self.shop.outputs() == self.shop.expected()

    def count(self) -> int:
        """Return how many changes the work makes where nothing disturbs it."""
        whole = self.do()
        assert (whole.code, whole.error, self.shop.findings()) == (0, "", []), whole
        return whole.changes

    def assert_goes_on_well(self, at: int) -> None:
        assert self.shop.findings() == [], at
        ended = self.do()
        assert (ended.code, ended.error) == (0, ""), (at, ended)
        self.run()
        assert self.shop.findings() == [], at


@dataclass(frozen=True)
class Scene:
    """Something that is done again and again from the same state.

    :param stage: that state.
    :param changes: how many changes are made then.
    """

    stage: Stage
    changes: int

    def at_each(self, moments: Sequence[int], test: Callable[[Stage, int], None]) -> None:
        """Test what happens at each moment, two at a time."""

        def from_the_beginning(at: int) -> None:
            with TemporaryDirectory(dir=self.stage.folder.parent, prefix=f"at-{at}-") as folder:
                test(self.stage.copy(Path(folder, "stage")), at)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(from_the_beginning, moments))


def first_run(stage: Stage) -> None:
    """Nothing was before it."""


def changed_run(stage: Stage) -> None:
    stage.run()
    stage.shop.write_script("join", 1)


def clean_up(stage: Stage) -> None:
    for word in ("two", "three"):
        stage.shop.word = word
        stage.run()
    stage.shop.age(40)
    assert stage.do(partial(main, stage.shop.gc_command)).code == 0
    stage.shop.word = "four"
    stage.shop.write_script("split", 1)
    stage.run()
    stage.shop.age(2)
    stage.work = lambda shop: partial(main, shop.gc_command)


def acceptance(stage: Stage) -> None:
    stage.run()
    for step in stage.shop.revisions:
        stage.shop.write_script(step, 0, "a comment")
    stage.work = lambda shop: partial(main, shop.accept_command)


def api(work: Callable[[Path], None], *before: Callable[[Path], None]) -> Callable[[Stage], None]:
    def prepare(stage: Stage) -> None:
        for earlier in before:
            assert stage.do(partial(earlier, stage.shop.folder)).code == 0
        stage.work = lambda shop: partial(work, shop.folder)

    return prepare


SCENES = {
    "first run": first_run,
    "changed run": changed_run,
    "clean-up": clean_up,
    "acceptance": acceptance,
    "publishing": api(works.publish),
    "scheduling": api(works.schedule, works.publish),
    "registering": api(works.register),
    "uploading": api(works.upload),
}


@pytest.fixture(scope="module", params=SCENES)
def scene(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ML_PIPELINES_WORKSPACE", raising=False)
        patch.setenv("ML_PIPELINES_CACHE", str(folder / "cache"))
        stage = Stage.open(folder / "stage")
        SCENES[request.param](stage)
        yield Scene(stage, stage.copy(folder / "undisturbed").count())


def test_what_is_killed_leaves_nothing_that_is_taken_for_more_than_it_is(scene, moments):
    def killed(stage: Stage, at: int) -> None:
        ended = stage.do(fault="killed", at=at)
        assert ended.code == -9 or (ended.code == 0 and ended.changes < at), (at, ended)
        stage.assert_goes_on_well(at)

    scene.at_each(moments(scene.changes), killed)


@pytest.mark.parametrize("fault", REASONS)
def test_where_the_disk_fails_that_is_said_and_nothing_is_half_done(fault, scene, moments):
    def failed(stage: Stage, at: int) -> None:
        ended = stage.do(fault=fault, at=at)
        said = ended.error + ended.text
        assert ended.code in (0, 1), (at, ended)
        assert "Traceback" not in said, (at, said)
        assert "Errno" not in said, (at, said)
        assert not ended.code or REASONS[fault] in said, (at, ended)
        stage.assert_goes_on_well(at)

    scene.at_each(moments(scene.changes), failed)
