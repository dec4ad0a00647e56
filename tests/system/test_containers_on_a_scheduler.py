"""Steps in containers and pods, run by a real scheduler: killed tasks, lost workers, results that all share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from servers.triggerer import find_triggerer, suspended

from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.execution.left import read_left
from airflow_ml_pipelines.execution.runner import run_pipeline
from airflow_ml_pipelines.execution.targets.labels import workspace_label
from airflow_ml_pipelines.testing import LocalAirflow
from airflow_ml_pipelines.workspace_file import load_workspace
from dag_factory.definitions.definition import PipelineDefinition

docker = pytest.importorskip("docker")
pytest.importorskip("kubernetes")

EXAMPLES = Path(__file__).parent.parent.parent / "example_dags"
KINDS = ("docker", "kubernetes")
DEFERRED = ("docker-deferred", "kubernetes-deferred")
STEPS = {"prepare", "train_logistic", "train_forest", "compare"}

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
    name: boxed-KIND
    retries: 1
    retry_delay: 1
    parameters: {word: first}
    steps:
      one:
        script: step.py
        source_directory: source
        compute_target: KIND
        outputs: {out: }
        arguments: [GATE, "${{ outputs.out }}", "${{ parameters.word }}"]
"""

DIGITS = """
    extends: EXAMPLES/digits.pipeline.yaml
    name: digits-KIND
    default_compute_target: KIND
    default_environment:
      pip: [joblib, matplotlib, numpy, scikit-learn]
"""


class Boxed:
    """An Airflow whose steps run in containers and pods."""

    def __init__(self, folder: Path, docker_url: str, image: str, cluster, database: str) -> None:
        self.gate = folder / "gate"
        self.dags = folder / "dags"
        self.cluster = cluster
        (self.dags / "source").mkdir(parents=True)
        self.gate.mkdir()
        (self.gate / "ran.log").touch()
        (self.dags / "source" / "step.py").write_text(textwrap.dedent(SCRIPT))
        for kind in (*KINDS, *DEFERRED):
            self.write(f"boxed-{kind}", PIPELINE, KIND=kind, GATE=str(self.gate))
        short = PIPELINE.replace("name: boxed-KIND", "name: boxed-short\n    timeout: 25")
        self.write("boxed-short", short, KIND="docker-deferred", GATE=str(self.gate))
        for kind in (*KINDS, "local"):
            self.write(f"digits-{kind}", DIGITS, KIND=kind, EXAMPLES=str(EXAMPLES))
        (self.dags / "load.py").write_text(
            "from dag_factory import load_pipelines  # airflow DAG\n\nload_pipelines()\n"
        )
        mounts = [f"{self.gate}:{self.gate}"]
        targets = {
            "docker": {"type": "docker", "url": docker_url, "image": image, "mounts": mounts},
            "kubernetes": {
                "type": "kubernetes",
                "config_file": str(cluster.kubeconfig(folder / "kubeconfig")),
                "image": image,
                "builder": docker_url,
                "volumes": [{"name": "here", "hostPath": {"path": str(folder)}}],
                "volume_mounts": [{"name": "here", "mountPath": str(folder)}],
                "shared_paths": True,
            },
        }
        targets |= {name: {**targets[name.partition("-")[0]], "deferrable": True} for name in DEFERRED}
        file = folder / "workspace.yaml"
        file.write_text(json.dumps({"name": "boxed", "compute_targets": targets, "lease_seconds": 8}))
        make_data = [sys.executable, str(EXAMPLES / "make_data.py"), "--workspace", str(file)]
        subprocess.run(make_data, check=True, stdout=subprocess.DEVNULL)
        self.workspace = load_workspace(file)
        self.client = docker.APIClient(base_url=docker_url, version="auto")
        self.airflow = LocalAirflow(
            folder / "airflow",
            dags_folder=self.dags,
            database=database,
            settings={
                "ml_pipelines.workspace": str(file),
                "scheduler.task_instance_heartbeat_timeout": "10",
                "scheduler.task_instance_heartbeat_timeout_detection_interval": "2",
                "workers.min_heartbeat_interval": "1",
                "triggerer.job_heartbeat_sec": "1",
                "triggerer.triggerer_health_check_threshold": "8",
            },
            environment={"ML_PIPELINES_CACHE": str(folder / "cache")},
        )

    def write(self, name: str, text: str, **values: str) -> None:
        text = textwrap.dedent(text)
        for word, value in values.items():
            text = text.replace(word, value)
        (self.dags / f"{name}.pipeline.yaml").write_text(text)

    def run(self, name: str, **conf: object) -> RunFolder:
        """Run a pipeline to its good end."""
        self.airflow.wait_for_dag(name)
        run_id = self.airflow.trigger(name, conf)
        state = self.airflow.wait_for_run(name, run_id, timeout=240)
        folder = RunFolder(self.workspace.store, name, run_id)
        assert state == "success", {step: found.error for step, found in folder.steps().items()}
        return folder

    def start(self, kind: str, word: str) -> str:
        """Start a run whose script waits."""
        self.airflow.wait_for_dag(f"boxed-{kind}")
        (self.gate / f"hold-{word}").touch()
        run_id = self.airflow.trigger(f"boxed-{kind}", {"word": word})
        self.wait_until(lambda: self.ran(word))
        return run_id

    def release(self, word: str) -> None:
        (self.gate / f"hold-{word}").unlink()

    def ran(self, word: str) -> int:
        return (self.gate / "ran.log").read_text().split().count(word)

    def left(self, kind: str) -> list:
        """What the target has of the workspace's jobs."""
        if kind.startswith("kubernetes"):
            return [
                key for key in self.cluster.objects if key[0] != "configmaps"
            ]  # the launcher, which all share
        label, value = workspace_label(self.workspace)
        return self.client.containers(all=True, filters={"label": [f"{label}={value}"]})

    def wait_until_none_is_left(self, kind: str) -> None:
        until = time.monotonic() + 60
        while left := self.left(kind):
            assert time.monotonic() < until, left
            time.sleep(0.1)

    def task(self, name: str, run_id: str) -> dict:
        return self.airflow.request("GET", f"{self.path(name, run_id)}/taskInstances/one.run")

    def path(self, name: str, run_id: str) -> str:
        return f"/api/v2/dags/{name}/dagRuns/{quote(run_id, safe='')}"

    def wait_until_deferred(self, name: str, run_id: str) -> None:
        self.wait_until(lambda: self.task(name, run_id)["state"] == "deferred")

    def wait_until_looked_after(self, name: str, run_id: str) -> None:
        """Wait until a triggerer has told the first line of the script."""
        folder = RunFolder(self.workspace.store, name, run_id).attempt_folder("one", 1)

        def told():
            left = read_left(self.workspace.store, folder)
            return left is not None and left.stdout == 1

        self.wait_until(told)
        assert self.task(name, run_id)["state"] == "deferred"

    def wait_until(self, condition, timeout: float = 180) -> None:
        until = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < until, "waited for in vain\n" + self.airflow.log_tail()
            time.sleep(0.1)


@pytest.fixture(scope="module")
def boxed(docker_url, tmp_path_factory, new_database):
    from servers.docker_engine import BASE_IMAGE
    from servers.kubernetes import KubernetesServer

    with KubernetesServer(docker_url).running() as cluster:
        folder = tmp_path_factory.mktemp("boxed")
        made = Boxed(folder, docker_url, BASE_IMAGE, cluster, new_database("boxed"))
        with made.airflow:
            yield made
        made.client.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_in_containers_is_reused_by_one_without_and_the_other_way_round(boxed, kind):
    definition = PipelineDefinition.from_yaml(boxed.dags / f"boxed-{kind}.pipeline.yaml")
    spec = definition.to_spec()
    here = msgspec.structs.replace(
        spec, steps=tuple(msgspec.structs.replace(step, compute_target="local") for step in spec.steps)
    )

    def run_here(word):
        return run_pipeline(boxed.workspace, new_run(here, parameters={"word": word})).steps["one"].status

    boxed.run(f"boxed-{kind}", word=f"{kind}-shared")
    assert run_here(f"{kind}-shared") == "reused"
    assert run_here(f"{kind}-back") == "finished"
    boxed.run(f"boxed-{kind}", word=f"{kind}-back")
    assert (boxed.ran(f"{kind}-shared"), boxed.ran(f"{kind}-back")) == (1, 1)
    assert boxed.left(kind) == []


@pytest.mark.parametrize(("first", "others"), [("docker", ("kubernetes", "local")), ("local", ("docker",))])
def test_the_example_runs_in_one_place_and_is_reused_in_the_others(boxed, first, others):
    depth = {"docker": 6, "local": 7}[first]
    made = boxed.run(f"digits-{first}", max_depth=depth)
    ran = {name for name, step in made.steps().items() if step.status == "finished"}
    assert {"train_forest", "compare"} <= ran
    for other in others:
        again = boxed.run(f"digits-{other}", max_depth=depth).steps()
        assert {step.status for step in again.values()} == {"reused"}, other
    assert boxed.left("docker") == []
    assert boxed.left("kubernetes") == []


def test_the_example_runs_in_pods(boxed):
    made = boxed.run("digits-kubernetes", max_depth=5, regenerate_outputs=True).steps()
    assert {name: step.status for name, step in made.items()} == dict.fromkeys(STEPS, "finished")
    assert boxed.left("kubernetes") == []


@pytest.mark.parametrize("kind", KINDS)
def test_marking_the_task_as_failed_removes_the_container(boxed, kind):
    word = f"{kind}-doomed"
    run_id = boxed.start(kind, word)
    assert boxed.left(kind)
    path = f"/api/v2/dags/boxed-{kind}/dagRuns/{run_id}/taskInstances/one.run"
    boxed.airflow.request("PATCH", path, {"new_state": "failed"})
    boxed.wait_until(lambda: boxed.left(kind) == [], 30)
    boxed.release(word)


@pytest.mark.parametrize("kind", KINDS)
def test_the_retry_takes_over_the_container_of_a_worker_that_was_killed(boxed, kind):
    word = f"{kind}-lost"
    run_id = boxed.start(kind, word)
    folder = RunFolder(boxed.workspace.store, f"boxed-{kind}", run_id)
    key = folder.read_step("one").key
    [lease] = [info.path for info in boxed.workspace.store.walk(f"leases/{key[:2]}/{key}")]
    task = json.loads(boxed.workspace.store.get(lease))["process"]
    supervisor = int(Path(f"/proc/{task}/stat").read_text().rpartition(")")[2].split()[1])
    for process in (supervisor, task):
        os.kill(process, signal.SIGKILL)
    time.sleep(1)
    assert boxed.left(kind)
    boxed.release(word)
    assert boxed.airflow.wait_for_run(f"boxed-{kind}", run_id, timeout=120) == "success"
    assert boxed.ran(word) == 1
    assert folder.read_step("one").attempt == 1
    assert boxed.left(kind) == []


# --- deferred tasks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DEFERRED)
def test_a_deferred_task_takes_no_slot_and_its_log_is_told_once(boxed, kind):
    name, word = f"boxed-{kind}", f"{kind}-waits"
    run_id = boxed.start(kind, word)
    boxed.wait_until_looked_after(name, run_id)
    pool = boxed.airflow.request("GET", "/api/v2/pools/default_pool")
    assert (pool["running_slots"], pool["deferred_slots"]) == (0, 1)
    boxed.release(word)
    assert boxed.airflow.wait_for_run(name, run_id, timeout=120) == "success"
    assert boxed.airflow.task_log(name, run_id, "one.run").count("begun") == 1
    assert boxed.ran(word) == 1
    boxed.wait_until_none_is_left(kind)


def kill_task(state):
    def kill(boxed, name, run_id):
        path = f"{boxed.path(name, run_id)}/taskInstances/one.run"
        boxed.airflow.request("PATCH", path, {"new_state": state})

    return kill


def kill_run(boxed, name, run_id):
    boxed.airflow.request("PATCH", boxed.path(name, run_id), {"state": "failed"})


KILLS = {"failed": kill_task("failed"), "success": kill_task("success"), "run": kill_run}


@pytest.mark.parametrize("moment", ["a triggerer looks after it", "no triggerer has taken it up"])
def test_killing_a_deferred_task_removes_its_container(boxed, moment):
    kind, name = "docker-deferred", "boxed-docker-deferred"
    stopped = find_triggerer(boxed.airflow) if moment.startswith("no") else []
    with suspended(stopped):
        runs = {}
        for how in KILLS:
            runs[how] = boxed.start(kind, f"{how}-{len(stopped)}")
            boxed.wait_until_deferred(name, runs[how])
            if not stopped:
                boxed.wait_until_looked_after(name, runs[how])
        for left, (how, run_id) in enumerate(runs.items(), 1):
            KILLS[how](boxed, name, run_id)
            boxed.wait_until(lambda left=left: len(boxed.left(kind)) == len(KILLS) - left, 30)
            folder = RunFolder(boxed.workspace.store, name, run_id)
            boxed.wait_until(lambda folder=folder: folder.read_step("one").status == "canceled")
            assert folder.read_step("one").error == "the task was killed"
    for how in KILLS:
        boxed.release(f"{how}-{len(stopped)}")


def test_the_end_of_a_runs_time_removes_the_container_of_a_deferred_task(boxed):
    (boxed.gate / "hold-short").touch()
    boxed.airflow.wait_for_dag("boxed-short")
    run_id = boxed.airflow.trigger("boxed-short", {"word": "short"})
    boxed.wait_until_looked_after("boxed-short", run_id)
    assert boxed.airflow.wait_for_run("boxed-short", run_id, timeout=120) == "failed"
    boxed.wait_until_none_is_left("docker")
    boxed.release("short")


def test_a_deferred_task_that_is_cleared_runs_its_script_anew(boxed):
    name, word = "boxed-docker-deferred", "cleared"
    run_id = boxed.start("docker-deferred", word)
    boxed.wait_until_looked_after(name, run_id)
    body = {"dry_run": False, "dag_run_id": run_id, "task_ids": ["one.run"], "only_failed": False}
    boxed.airflow.request("POST", f"/api/v2/dags/{name}/clearTaskInstances", body)
    boxed.wait_until(lambda: boxed.ran(word) == 2)
    boxed.release(word)
    assert boxed.airflow.wait_for_run(name, run_id, timeout=120) == "success"
    assert RunFolder(boxed.workspace.store, name, run_id).read_step("one").attempt == 2
    boxed.wait_until_none_is_left("docker")


def test_another_triggerer_goes_on_where_one_was_killed(boxed):
    """The last test of this Airflow: its triggerer is another one afterwards."""
    name, word = "boxed-docker-deferred", "orphan"
    run_id = boxed.start("docker-deferred", word)
    boxed.wait_until_looked_after(name, run_id)
    for process in find_triggerer(boxed.airflow):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    assert boxed.left("docker"), "the job ended with the triggerer"
    command = [sys.executable, "-m", "airflow", "triggerer"]
    with open(boxed.airflow.home / "triggerer.log", "wb") as log:
        other = subprocess.Popen(command, env=boxed.airflow.environ(), stdout=log, stderr=log)
    try:
        boxed.release(word)
        assert boxed.airflow.wait_for_run(name, run_id, timeout=240) == "success"
    finally:
        other.terminate()
        other.wait(60)
    assert boxed.ran(word) == 1
    boxed.wait_until_none_is_left("docker")
    assert RunFolder(boxed.workspace.store, name, run_id).read_step("one").attempt == 1
    assert boxed.airflow.task_log(name, run_id, "one.run").count("begun") == 1
