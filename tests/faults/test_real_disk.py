"""A disk that is really full, and a folder that really can't be written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from crash import Ended, run_forked
from shop import Shop

from dag_factory.cli import main

SIZE = 4 << 20
OURS = ("/dag_factory/", "/airflow_ml_pipelines/")


def mount(*arguments: str) -> None:
    ended = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if ended.returncode:
        pytest.skip(f"nothing can be mounted here: {ended.stderr.strip()}")


@pytest.fixture
def disk(tmp_path, monkeypatch) -> Iterator[Path]:
    """A disk of a few megabytes."""
    if os.geteuid():
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder))
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ML_PIPELINES_WORKSPACE", raising=False)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def only(folder: Path, free: int) -> Iterator[None]:
    """Leave so many bytes of a disk."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        left = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        file.write(b"\0" * max(0, left - free))
    yield
    filler.unlink()


def command(arguments: list[str], tmp_path: Path) -> Ended:
    ended = run_forked(partial(main, arguments), tmp_path / "log", [])
    assert not any(ours in ended.error + ended.text for ours in OURS), (
        ended
    )  # no traceback but a script's own
    return ended


def assert_runs_right(shop: Shop, tmp_path: Path) -> None:
    shop.expire_leases()
    assert shop.findings() == []
    ended = command(shop.run_command, tmp_path)
    assert (ended.code, ended.error) == (0, "")
    assert (shop.outputs(), shop.findings()) == (shop.expected(), [])


def test_a_disk_that_becomes_full(disk, tmp_path, moments):
    shop = Shop(disk).open()
    before = os.statvfs(disk)
    assert command(shop.run_command, tmp_path).code == 0
    used = (before.f_bavail - os.statvfs(disk).f_bavail) * before.f_frsize
    codes = set()
    for number, free in enumerate(moments(used)):
        shop.write_script("split", number)  # all runs again
        with only(disk, free // before.f_frsize * before.f_frsize):
            ended = command(shop.run_command, tmp_path)
        assert ended.code == 0 or "No space left on device" in ended.error + ended.text, (free, ended)
        codes.add(ended.code)
        assert_runs_right(shop, tmp_path)
    assert 1 in codes


@contextmanager
def read_only(folder: Path) -> Iterator[str]:
    """Let nothing be written to a folder; give what the system says of it."""
    if os.geteuid():
        for top, _, _ in os.walk(folder):
            os.chmod(top, 0o500)
        yield "Permission denied"
        for top, _, _ in os.walk(folder):
            os.chmod(top, 0o700)
        return
    mount("--bind", str(folder), str(folder))
    try:
        mount("-o", "remount,bind,ro", str(folder))
        yield "Read-only file system: make it writable"
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("ran", [False, True])
def test_a_folder_that_can_not_be_written(ran, shop, tmp_path):
    if ran:
        assert command(shop.run_command, tmp_path).code == 0
        shop.write_script("label", 1)
    file, root = str(shop.file), shop.workspace.store.root
    with read_only(root) as reason:
        failed = command(shop.run_command, tmp_path)
        assert failed.code == 1
        assert failed.error.startswith(f"error: {root}/")
        assert reason in failed.error
        for reads in (["plan", file], ["explain", file], ["show", "--workspace", str(shop.folder)]):
            ended = command(reads, tmp_path)
            assert (ended.code, ended.error) == (0, ""), reads
        if ran:
            accepted = command(shop.accept_command, tmp_path)
            cleaned = command(shop.gc_command, tmp_path)
            assert (accepted.code, cleaned.code) == (1, 1)
            assert reason in accepted.error
            assert reason in cleaned.error
    assert_runs_right(shop, tmp_path)
