"""The processes of a local Airflow's triggerer: found, put to sleep for a while."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from airflow_ml_pipelines.testing import LocalAirflow

__all__ = ["find_triggerer", "suspended"]


def find_triggerer(airflow: LocalAirflow) -> list[int]:
    """Return the processes of an Airflow's triggerer."""
    found = []
    home = f"AIRFLOW_HOME={airflow.home}\0".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            is_its = home in (folder / "environ").read_bytes()
            if is_its and b"triggerer" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    assert found, "no process of this Airflow is a triggerer"
    return found


@contextmanager
def suspended(processes: Sequence[int]) -> Iterator[None]:
    """Let processes do nothing while the block runs."""
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
