"""How long `ml-pipelines lint` takes for a thousand definitions, against dag-factory's, which looks for syntax errors alone.

Ours are checked as a whole: fields, names, bindings, cycles, scripts, destinations, schedules.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from common import BIN, Result, pair, peer, run, seconds
from imports import STEPS, factory_files

COUNT = 1000
PARSE = """
import sys, yaml, pathlib
for file in pathlib.Path(sys.argv[1]).glob("*.pipeline.yaml"):
    yaml.load(file.read_text(), yaml.CSafeLoader)
"""


def definitions(folder: Path, count: int) -> None:
    """Definitions of a chain of steps, each with parameters, data and bindings."""
    (folder / "src").mkdir(parents=True)
    (folder / "src/run.py").write_text("")
    for number in range(count):
        steps = [
            f"  s{n}:\n    script: run.py\n    source_directory: src\n    outputs: {{out: }}\n"
            f'    arguments: [--n, {n}, --depth, "${{{{ parameters.depth }}}}", --out, "${{{{ outputs.out }}}}"'
            + (f', --in, "${{{{ steps.s{n - 1}.outputs.out }}}}"]\n' if n else ', "${{ inputs.images }}"]\n')
            + ("" if n else "    inputs: {images: images}\n")
            for n in range(STEPS)
        ]
        head = (
            f"description: Pipeline {number}.\nschedule: '@daily'\nstart_date: 2026-01-01\n"
            "parameters:\n  depth: {default: 8, minimum: 1, maximum: 64}\ndata:\n  images: {path: train-images}\n"
        )
        (folder / f"p{number}.pipeline.yaml").write_text(head + "steps:\n" + "".join(steps))


def measure() -> list[Result]:
    title = f"lint of {COUNT} definitions of {STEPS} steps"
    factory = peer("dag-factory", "apache-airflow-providers-standard")
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        top = Path(name)
        definitions(top / "ours", COUNT)
        ours = [str(BIN / "ml-pipelines"), "lint", str(top / "ours")]
        mine, parsed = pair(
            lambda: run(ours), lambda: run([sys.executable, "-c", PARSE, str(top / "ours")]), rounds=3
        )
        results.append(Result(title, mine, "yaml.load of the same files, in C", parsed))
        if factory is not None:
            factory_files(top / "factory", COUNT)
            environment = {**os.environ, "AIRFLOW_HOME": str(top / "airflow")}
            command = [str(factory / "dagfactory"), "lint", str(top / "factory")]
            theirs = seconds(lambda: run(command, env=environment), rounds=1)
            results.append(Result(title, mine, "dag-factory, syntax alone", theirs, 1.0))
    return results


if __name__ == "__main__":
    for result in measure():
        print(result)
