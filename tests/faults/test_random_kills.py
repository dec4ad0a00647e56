"""SIGKILL at random moments of real commands: the command alone, or all of its processes at once.

``ML_PIPELINES_KILLS=200`` kills so often in all, ``ML_PIPELINES_SEED`` repeats the moments of another time.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress

import psutil
import pytest
from shop import COMMAND, Shop

KILLS = int(os.environ.get("ML_PIPELINES_KILLS", "20"))
SEED = int(os.environ.get("ML_PIPELINES_SEED", random.SystemRandom().randrange(1 << 32)))
EVERY = 4
"""After so many kills a run goes on to its end."""


class Killer:
    """Runs commands, some of them not to their end.

    :ivar kills: how many were killed so far.
    :ivar told: what happened, for people who want to know why a test failed.
    """

    def __init__(self, shop: Shop, chance: random.Random) -> None:
        self.shop = shop
        self.chance = chance
        self.kills = 0
        self.lengths: dict[str, float] = {}
        self.told: list[str] = [f"seed {SEED}"]

    def run(self, arguments: list[str]) -> None:
        """Run a command to its end."""
        begin = time.monotonic()
        ended = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120)
        self.lengths[arguments[0]] = time.monotonic() - begin
        self.told.append(f"{arguments}: {ended.returncode}")
        assert (ended.returncode, ended.stderr) == (0, ""), (self.told, ended)

    def kill(self, arguments: list[str]) -> None:
        """Begin a command and kill it at some moment, if it has not ended by then."""
        delay = self.chance.uniform(0.15, 1.05) * self.lengths[arguments[0]]
        everybody = self.chance.random() < 0.5
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(delay)
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        if everybody:
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        self.told.append(f"{arguments}, killed after {delay:.3f} s with {len(children)}: {process.wait()}")
        self.kills += process.returncode == -signal.SIGKILL
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive, (self.told, alive)
        self.shop.expire_leases()
        assert self.shop.findings() == [], self.told

    def run_right(self) -> None:
        """Run the pipeline to its end, with the same result as one that nobody ever killed."""
        self.run(self.shop.run_command)
        assert self.shop.outputs() == self.shop.expected(), self.told
        assert self.shop.findings() == [], self.told


@pytest.fixture
def killer(shop):
    killer = Killer(shop, random.Random(SEED))
    killer.run_right()
    return killer


@pytest.mark.timeout(1800)
def test_runs_that_are_killed(killer):
    shop = killer.shop
    shop.write_script("split", 1)
    killer.run_right()
    while killer.kills < KILLS // 2:
        for _ in range(EVERY):
            shop.change(killer.chance)
            killer.kill(shop.run_command)
        killer.run_right()


@pytest.mark.timeout(1800)
def test_clean_ups_that_are_killed(killer):
    shop = killer.shop
    killer.run(shop.gc_command)
    while killer.kills < KILLS // 4:
        for _ in range(EVERY):
            if killer.chance.random() < 0.5:
                shop.change(killer.chance)
                killer.run_right()
                shop.age(killer.chance.choice((0.5, 2, 9)))
            killer.kill(shop.gc_command)
        killer.run_right()
        killer.run(shop.gc_command)


@pytest.mark.timeout(1800)
def test_acceptances_that_are_killed(killer):
    shop = killer.shop
    number = 0
    while killer.kills < KILLS // 4:
        for _ in range(EVERY):
            number += 1
            step = killer.chance.choice(sorted(shop.revisions))
            shop.write_script(step, shop.revisions[step], f"comment {number}")
            if number == 1:
                killer.run(shop.accept_command)
            else:
                killer.kill(shop.accept_command)
        killer.run_right()
