"""On a real scheduler: a run in which nothing changed, and the start of a task in a folder of many definitions."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from common import Result
from imports import our_files

from airflow_ml_pipelines.testing import LocalAirflow

STEPS = 100
SIZES = (1, 100, 1000)
RUNS = 7
STARTS = 3

PEERS = """
from airflow.sdk import DAG, BaseOperator
from airflow_ml_pipelines._airflow import DownstreamTasksSkipped
from airflow.providers.standard.operators.empty import EmptyOperator

class Nothing(BaseOperator):
    def execute(self, context):
        pass

with DAG("one_task", schedule=None) as one:
    Nothing(task_id="only")

class SkipAll(BaseOperator):
    def execute(self, context):
        raise DownstreamTasksSkipped(tasks=[f"t{{n}}" for n in range({tasks})])

with DAG("skipped", schedule=None) as skipped:
    last = SkipAll(task_id="only")
    for n in range({tasks}):
        task = EmptyOperator(task_id=f"t{{n}}", trigger_rule="none_failed")
        last >> task
        last = task

with DAG("empty_chain", schedule=None) as chain:
    last = None
    for n in range({steps}):
        task = EmptyOperator(task_id=f"t{{n}}")
        if last is not None:
            last >> task
        last = task
"""
LOAD = "from dag_factory import load_pipelines  # airflow dag\nload_pipelines({folder!r})\n"
SCRIPT = "import pathlib, sys, time\npathlib.Path(sys.argv[-1], 't').write_text(repr(time.time()))\n"


def long_pipeline(folder: Path) -> None:
    (folder / "src").mkdir(parents=True)
    (folder / "src/run.py").write_text(SCRIPT)
    lines = ["name: long", "steps:"]
    for n in range(STEPS):
        lines += [f"  s{n}:", "    script: run.py", "    source_directory: src", "    outputs: {out: {}}"]
        lines += [f"    arguments: ['{n}', '${{{{outputs.out}}}}']"] + (
            [f"    after: [s{n - 1}]"] if n else []
        )
    (folder / "long.pipeline.yaml").write_text("\n".join(lines) + "\n")
    (folder / "workspace.yaml").write_text("name: bench\nroot: ../root\n")


def lay_out_runs(top: Path) -> Path:
    dags = top / "dags"
    dags.mkdir()
    (dags / "peers.py").write_text(PEERS.format(steps=STEPS, tasks=2 * STEPS))
    long_pipeline(top / "long")
    (dags / "long.py").write_text(LOAD.format(folder=str(top / "long")))
    return dags


def lay_out_starts(top: Path) -> Path:
    dags = top / "many"
    dags.mkdir()
    for size in SIZES:
        folder = top / f"many{size}"
        our_files(folder, size)
        (folder / "src/run.py").write_text(SCRIPT)
        for number, path in enumerate(sorted(folder.glob("*.pipeline.yaml"))):
            text = path.read_text().replace(f"name: {path.name.split('.')[0]}", f"name: m{size}_{number}")
            path.unlink()
            (folder / f"m{size}_{number}.pipeline.yaml").write_text(text)
        (dags / f"many{size}.py").write_text(LOAD.format(folder=str(folder)))
    return dags


@contextmanager
def airflow_with(top: Path, dags: Path, wanted: Sequence[str]) -> Iterator[LocalAirflow]:
    """An Airflow of its own, with the DAGs that are wanted switched on."""
    with LocalAirflow(
        top / f"airflow-{dags.name}",
        dags_folder=dags,
        settings={"dag_processor.min_file_process_interval": "600"},  # not in the midst of a measurement
        environment={"ML_PIPELINES_CACHE": str(top / "cache")},
    ) as airflow:
        for dag in wanted:
            airflow.wait_for_dag(dag, timeout=300)
            airflow.request("PATCH", f"/api/v2/dags/{dag}?update_mask=is_paused", {"is_paused": False})
        yield airflow


def run_seconds(airflow: LocalAirflow, dag: str) -> float:
    run = airflow.trigger(dag)
    state = airflow.wait_for_run(dag, run, timeout=600)
    assert state == "success", (dag, state)
    found = airflow.run(dag, run)
    return (
        datetime.fromisoformat(found["end_date"]) - datetime.fromisoformat(found["start_date"])
    ).total_seconds()


def start_seconds(airflow: LocalAirflow, dag: str, root: Path) -> float:
    """From when the first step's task was queued to its script's first line."""
    run = airflow.trigger(dag, {"regenerate_outputs": True})
    airflow.wait_for_run(dag, run, timeout=600)
    (task,) = (item for item in airflow.tasks(dag, run) if item["task_id"] == "s0.run")
    queued = datetime.fromisoformat(task["queued_when"]).timestamp()
    written = max(root.glob(f"data/**/{dag}/*/s0/*/out/t"), key=lambda path: path.stat().st_mtime)
    return float(written.read_text()) - queued


def measure() -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        top = Path(name)
        os.environ["ML_PIPELINES_CACHE"] = str(top / "cache")
        return [*measure_runs(top), *measure_starts(top)]


def measure_runs(top: Path) -> list[Result]:
    from airflow_ml_pipelines.core.runs.new_run import new_run
    from airflow_ml_pipelines.execution.runner import run_pipeline
    from airflow_ml_pipelines.workspace_file import load_workspace
    from dag_factory.definitions.definition import PipelineDefinition

    dags = lay_out_runs(top)
    path = top / "long/long.pipeline.yaml"
    spec = PipelineDefinition.from_yaml(path).to_spec(path.parent)
    outcome = run_pipeline(load_workspace(top / "long"), new_run(spec))  # what the scheduler is to reuse
    assert outcome.status == "Finished", outcome.errors
    compared = ("long", "one_task", "skipped")
    with airflow_with(top, dags, (*compared, "empty_chain")) as airflow:
        for dag in compared:  # the first task of a worker pays for its imports
            run_seconds(airflow, dag)
        rounds = [[run_seconds(airflow, dag) for dag in compared] for _ in range(RUNS)]
        chain = run_seconds(airflow, "empty_chain")
    mine, one, skipped = (statistics.median(column) for column in zip(*rounds, strict=True))
    title = f"DAG run, {STEPS} unchanged steps"
    return [
        Result(title, mine, "DAG of one task", one, 1.5),
        # as many tasks as ours, skipped by a first one that decides nothing: what Airflow itself takes for it
        Result(title, mine, f"{2 * STEPS} empty tasks, skipped", skipped, 1.5),
        Result(title, mine, f"chain of {STEPS} EmptyOperators", chain),
    ]


def measure_starts(top: Path) -> list[Result]:
    with airflow_with(top, lay_out_starts(top), [f"m{size}_0" for size in SIZES]) as airflow:
        starts = {
            size: statistics.median(
                start_seconds(airflow, f"m{size}_0", top / f"many{size}/.ml-pipelines") for _ in range(STARTS)
            )
            for size in SIZES
        }
    return [
        Result(
            f"task queued to script's first line, {size} definitions",
            starts[size],
            "… 1 definition",
            starts[1],
            1.25,
        )
        for size in SIZES[1:]
    ]


if __name__ == "__main__":
    for result in measure():
        print(result)
    sys.exit(0)
