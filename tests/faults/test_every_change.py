"""Whatever is done to a workspace, killed or with a full or read-only disk at any of the changes that it makes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

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


@dataclass
class Scene:
    """A workspace in which something is done, again and again from the same state."""

    shop: Shop
    work: Callable[[], object]

    @property
    def aside(self) -> Path:
        return self.shop.folder.parent

    def save(self) -> None:
        shutil.copytree(self.shop.folder, self.aside / "saved")

    def again(self) -> None:
        shutil.rmtree(self.shop.folder)
        shutil.copytree(self.aside / "saved", self.shop.folder)

    def do(self, work: Callable[[], object] | None = None, fault: Fault = "none", at: int = 0) -> Ended:
        places = [self.shop.folder, self.aside / "temporary", self.aside / "cache"]
        ended = run_forked(work or self.work, self.aside / "log", places, fault, at)
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


def first_run(scene: Scene) -> None:
    scene.work = partial(main, scene.shop.run_command)


def changed_run(scene: Scene) -> None:
    scene.run()
    scene.shop.write_script("join", 1)
    scene.work = partial(main, scene.shop.run_command)


def clean_up(scene: Scene) -> None:
    for word in ("two", "three"):
        scene.shop.word = word
        scene.run()
    scene.shop.age(40)
    assert scene.do(partial(main, scene.shop.gc_command)).code == 0
    scene.shop.word = "four"
    scene.shop.write_script("split", 1)
    scene.run()
    scene.shop.age(2)
    scene.work = partial(main, scene.shop.gc_command)


def acceptance(scene: Scene) -> None:
    scene.run()
    for step in scene.shop.revisions:
        scene.shop.write_script(step, 0, "a comment")
    scene.work = partial(main, scene.shop.accept_command)


def api(work: Callable[[Path], None], *before: Callable[[Path], None]) -> Callable[[Scene], None]:
    def prepare(scene: Scene) -> None:
        for earlier in before:
            assert scene.do(partial(earlier, scene.shop.folder)).code == 0
        scene.work = partial(work, scene.shop.folder)

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


@pytest.fixture(params=SCENES)
def scene(request, shop):
    scene = Scene(shop, lambda: None)
    SCENES[request.param](scene)
    scene.save()
    return scene


def test_what_is_killed_leaves_nothing_that_is_taken_for_more_than_it_is(scene, moments):
    for at in moments(scene.count()):
        scene.again()
        assert scene.do(fault="killed", at=at).code == -9, at
        scene.assert_goes_on_well(at)


@pytest.mark.parametrize("fault", REASONS)
def test_where_the_disk_fails_that_is_said_and_nothing_is_half_done(fault, scene, moments):
    for at in moments(scene.count()):
        scene.again()
        failed = scene.do(fault=fault, at=at)
        said = failed.error + failed.text
        assert failed.code in (0, 1), (at, failed)
        assert "Traceback" not in said, (at, said)
        assert "Errno" not in said, (at, said)
        assert not failed.code or REASONS[fault] in said, (at, failed)
        scene.assert_goes_on_well(at)
