"""Runs that are killed, or whose disk is full or read-only, at any of the changes that they make to it."""

import shutil

import pytest
from crash import run_command

REASONS = {
    "full": "No space left on device: make room there",
    "full for a moment": "No space left on device: make room there",
    "read-only": "Read-only file system: make it writable",
}


@pytest.fixture(params=["new", "changed"])
def scene(request, shop, tmp_path):
    """A workspace without a result, or with results of which some can be reused; :func:`again` brings it back."""
    if request.param == "changed":
        assert run_command(shop.run_command, tmp_path / "log", []).code == 0
        shop.write_script("join", 1)
    shutil.copytree(shop.folder, tmp_path / "template")
    return shop


def again(shop):
    shutil.rmtree(shop.folder)
    shutil.copytree(shop.folder.parent / "template", shop.folder)


def run(shop, fault="none", at=0):
    ended = run_command(shop.run_command, shop.folder.parent / "log", [shop.folder], fault, at)
    shop.expire_leases()
    return ended


def assert_runs_right(shop, at):
    ended = run(shop)
    assert (ended.code, ended.error) == (0, ""), (at, ended)
    assert (shop.outputs(), shop.findings()) == (shop.expected(), []), at


def test_a_run_that_is_killed_leaves_nothing_that_is_taken_for_a_result(scene, moments):
    whole = run(scene)
    assert (whole.code, scene.outputs(), scene.findings()) == (0, scene.expected(), [])
    for at in moments(whole.changes):
        again(scene)
        killed = run(scene, "killed", at)
        assert (killed.code, scene.findings()) == (-9, []), at
        assert_runs_right(scene, at)


@pytest.mark.parametrize("fault", REASONS)
def test_a_run_whose_disk_fails_says_so_and_leaves_nothing_half_done(fault, scene, moments):
    whole = run(scene)
    for at in moments(whole.changes):
        again(scene)
        failed = run(scene, fault, at)
        said = failed.error + failed.text
        assert failed.code in (0, 1), (at, failed)
        assert "Traceback" not in said, (at, said)
        assert "Errno" not in said, (at, said)
        if failed.code:
            assert REASONS[fault] in said, (at, failed)
        else:
            assert scene.outputs() == scene.expected(), at
        assert scene.findings() == [], at
        assert_runs_right(scene, at)
