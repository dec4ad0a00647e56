"""SIGKILL at random moments of runs on a scheduler: of tasks, and of the scripts that they run."""

from __future__ import annotations

import os
import random
import time
from contextlib import suppress

import psutil
import pytest
from shop import Shop

from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.testing import LocalAirflow

KILLS = int(os.environ.get("ML_PIPELINES_KILLS", "20")) // 2
SEED = int(os.environ.get("ML_PIPELINES_SEED", random.SystemRandom().randrange(1 << 32)))
SETTINGS = {"workers.min_heartbeat_interval": "1"}
WORKER = "airflow worker -- LocalExecutor"


class Killer:
    """Kills what a scheduler has started."""

    def __init__(self, airflow: LocalAirflow, chance: random.Random) -> None:
        self.airflow = airflow
        self.chance = chance
        self.told: list[str] = [f"seed {SEED}"]

    def processes(self) -> list[psutil.Process]:
        """Return the processes of tasks, and those of their scripts.

        Their parents are what the executor runs tasks in; those share a lock, which one that is killed never gives back.
        """
        assert self.airflow._process is not None
        found = []
        for worker in psutil.Process(self.airflow._process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if " ".join(worker.cmdline()).startswith(WORKER):
                    found += worker.children(recursive=True)
        return found

    def kill_one(self) -> None:
        """Kill one of them, if there is any."""
        found = self.processes()
        if found:
            process = self.chance.choice(found)
            with suppress(psutil.NoSuchProcess):
                title = " ".join(process.cmdline()).strip("\0 ")
                process.kill()
                self.told.append(title)

    @property
    def kills(self) -> int:
        return len(self.told) - 1

    def wait_for_quiet(self) -> None:
        """Wait until nothing runs any more, also of what nobody watches over."""
        until = time.monotonic() + 90
        while self.processes():
            assert time.monotonic() < until, self.told
            time.sleep(0.2)


@pytest.fixture
def airflow(shop, tmp_path):
    text = shop.file.read_text()
    shop.file.write_text("retries: 60\nretry_delay: 0s\n" + text)
    (shop.folder / "pipelines.py").write_text(
        "from airflow.sdk import DAG\nfrom dag_factory import load_pipelines\n\nload_pipelines()\n"
    )
    settings = SETTINGS | {"ml_pipelines.workspace": str(shop.folder / "workspace.yaml")}
    with LocalAirflow(tmp_path / "airflow", dags_folder=shop.folder, settings=settings) as airflow:
        airflow.wait_for_dag("shop")
        yield airflow


@pytest.mark.timeout(1800)
def test_runs_whose_processes_are_killed_end_right(shop: Shop, airflow):
    killer = Killer(airflow, random.Random(SEED))
    while killer.kills < KILLS:
        for _ in range(3):
            shop.change(killer.chance)
        run_id = airflow.trigger("shop", {"word": shop.word})
        while airflow.run("shop", run_id)["state"] not in ("success", "failed"):
            time.sleep(killer.chance.uniform(0.1, 2.5))
            if killer.kills < KILLS:
                killer.kill_one()
        assert airflow.run("shop", run_id)["state"] == "success", killer.told
        assert shop.outputs(RunFolder(shop.workspace.store, "shop", run_id)) == shop.expected(), killer.told
        killer.wait_for_quiet()
        shop.expire_leases()
        assert shop.findings() == [], killer.told
    print(*killer.told, sep="\n")
