"""The pages on 10,000 runs of 10 steps, against the grid of Airflow's own UI for as many runs, from the same API server.

``ML_PIPELINES_BENCH_RUNS`` takes another number of runs.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from common import Result

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # runs by their documents

RUNS = int(os.environ.get("ML_PIPELINES_BENCH_RUNS", "10000"))
STEPS = 10
ROUNDS = 40
PAINTS = 12
SHOWN = 50

DAG = f"""
from airflow.sdk import DAG, BaseOperator

class Nothing(BaseOperator):
    def execute(self, context):
        pass

with DAG("plain", schedule=None):
    last = None
    for number in range({STEPS}):
        task = Nothing(task_id=f"s{{number}}")
        last = task if last is None else last >> task
"""


def measure() -> list[Result]:
    from airflow_ml_pipelines.testing import LocalAirflow
    from airflow_ml_pipelines.workspace_file import create_workspace_file

    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        top = Path(name)
        os.environ["ML_PIPELINES_CACHE"] = str(top / "cache")
        (top / "dags").mkdir()
        (top / "dags/plain.py").write_text(DAG)
        (top / "ws").mkdir()
        workspace = create_workspace_file(top / "ws", "bench")
        make_runs(workspace)
        built, again = index_seconds(workspace)
        # an Airflow without anything to do: its scheduler is not to take the time of what is measured
        settings = {"ml_pipelines.workspace": str(workspace.file), "scheduler.scheduler_idle_sleep_time": "5"}
        airflow = LocalAirflow(top / "airflow", dags_folder=top / "dags", settings=settings)
        with airflow:
            airflow.wait_for_dag("plain")
            airflow.wait_for_run("plain", airflow.trigger("plain"))
        copy_runs(top / "airflow/airflow.db")
        with airflow:
            return [
                *measure_pages(airflow),
                *measure_paint(airflow),
                Result(f"bringing the index of {RUNS} runs up to date", again, "making it first", built),
            ]


def make_runs(workspace) -> None:
    from made_runs import chain, make_run

    spec = chain("steps", STEPS)
    make_run(workspace, spec, "first", metrics={"accuracy": 0.5})
    for number in range(1, RUNS):
        reused = number % STEPS  # of each ten runs one runs every step, one only the last, and so on
        states = {f"s{step}": "reused" for step in range(1, reused + 1)}
        parameters = {"depth": number % 7, "rate": number / RUNS}
        metrics = {"accuracy": number / RUNS, "loss": [3.0, 2.0, 1.0]}
        make_run(
            workspace,
            spec,
            f"run-{number}",
            number=number,
            states=states,
            parameters=parameters,
            metrics=metrics,
        )


def index_seconds(workspace) -> tuple[float, float]:
    """Return how long it takes to make the index, and to bring it up to date where nothing has changed."""
    from airflow_ml_pipelines.core.run_index import RunIndex

    index = RunIndex(workspace)
    found = []
    for _ in range(4):
        start = time.perf_counter()
        index.update()
        found.append(time.perf_counter() - start)
    return found[0], statistics.median(found[1:])


def copy_runs(database: Path) -> None:
    """Give Airflow as many runs as there are in the workspace: copies of the one that it made."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for table, key, new in (
            ("dag_run", "id", "1000 + n"),
            ("task_instance", "id", "hex(randomblob(16))"),
        ):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = [
                {
                    key: new,
                    "run_id": "'copy-' || n",
                    "run_after": "datetime(run_after, '-' || n || ' minutes')",
                    "logical_date": "NULL",
                }.get(column, column)
                for column in columns
            ]
            connection.execute(
                f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {RUNS - 1}) "
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM "
                f"(SELECT * FROM {table} WHERE dag_id = 'plain'), numbers"
            )


def measure_pages(airflow) -> list[Result]:
    runs = [
        run["run_id"]
        for run in airflow.request("GET", f"/ui/grid/runs/plain?limit={SHOWN}&order_by=-run_after")
    ]
    assert len(runs) == min(SHOWN, RUNS)
    summaries = "&".join(f"run_ids={quote(run)}" for run in runs)

    def get(path: str) -> str:
        return airflow.request("GET", path)

    def grid() -> None:
        get(f"/ui/grid/runs/plain?limit={SHOWN}&order_by=-run_after")
        get(f"/ui/grid/ti_summaries/plain?{summaries}")

    page = "/ml-pipelines/ui"
    while "data-refresh" in get(f"{page}/runs"):
        time.sleep(1)
    last = RUNS - 1
    peer = f"Airflow's grid of {SHOWN} of {RUNS} runs"
    found = []
    for name, path, goal in (
        (f"page of {SHOWN} of {RUNS} runs, p95", f"{page}/runs", 1.0),
        (
            "the same with three conditions, p95",
            f"{page}/runs?parameter=depth%3D3&metric=accuracy%3E0.5&status=Finished",
            1.0,
        ),
        ("a run with its graph, p95", f"{page}/runs/steps/run-{last}", 1.0),
        ("a step, p95", f"{page}/runs/steps/run-{last}/steps/s{STEPS}", 1.0),
        ("what reuse saved, p95", f"{page}/savings", 1.0),
    ):
        ours, theirs = p95_pair(lambda path=path: get(path), grid)
        found.append(Result(name, ours, peer, theirs, goal))
    return found


def measure_paint(airflow) -> list[Result]:
    """Return how long a browser takes to show a run: a page of ours, and Airflow's own of a DAG with its grid.

    Both come from the browser's cache as far as they may, which is most of Airflow's.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        print("   Chromium is not installed: no first paint")
        return []
    from playwright.sync_api import sync_playwright

    ours = airflow.url + f"/ml-pipelines/ui/runs/steps/run-{RUNS - 1}"
    theirs = airflow.url + "/dags/plain"
    there = {
        ours: "svg.graph a.node",
        theirs: f"text=s{STEPS - 1}",
    }  # the last step of the graph, and of the grid
    painted: dict[str, list[float]] = {ours: [], theirs: []}
    shown: dict[str, list[float]] = {ours: [], theirs: []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        tab.set_default_timeout(120_000)
        for number in range(PAINTS + 1):
            for url in (ours, theirs):
                start = time.perf_counter()
                tab.goto(url, wait_until="commit")
                tab.locator(there[url]).last.wait_for()
                taken = time.perf_counter() - start
                first = tab.evaluate(
                    "() => new Promise(done => new PerformanceObserver(list => {"
                    " const found = list.getEntriesByName('first-contentful-paint')[0];"
                    " if (found) done(found.startTime) }).observe({type: 'paint', buffered: true}))"
                )
                if number:  # the first time fills the caches
                    painted[url].append(first / 1000)
                    shown[url].append(taken)
        browser.close()
    return [
        Result(
            "first contentful paint of a run's page, median",
            statistics.median(painted[ours]),
            "of Airflow's page of a DAG",
            statistics.median(painted[theirs]),
            1.0,
        ),
        Result(
            "until its graph is there, median",
            statistics.median(shown[ours]),
            "until Airflow's grid is there",
            statistics.median(shown[theirs]),
            1.0,
        ),
    ]


def p95_pair(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Return the 95th percentile of each, measured in turn so that what else the machine does meets both."""
    times: tuple[list[float], list[float]] = ([], [])
    for work in (one, other):
        work()
    for _ in range(ROUNDS):
        for work, taken in zip((one, other), times, strict=True):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return statistics.quantiles(times[0], n=20)[-1], statistics.quantiles(times[1], n=20)[-1]
