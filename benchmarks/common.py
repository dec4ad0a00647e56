"""What the benchmarks share: peers in virtual environments of their own, medians of whole commands, results."""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CACHE = Path(os.environ.get("ML_PIPELINES_BENCH_CACHE", Path.home() / ".cache/ml-pipelines/bench"))
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Result:
    """One measured thing against its peer.

    :param value: in the unit, as ``peer_value``.
    :param goal: the ratio that is aimed at, None where there is none.
    :param unit: ``s`` for seconds, or ``MB`` for the memory that a process had at most.
    """

    name: str
    value: float
    peer: str
    peer_value: float
    goal: float | None = None
    unit: str = "s"

    @property
    def ratio(self) -> float:
        return self.value / self.peer_value

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": round(self.ratio, 3)}

    def __str__(self) -> str:
        goal = (
            ""
            if self.goal is None
            else f"  goal ≤ {self.goal:g}  {'ok' if self.ratio <= self.goal else 'MISSED'}"
        )
        factor, unit = (1000, "ms") if self.unit == "s" else (1, self.unit)
        return (
            f"{self.name:58} {self.value * factor:9.1f} {unit}  {self.peer:34} {self.peer_value * factor:9.1f} {unit}"
            f"  ratio {self.ratio:6.2f}{goal}"
        )


def peer(*packages: str) -> Path | None:
    """Return the ``bin`` folder of a virtual environment with packages, None where they can't be installed."""
    name = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:12]
    folder = CACHE / name
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        uv = shutil.which("uv") or (str(BIN / "uv") if (BIN / "uv").exists() else None)
        python = folder / "bin/python"
        try:
            if uv:
                run([uv, "venv", "-q", "--python", sys.executable, str(folder)])
                run([uv, "pip", "install", "-q", "--compile-bytecode", "--python", str(python), *packages])
            else:
                run([sys.executable, "-m", "venv", str(folder)])
                run([str(python), "-m", "pip", "install", "-q", *packages])
        except subprocess.CalledProcessError as error:
            print(f"   can't install {', '.join(packages)}: {error.stderr[-300:]}")
            return None
        (folder / "ready").touch()
    return folder / "bin"


def run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. :raises CalledProcessError: where it fails."""
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)


def seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """Return the median of several rounds, after one that does not count."""
    work()
    return statistics.median(_time(work) for _ in range(rounds))


def pair(one: Callable[[], object], other: Callable[[], object], rounds: int = 5) -> tuple[float, float]:
    """Return the medians of two things that are measured in turn, so that a machine that drifts drifts for both."""
    one(), other()
    times = [(_time(one), _time(other)) for _ in range(rounds)]
    return statistics.median(a for a, _ in times), statistics.median(b for _, b in times)


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
