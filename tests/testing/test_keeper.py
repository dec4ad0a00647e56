"""The keeper leaves nothing behind, whatever becomes of who started it."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest
from living import living

KEEPER = [sys.executable, "-m", "airflow_ml_pipelines.testing.keeper"]
FAMILY = """\
import subprocess, sys, time
child = "import time; time.sleep(60)"
subprocess.Popen([sys.executable, "-c", child])
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
print("started", flush=True)
time.sleep(60)
"""
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('started', flush=True); time.sleep(60)"


def start(code: str) -> subprocess.Popen:
    keeper = subprocess.Popen(
        [*KEEPER, sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert keeper.stdout.readline() == b"started\n"
    return keeper


def close(keeper: subprocess.Popen) -> None:
    keeper.stdin.close()
    keeper.wait()
    keeper.stdout.close()


def test_all_descendants_end_when_standard_input_does():
    keeper = start(FAMILY)
    family = psutil.Process(keeper.pid).children(recursive=True)
    assert len(family) == 3
    close(keeper)
    assert living(family) == []


def test_all_descendants_end_when_the_starter_is_killed():
    command = [*KEEPER, sys.executable, "-c", FAMILY]
    code = f"import subprocess as s; s.Popen({command!r}, stdin=s.PIPE, start_new_session=True).wait()"
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert starter.stdout.readline() == b"started\n"
    family = psutil.Process(starter.pid).children(recursive=True)
    assert len(family) == 4
    starter.kill()
    starter.wait()
    starter.stdout.close()
    until = time.monotonic() + 20
    while living(family) and time.monotonic() < until:
        time.sleep(0.02)
    assert living(family) == []


def test_the_status_is_that_of_the_command():
    keeper = subprocess.Popen(
        [*KEEPER, sys.executable, "-c", "raise SystemExit(3)"], stdin=subprocess.PIPE, start_new_session=True
    )
    assert keeper.wait() == 3
    keeper.stdin.close()


def test_it_refuses_to_share_a_group():
    done = subprocess.run([*KEEPER, "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "leader of a process group" in done.stderr


def test_what_ignores_sigterm_is_killed(monkeypatch):
    from airflow_ml_pipelines.testing import keeper

    monkeypatch.setattr(keeper, "GRACE_SECONDS", 0.2)
    stubborn = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    assert stubborn.stdout.readline() == b"started\n"
    stubborn.stdout.close()
    keeper._end([psutil.Process(stubborn.pid)])
    assert stubborn.wait() == -9


@pytest.mark.parametrize("command", [[], ["no-such-command-at-all"]])
def test_a_command_that_does_not_exist_is_no_success(command):
    done = subprocess.run(
        [*KEEPER, *command],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        check=False,
    )
    assert done.returncode != 0
