"""Runs every benchmark, or those that are named, and writes ``results.json`` beside this file: ratios to the peers measured in the same run."""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
BENCHMARKS = (
    "snapshot",
    "steps",
    "unchanged",
    "explain",
    "imports",
    "lint",
    "clean_up",
    "compute",
    "scheduler",
    "publish",
    "transfer",
    "page",
)
PACKAGES = (
    "airflow-provider-ml-pipelines",
    "apache-airflow",
    "apache-airflow-task-sdk",
    "pydantic",
    "msgspec",
)


def main(wanted: list[str]) -> int:
    start = time.monotonic()
    found = {}
    for name in wanted or BENCHMARKS:
        print(f"== {name}", flush=True)
        results = importlib.import_module(name).measure()
        for result in results:
            print(f"   {result}", flush=True)
        found[name] = [result.to_dict() for result in results]
    seconds = round(time.monotonic() - start)
    print(f"took {seconds} s")
    path = HERE / "results.json"
    known = json.loads(path.read_text())["results"] if path.exists() else {}
    document = {
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "versions": {package: version(package) for package in PACKAGES},
        "results": {**known, **found},
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
