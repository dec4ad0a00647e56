"""Published pipelines: what our REST call adds to Airflow's own, and what publishing and listing take."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from common import Result, pair, seconds

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # PostgreSQL, and an Airflow with users

VERSIONS = 200
ROUNDS = 24
PAUSE = 0.6  # seconds in which nothing of the run before is left to do
BATCHES = 8
AT_ONCE = 20

PLAIN = """
from airflow.sdk import DAG, BaseOperator

class Nothing(BaseOperator):
    def execute(self, context):
        pass

with DAG("plain", schedule=None):
    Nothing(task_id="plan")
"""


def measure() -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        top = Path(name)
        os.environ["ML_PIPELINES_CACHE"] = str(top / "cache")
        return [*measure_library(top), *measure_server(top)]


def measure_library(top: Path) -> list[Result]:
    from dag_factory import Pipeline, PublishedPipeline, PythonScriptStep, Workspace

    source = top / "source"
    source.mkdir()
    for number in range(20):
        (source / f"file{number}.py").write_text("print('x')\n" * 100)
    past = time.time() - 60  # what was written just now is read again each time
    for file in source.iterdir():
        os.utime(file, (past, past))
    ws = Workspace.create("bench", folder=top / "library", show_output=False)
    step = PythonScriptStep("file0.py", source_directory=source)
    pipeline = Pipeline(ws, [step], name="listed")
    for _ in range(VERSIONS):
        pipeline.publish()
    folder = ws.core.store.local_path("pipelines/listed")

    def read() -> None:
        for number in range(1, VERSIONS + 1):
            (folder / f"{number}.json").read_bytes()

    listed, plain = pair(lambda: PublishedPipeline.list(ws), read)
    publish = seconds(pipeline.publish)
    return [
        Result(f"listing {VERSIONS} published versions, again", listed, "reading their files", plain, 1.0),
        Result("publishing an unchanged pipeline of 20 files", publish, "listing 200 versions", listed),
    ]


def measure_server(top: Path) -> list[Result]:
    from servers.airflow import API, serve
    from servers.postgres import PostgresServer

    postgres = PostgresServer()
    postgres.start()
    (top / "server").mkdir()
    try:
        with serve(top / "server", postgres.create_database("bench")) as served:
            (served.airflow.dags_folder / "plain.py").write_text(PLAIN)
            published = served.publish("mine", "print('nothing')\n")
            for dag_id in ("plain", published.id):
                served.airflow_dag(dag_id, timeout=300)
            served.mine = (f"{API}/pipelines/{published.id}", {}, "Id", published.id)
            served.plain = ("/api/v2/dags/plain/dagRuns", {"logical_date": None}, "dag_run_id", "plain")
            return [_latency(served), _rate(served)]
    finally:
        postgres.stop()


def _latency(served) -> Result:
    for call in (served.mine, served.plain):  # the first task of a worker pays for its imports
        for _ in range(4):
            _first_task(served, call)
    mine, plain = _in_turn(served, _first_task, ROUNDS)
    return Result("submission to the first task's start", mine, "a plain DAG, by Airflow's call", plain, 1.1)


def _rate(served) -> Result:
    mine, plain = _in_turn(served, _batch, BATCHES)
    title = f"{AT_ONCE} submissions from 4 threads"
    return Result(title, mine, "a plain DAG, by Airflow's call", plain, 1 / 0.9)


def _in_turn(served, work, rounds: int) -> tuple[float, float]:
    """Return the medians of both; who goes first changes, since the second has the first one's leavings to bear."""
    times: dict[str, list[float]] = {"mine": [], "plain": []}
    for number in range(rounds):
        for name in ("mine", "plain") if number % 2 else ("plain", "mine"):
            times[name].append(work(served, getattr(served, name)))
    return statistics.median(times["mine"]), statistics.median(times["plain"])


def _submit(served, call) -> str:
    path, body, key, _ = call
    status, answer = served.call("POST", path, body)
    assert status == 200, answer
    return answer[key]


def _first_task(served, call) -> float:
    """From when a run is asked for to the start of its first task, with nothing else under way."""
    time.sleep(PAUSE)
    asked = time.time()
    run, dag_id = _submit(served, call), call[3]
    assert served.wait(dag_id, run) == "success"
    _, task = served.call(
        "GET", f"/api/v2/dags/{dag_id}/dagRuns/{run.replace('+', '%2B')}/taskInstances/plan"
    )
    return datetime.fromisoformat(task["start_date"]).timestamp() - asked


def _batch(served, call) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: _submit(served, call), range(AT_ONCE)))
    taken = time.perf_counter() - start
    for run in runs:
        served.wait(call[3], run)
    return taken


if __name__ == "__main__":
    for result in measure():
        print(result)
    sys.exit(0)
