"""Saying why a step with 100,000 input files would run again, as a whole command, against walking and `dvc data status`."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from common import BIN, Result, pair, peer, run
from snapshot import make_tree, walk

from airflow_ml_pipelines.core.files.statcache import RACY_NS

FILES = 100_000
DEFINITION = """
name: many
data:
  it: {{url: 'file://{data}'}}
steps:
  one:
    script: one.py
    source_directory: src
    inputs: {{it: it}}
    outputs: {{out: {{}}}}
    arguments: ['${{{{inputs.it}}}}', '${{{{outputs.out}}}}']
"""


def prepare(folder: Path, environment: dict[str, str]) -> Path:
    """Run a step over many files, and change a few of them; return their folder."""
    data = folder / "data"
    make_tree(data, FILES, 200)
    (folder / "src").mkdir()
    (folder / "src/one.py").write_text("import sys; open(sys.argv[2] + '/o', 'w')\n")
    (folder / "many.pipeline.yaml").write_text(DEFINITION.format(data=data))
    (folder / "workspace.yaml").write_text("name: bench\n")
    run([str(BIN / "ml-pipelines"), "run", "-q", "many.pipeline.yaml"], cwd=folder, env=environment)
    files = sorted(data.rglob("*.txt"))
    files[0].unlink()
    files[FILES // 2].write_text("another")
    (data / "new.txt").write_text("new")
    time.sleep(RACY_NS / 1e9 + 0.5)  # what has just been written is not trusted
    return data


def measure() -> list[Result]:
    what = f"explain, {FILES:,} input files of which 3 changed"
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        environment = {**os.environ, "ML_PIPELINES_CACHE": f"{name}/cache", "DVC_NO_ANALYTICS": "1"}
        data = prepare(folder, environment)
        command = [str(BIN / "ml-pipelines"), "explain", "many.pipeline.yaml"]

        def explain() -> None:
            text = run(command, cwd=folder, env=environment).stdout
            assert "input it: 3 files differ: 1 new, 1 gone, 1 changed" in text, text

        mine, bare = pair(explain, lambda: walk(str(data)), 5)
        results = [
            Result(what, mine, "scandir and stat alone", bare),
            Result(what, mine, "one second", 1.0, 1.0),
        ]
        binaries = peer("dvc")
        if binaries is not None:
            dvc = str(binaries / "dvc")
            run([dvc, "init", "--no-scm", "-q"], cwd=folder, env=environment)
            run([dvc, "add", "-q", "data"], cwd=folder, env=environment)
            (data / "new.txt").write_text("newer")
            mine, theirs = pair(
                explain,
                lambda: run([dvc, "data", "status", "--granular", "-q"], cwd=folder, env=environment),
                3,
            )
            results.append(Result(what, mine, "dvc data status --granular", theirs, 0.2))
    return results


if __name__ == "__main__":
    for result in measure():
        print(result)
