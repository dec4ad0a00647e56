"""A dry run of `ml-pipelines gc` over a store with very many objects, against listing the same store, and against `dvc gc`.

``ML_PIPELINES_BENCH_OBJECTS`` says how many there are; to make a million takes minutes and 6 GB of disk. Of four runs one
ran its four steps and three reused them; half of all is old enough to go. Data is not counted: gc does not look at it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from common import BIN, Result, peer, run

OBJECTS = int(os.environ.get("ML_PIPELINES_BENCH_OBJECTS", "100000"))
ROUNDS = 3
RERUNS = 3
OLD = 40 * 86_400
STEPS = 4
DIGEST = re.compile(rb"\b[0-9a-f]{64}\b")
DEFINITION = """
name: many
steps:
""" + "".join(
    f"  s{number}:\n    script: one.py\n    source_directory: src\n    outputs: {{out: }}\n"
    f'    arguments: ["${{{{ outputs.out }}}}"'
    + (f', "${{{{ steps.s{number - 1}.outputs.out }}}}"]\n' if number else "]\n")
    for number in range(STEPS)
)
WALK = """
import sys
from airflow_ml_pipelines.core.stores.open import open_store
print(sum(1 for _ in open_store(sys.argv[1]).walk()))
"""
SCAN = """
import os, sys
found, stack = 0, [sys.argv[1]]
while stack:
    with os.scandir(stack.pop()) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                stack.append(entry.path)
            else:
                entry.stat(follow_symlinks=False)
                found += 1
print(found)
"""


def make_store(folder: Path, objects: int) -> None:
    """Make a workspace with so many objects: what two runs left, over and over, with other ids and digests."""
    (folder / "src").mkdir(parents=True)
    (folder / "src/one.py").write_text("import sys; open(sys.argv[1] + '/o', 'w').write('x' * 1000)\n")
    (folder / "many.pipeline.yaml").write_text(DEFINITION)
    (folder / "workspace.yaml").write_text("name: bench\n")
    environment = {**os.environ, "ML_PIPELINES_CACHE": str(folder / "cache")}
    for _ in range(2):
        run([str(BIN / "ml-pipelines"), "run", "-q", "many.pipeline.yaml"], cwd=folder, env=environment)
    root = folder / ".ml-pipelines"
    made, again = sorted((root / "runs/many").iterdir(), key=lambda path: path.name)
    if not (made / "steps").exists():
        made, again = again, made
    shared = [path for path in root.rglob("*") if path.is_file() and path.parts[-2] == "snapshots"]
    first = [p for p in root.rglob("*") if p.is_file() and not p.is_relative_to(again) and p not in shared]
    first = [path for path in first if path.relative_to(root).parts[0] not in ("data", "history")]
    second = [path for path in again.rglob("*") if path.is_file()]
    kept = {path.stem.encode() for path in shared}
    texts = [(str(path.relative_to(root)).encode(), path.read_bytes()) for path in first]
    rerun = [(str(path.relative_to(root)).encode(), path.read_bytes()) for path in second]
    digests = {found for pair in texts for text in pair for found in DIGEST.findall(text)} - kept
    left, number, when = objects - len(first) - len(second) - len(shared), 0, time.time() - OLD
    while left > 0:
        other = {
            digest: hashlib.sha256(b"%s%d" % (digest, number)).hexdigest().encode() for digest in digests
        }
        other[made.name.encode()] = b"%s-%d" % (made.name.encode(), number)
        for path, text in texts:
            write(root, replaced(path, other), replaced(text, other), when if number % 2 else None)
        left -= len(texts)
        for turn in range(RERUNS):
            other[again.name.encode()] = b"%s-%d-%d" % (again.name.encode(), number, turn)
            for path, text in rerun:
                write(root, replaced(path, other), replaced(text, other), when if number % 2 else None)
            left -= len(rerun)
        number += 1


def replaced(text: bytes, other: dict[bytes, bytes]) -> bytes:
    for old, new in other.items():
        if old in text:
            text = text.replace(old, new)
    return text


def write(root: Path, path: bytes, text: bytes, when: float | None) -> None:
    name = os.path.join(os.fsencode(root), path)
    try:
        file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(name), exist_ok=True)
        file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(file, text)
    os.close(file)
    if when is not None:
        os.utime(name, (when, when))


def make_cache(folder: Path, objects: int) -> None:
    """Make dvc's cache with so many objects, of which half are files of one tracked folder."""
    names = [hashlib.md5(b"%d" % number).hexdigest() for number in range(objects)]
    cache = folder / ".dvc/cache/files/md5"
    for name in names:
        write(cache, f"{name[:2]}/{name[2:]}".encode(), b"x", None)
    listing = json.dumps([{"md5": name, "relpath": f"f{name}"} for name in names[::2]]).encode()
    digest = hashlib.md5(listing).hexdigest()
    write(cache, f"{digest[:2]}/{digest[2:]}.dir".encode(), listing, None)
    text = f"outs:\n- md5: {digest}.dir\n  size: 1\n  nfiles: {objects // 2}\n  hash: md5\n  path: data\n"
    (folder / "data.dvc").write_text(text)


def measured(
    command: list[str], folder: Path, environment: dict[str, str] | None = None
) -> tuple[float, float]:
    """Run a command; return the seconds that it took and the megabytes that it had at most."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=said)
    return time.perf_counter() - start, usage.ru_maxrss / (1 << 10 if sys.platform != "darwin" else 1 << 20)


def middle(found: list[tuple[float, float]]) -> tuple[float, float]:
    return median(seconds for seconds, _ in found), max(size for _, size in found)


def measure() -> list[Result]:
    what = f"gc dry run, {OBJECTS:,} objects"
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name, "ours")
        make_store(folder, OBJECTS)
        root = str(folder / ".ml-pipelines")
        commands = (
            [str(BIN / "ml-pipelines"), "gc", "--older-than", "30d"],
            [sys.executable, "-c", WALK, root],
            [sys.executable, "-c", SCAN, root],
        )
        rounds = [[measured(command, folder) for command in commands] for _ in range(ROUNDS + 1)][1:]
        ours, walk, scan = (middle([one[number] for one in rounds]) for number in range(len(commands)))
        results = [
            Result(what, ours[0], "listing it: the store's walk", walk[0], 2.0),
            Result(what, ours[0], "listing it: scandir and stat", scan[0]),
            Result(f"{what}: memory", ours[1], "250 MB", 250, 1.0, unit="MB"),
        ]
        results += measure_dvc(Path(name, "dvc"), what, ours)
    return results


def measure_dvc(folder: Path, what: str, ours: tuple[float, float]) -> list[Result]:
    binaries = peer("dvc")
    if binaries is None:
        return []
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    folder.mkdir()
    dvc = str(binaries / "dvc")
    run([dvc, "init", "--no-scm", "-q"], cwd=folder, env=environment)
    make_cache(folder, OBJECTS)
    command = [dvc, "gc", "--workspace", "--dry", "--force"]
    theirs = middle([measured(command, folder, environment) for _ in range(2)][1:])
    name = "dvc gc --dry, as many objects"
    return [
        Result(what, ours[0], name, theirs[0], 1.0),
        Result(f"{what}: memory", ours[1], name, theirs[1], 1.0, unit="MB"),
    ]


if __name__ == "__main__":
    for result in measure():
        print(result)
