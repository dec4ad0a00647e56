"""A pipeline of 100 steps in which nothing changed, as a whole command, against dvc, snakemake and make."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from common import BIN, Result, pair, peer, run

STEPS = 100
SCRIPT = "import shutil, sys, pathlib; shutil.copy(sys.argv[1], pathlib.Path(sys.argv[2], 'data.txt'))\n"


def ours(folder: Path) -> list[str]:
    """Make a pipeline of one chain and run it once; return the command."""
    (folder / "src").mkdir(parents=True)
    (folder / "src/copy.py").write_text(SCRIPT)
    (folder / "start.txt").write_text("data\n")
    lines = [
        "schema_version: 1",
        "name: chain",
        "data:",
        f"  start: {{url: 'file://{folder}/start.txt'}}",
        "steps:",
    ]
    for number in range(STEPS):
        source = "start" if number == 0 else f"'${{{{steps.s{number - 1}.outputs.out}}}}'"
        first = "'${{inputs.it}}'" if number == 0 else "'${{inputs.it}}/data.txt'"
        lines += [
            f"  s{number}:",
            "    script: copy.py",
            "    source_directory: src",
            f"    inputs: {{it: {source}}}",
            "    outputs: {out: {}}",
            f"    arguments: [{first}, '${{{{outputs.out}}}}']",
        ]
    (folder / "chain.pipeline.yaml").write_text("\n".join(lines) + "\n")
    (folder / "workspace.yaml").write_text("name: bench\n")
    return [str(BIN / "ml-pipelines"), "run", "chain.pipeline.yaml"]


def makefile(folder: Path) -> list[str]:
    folder.mkdir()
    (folder / "f0").write_text("data\n")
    rules = [f"all: f{STEPS}"] + [f"f{n}: f{n - 1}\n\tcp f{n - 1} f{n}" for n in range(1, STEPS + 1)]
    (folder / "Makefile").write_text("\n".join(rules) + "\n")
    return ["make"]


def dvc(folder: Path) -> list[str] | None:
    binaries = peer("dvc")
    if binaries is None:
        return None
    folder.mkdir()
    (folder / "f0").write_text("data\n")
    stages = [
        f"  s{n}: {{cmd: cp f{n - 1} f{n}, deps: [f{n - 1}], outs: [f{n}]}}" for n in range(1, STEPS + 1)
    ]
    (folder / "dvc.yaml").write_text("stages:\n" + "\n".join(stages) + "\n")
    run([str(binaries / "dvc"), "init", "--no-scm", "-q"], cwd=folder)
    return [str(binaries / "dvc"), "repro"]


def snakemake(folder: Path) -> list[str] | None:
    binaries = peer("snakemake")
    if binaries is None:
        return None
    folder.mkdir()
    (folder / "f0").write_text("data\n")
    rules = [f'rule all:\n    input: "f{STEPS}"']
    rules += [
        f'rule s{n}:\n    input: "f{n - 1}"\n    output: "f{n}"\n    shell: "cp {{input}} {{output}}"'
        for n in range(1, STEPS + 1)
    ]
    (folder / "Snakefile").write_text("\n".join(rules) + "\n")
    return [str(binaries / "snakemake"), "-c2", "--quiet", "all"]


def measure() -> list[Result]:
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        top = Path(name)
        environment = {
            **os.environ,
            "DVC_NO_ANALYTICS": "1",
            "HOME": name,
            "ML_PIPELINES_CACHE": f"{name}/cache",
        }
        command = ours(top / "ours")
        run(command, cwd=top / "ours", env=environment)
        goals = {"make": None, "dvc repro": 1.0, "snakemake": 1.0}
        for peer_name, prepare in (("make", makefile), ("dvc repro", dvc), ("snakemake", snakemake)):
            folder = top / peer_name.replace(" ", "-")
            other = prepare(folder)
            if other is None:
                continue
            run(other, cwd=folder, env=environment)
            mine, theirs = pair(
                lambda: run(command, cwd=top / "ours", env=environment),
                lambda other=other, folder=folder: run(other, cwd=folder, env=environment),
                rounds=3,
            )
            title = f"ml-pipelines run, {STEPS} unchanged steps"
            results.append(Result(title, mine, peer_name, theirs, goals[peer_name]))
    return results


if __name__ == "__main__":
    for result in measure():
        print(result)
