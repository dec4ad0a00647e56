"""Looking at a tree: unchanged, and for the first time, against a bare walk, a bare read, and dvc."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from common import Result, pair, peer, run, seconds

from airflow_ml_pipelines.core.files.digest import digest_file
from airflow_ml_pipelines.core.files.statcache import RACY_NS, StatCache
from airflow_ml_pipelines.core.files.tree import scan_tree
from airflow_ml_pipelines.core.steps.snapshot import take_snapshot

TREES = ((10_000, 10 << 10), (100_000, 1 << 10))
LARGE = 512 << 20
OURS = """
import sys
from pathlib import Path
from airflow_ml_pipelines.core.steps.snapshot import take_snapshot
from airflow_ml_pipelines.core.files.statcache import StatCache
print(take_snapshot(Path(sys.argv[1]), cache=StatCache(sys.argv[2])).digest)
"""


def make_tree(root: Path, files: int, size: int) -> None:
    """Write files of random bytes, a hundred a folder."""
    generator = random.Random(files)
    for number in range(files):
        folder = root / f"group{number // 1000:03}" / f"part{number // 100:04}"
        if number % 100 == 0:
            folder.mkdir(parents=True)
        (folder / f"file_{number:06}.txt").write_bytes(generator.randbytes(size))


def walk(root: str) -> int:
    """Walk and stat: nothing that looks at every file can be quicker."""
    found, stack = 0, [root]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                else:
                    found += entry.stat(follow_symlinks=False).st_size
    return found


def read(root: str) -> None:
    """Read and hash every file in one thread, in as few lines as Python needs."""
    stack = [root]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                else:
                    with open(entry.path, "rb") as file:
                        hashlib.sha256(file.read()).digest()


def measure() -> list[Result]:
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for files, size in TREES:
            results += measure_tree(Path(name, str(files)), files, size)
        large = Path(name, "large")
        with open(large, "wb") as file:
            file.writelines(os.urandom(1 << 20) for _ in range(LARGE >> 20))
        mine, plain = pair(lambda: digest_file(large), lambda: file_digest(large), 3)
        results.append(Result(f"digest of one file of {LARGE >> 20} MiB", mine, "hashlib.file_digest", plain))
    return results


def measure_tree(folder: Path, files: int, size: int) -> list[Result]:
    root = folder / "data"
    make_tree(root, files, size)
    time.sleep(RACY_NS / 1e9 + 0.5)  # what has just been written is not trusted
    what, cache, fresh = f"{files:,} files of {size >> 10} KiB", StatCache(folder / "cache"), count()
    take_snapshot(root, cache=cache), scan_tree(root, cache=cache)

    def unchanged() -> None:
        take_snapshot(root, cache=cache)

    def first() -> None:
        scan_tree(root, cache=StatCache(folder / f"cache{next(fresh)}"))

    results = [
        Result(
            f"{what}: unchanged snapshot",
            *_against("scandir and stat", pair(unchanged, lambda: walk(str(root)), 15)),
            1.5,
        ),
        Result(
            f"{what}: first look",
            *_against("open, read, sha256", pair(first, lambda: read(str(root)), 3)),
            1.3,
        ),
    ]
    return results + measure_dvc(root, what)


def measure_dvc(root: Path, what: str) -> list[Result]:
    binaries = peer("dvc")
    if binaries is None:
        return []
    dvc, folder = str(binaries / "dvc"), root.parent
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    run([dvc, "init", "--no-scm", "-q"], cwd=folder, env=environment)
    run([dvc, "add", "-q", root.name], cwd=folder, env=environment)
    time.sleep(RACY_NS / 1e9 + 0.5)  # it writes the files anew

    def status() -> None:
        run([dvc, "status", "-q"], cwd=folder, env=environment)  # fails where something changed

    def ours() -> None:
        subprocess.run(
            [sys.executable, "-c", OURS, str(root), str(folder / "cache")], check=True, capture_output=True
        )

    mine, theirs = seconds(ours, 3), seconds(status, 3)
    return [Result(f"{what}: unchanged, whole command", mine, "dvc status", theirs, 0.2)]


def file_digest(path: Path) -> None:
    with open(path, "rb") as file:
        hashlib.file_digest(file, "sha256").digest()


def _against(name: str, times: tuple[float, float]) -> tuple[float, str, float]:
    return times[0], name, times[1]


if __name__ == "__main__":
    for result in measure():
        print(result)
