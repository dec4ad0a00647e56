"""Steps in containers, run by a real scheduler: killed tasks, lost workers, results that both worlds share."""

from __future__ import annotations

import json
import os
import signal
import textwrap
import time
from pathlib import Path

import msgspec
import pytest

from airflow_ml_pipelines.core.new_run import new_run
from airflow_ml_pipelines.core.runs import RunFolder
from airflow_ml_pipelines.execution.runner import run_pipeline
from airflow_ml_pipelines.execution.targets.labels import workspace_label
from airflow_ml_pipelines.testing import LocalAirflow
from airflow_ml_pipelines.workspace_file import load_workspace
from dag_factory.definition import PipelineDefinition

docker = pytest.importorskip("docker")

SCRIPT = """
    import pathlib, sys, time
    gate, out, word = map(pathlib.Path, sys.argv[1:])
    with open(gate / "ran.log", "a") as log:
        log.write(f"{word}\\n")
    print("begun", flush=True)
    while (gate / f"hold-{word}").exists():
        time.sleep(0.05)
    (out / "word.txt").write_text(str(word))
"""

PIPELINE = """
    name: boxed
    retries: 1
    retry_delay: 1
    parameters: {word: first}
    steps:
      one:
        script: step.py
        source_directory: source
        compute_target: box
        outputs: {out: }
        arguments: [GATE, "${{ outputs.out }}", "${{ parameters.word }}"]
"""


class Boxed:
    """An Airflow whose steps run in containers."""

    def __init__(self, folder: Path, docker_url: str, image: str) -> None:
        self.gate = folder / "gate"
        self.dags = folder / "dags"
        (self.dags / "source").mkdir(parents=True)
        self.gate.mkdir()
        (self.gate / "ran.log").touch()
        (self.dags / "source" / "step.py").write_text(textwrap.dedent(SCRIPT))
        (self.dags / "boxed.pipeline.yaml").write_text(
            textwrap.dedent(PIPELINE).replace("GATE", str(self.gate))
        )
        (self.dags / "load.py").write_text(
            "from dag_factory import load_pipelines  # airflow DAG\n\nload_pipelines()\n"
        )
        box = {"type": "docker", "url": docker_url, "image": image, "mounts": [f"{self.gate}:{self.gate}"]}
        file = folder / "workspace.yaml"
        file.write_text(json.dumps({"name": "boxed", "compute_targets": {"box": box}, "lease_seconds": 8}))
        self.workspace = load_workspace(file)
        self.client = docker.APIClient(base_url=docker_url, version="auto")
        self.airflow = LocalAirflow(
            folder / "airflow",
            dags_folder=self.dags,
            settings={
                "ml_pipelines.workspace": str(file),
                "scheduler.task_instance_heartbeat_timeout": "10",
                "scheduler.task_instance_heartbeat_timeout_detection_interval": "2",
            },
        )

    def start(self, word: str, *, hold: bool = False) -> str:
        if hold:
            (self.gate / f"hold-{word}").touch()
        self.airflow.wait_for_dag("boxed")
        return self.airflow.trigger("boxed", {"word": word})

    def release(self, word: str) -> None:
        (self.gate / f"hold-{word}").unlink()

    def ran(self, word: str) -> int:
        return (self.gate / "ran.log").read_text().split().count(word)

    def containers(self) -> list:
        label, value = workspace_label(self.workspace)
        return self.client.containers(all=True, filters={"label": [f"{label}={value}"]})

    def wait_until(self, condition, timeout: float = 90) -> None:
        until = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < until, "waited for in vain\n" + self.airflow.log_tail()
            time.sleep(0.1)


@pytest.fixture(scope="module")
def boxed(docker_url, tmp_path_factory):
    from servers.docker_engine import BASE_IMAGE

    made = Boxed(tmp_path_factory.mktemp("boxed"), docker_url, BASE_IMAGE)
    with made.airflow:
        yield made
    made.client.close()


def test_a_run_in_containers_is_reused_by_one_without_and_the_other_way_round(boxed):
    definition = PipelineDefinition.from_yaml(boxed.dags / "boxed.pipeline.yaml")
    spec = definition.to_spec()
    here = msgspec.structs.replace(
        spec, steps=tuple(msgspec.structs.replace(step, compute_target="local") for step in spec.steps)
    )
    run_id = boxed.start("shared")
    assert boxed.airflow.wait_for_run("boxed", run_id) == "success"
    assert (
        run_pipeline(boxed.workspace, new_run(here, parameters={"word": "shared"})).steps["one"].status
        == "reused"
    )
    assert (
        run_pipeline(boxed.workspace, new_run(here, parameters={"word": "back"})).steps["one"].status
        == "finished"
    )
    run_id = boxed.start("back")
    assert boxed.airflow.wait_for_run("boxed", run_id) == "success"
    assert (boxed.ran("shared"), boxed.ran("back")) == (1, 1)
    assert boxed.containers() == []


def test_marking_the_task_as_failed_removes_the_container(boxed):
    run_id = boxed.start("doomed", hold=True)
    boxed.wait_until(lambda: boxed.ran("doomed"))
    assert len(boxed.containers()) == 1
    path = f"/api/v2/dags/boxed/dagRuns/{run_id}/taskInstances/one.run"
    boxed.airflow.request("PATCH", path, {"new_state": "failed"})
    boxed.wait_until(lambda: boxed.containers() == [], 30)
    boxed.release("doomed")


def test_the_retry_takes_over_the_container_of_a_worker_that_was_killed(boxed):
    run_id = boxed.start("lost", hold=True)
    boxed.wait_until(lambda: boxed.ran("lost"))
    folder = RunFolder(boxed.workspace.store, "boxed", run_id)
    key = folder.read_step("one").key
    [lease] = [info.path for info in boxed.workspace.store.walk(f"leases/{key[:2]}/{key}")]
    task = json.loads(boxed.workspace.store.get(lease))["process"]
    supervisor = int(Path(f"/proc/{task}/stat").read_text().rpartition(")")[2].split()[1])
    for process in (supervisor, task):
        os.kill(process, signal.SIGKILL)
    time.sleep(1)
    assert len(boxed.containers()) == 1
    boxed.release("lost")
    assert boxed.airflow.wait_for_run("boxed", run_id, timeout=120) == "success"
    assert boxed.ran("lost") == 1
    assert folder.read_step("one").attempt == 1
    assert boxed.containers() == []
