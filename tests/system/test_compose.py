"""docker-compose.yml: all of Airflow in containers, with a workspace in an object store, and a worker that is lost.

It takes minutes and a gigabyte, so it runs where ``ML_PIPELINES_TEST_COMPOSE`` is set. No registry is needed: what the
images are made from is made of this machine's own programs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import textwrap
import time
import uuid
from pathlib import Path

import pytest

from airflow_ml_pipelines.testing.rest_api import AirflowApi, AirflowApiError

docker = pytest.importorskip("docker")

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("ML_PIPELINES_TEST_COMPOSE"),
        reason="takes minutes: ML_PIPELINES_TEST_COMPOSE=1 runs it",
    ),
    pytest.mark.timeout(1500),
]

PROJECT = Path(__file__).parent.parent.parent
STEPS = {"prepare", "train_logistic", "train_forest", "compare"}
PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")

SLOW = """
    name: slow
    parameters: {seconds: 0}
    steps:
      wait:
        source_directory: slow
        script: slow.py
        outputs: {out: }
        arguments: ["${{ parameters.seconds }}", "${{ outputs.out }}"]
"""
SLOW_SCRIPT = """
    import pathlib, sys, time
    time.sleep(float(sys.argv[1]))
    pathlib.Path(sys.argv[2], "done.txt").write_text("done")
"""


class Composed(AirflowApi):
    """What docker-compose.yml has started."""

    def __init__(self, url: str, folder: Path, images: dict[str, str]) -> None:
        from servers.process import free_port

        port = free_port()
        super().__init__(f"http://localhost:{port}")
        self.name = f"test{uuid.uuid4().hex[:8]}"
        self.client = docker.APIClient(base_url=url, version="auto")
        pipelines = folder / "pipelines"
        shutil.copytree(PROJECT / "example_dags", pipelines)
        (pipelines / "slow").mkdir()
        (pipelines / "slow" / "slow.py").write_text(textwrap.dedent(SLOW_SCRIPT))
        (pipelines / "slow.pipeline.yaml").write_text(textwrap.dedent(SLOW))
        self.environment = {
            **os.environ,
            **images,
            "AIRFLOW_IMAGE": f"ml-pipelines-airflow:{self.name}",
            "COMPOSE_HTTP_TIMEOUT": "600",
            "DOCKER_HOST": url,
            "PIPELINES": str(pipelines),
            "PORT": str(port),
            "LOST_AFTER": "20",
        }

    def compose(self, *command: str) -> str:
        found = subprocess.run(
            ["docker-compose", "--project-name", self.name, *command],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == 0, found.stdout[-5000:] + found.stderr[-5000:] + self.complaints()
        return found.stdout

    def complaints(self) -> str:
        texts = []
        for item in self.containers():
            state = self.client.inspect_container(item["Id"])["State"]
            if state["ExitCode"] or state.get("Health", {}).get("Status") == "unhealthy":
                said = self.client.logs(item["Id"], tail=40).decode("utf-8", "replace")
                texts.append(f"\n--- {item['Names'][0]}: {json.dumps(state.get('Health'))[:1000]}\n{said}")
        return "".join(texts)

    def containers(self, service: str | None = None) -> list[dict]:
        labels = [f"com.docker.compose.project={self.name}"]
        labels += [f"com.docker.compose.service={service}"] if service else []
        return self.client.containers(all=True, filters={"label": labels})

    def wait_until(self, condition, timeout: float = 240) -> None:
        until = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < until, "waited for in vain" + self.complaints()
            time.sleep(0.5)

    def is_ready(self) -> bool:
        try:
            health = self.request("GET", "/api/v2/monitor/health")
        except (AirflowApiError, OSError):
            return False
        return all((health.get(part) or {}).get("status") == "healthy" for part in PARTS)

    def running(self, script: str) -> str | None:
        """The worker in which a script runs."""
        for item in self.containers("worker"):
            if item["State"] == "running":
                for process in self.client.top(item["Id"])["Processes"]:
                    if script in process[-1]:
                        return item["Id"]
        return None

    def shown(self, pipeline: str, run_id: str) -> dict[str, str]:
        """How the steps of a run went, as the command line says it in a worker."""
        [worker, *_] = [item["Id"] for item in self.containers("worker") if item["State"] == "running"]
        command = ["ml-pipelines", "show", f"{pipeline}/{run_id}", "--json"]
        made = self.client.exec_create(worker, command, stderr=False)
        said = self.client.exec_start(made["Id"])
        return {step["step"]: step["status"] for step in json.loads(said)["steps"]}


@pytest.fixture(scope="module")
def composed(docker_url, tmp_path_factory):
    from servers.compose_images import make_images
    from servers.process import lacking

    if shutil.which("docker-compose") is None:
        lacking("docker-compose", "apt-get install docker-compose")
    made = Composed(docker_url, tmp_path_factory.mktemp("compose"), make_images(docker_url))
    try:
        made.compose("build")
        made.compose("up", "--detach")
        made.wait_until(made.is_ready)
        yield made
    finally:
        made.compose("down", "--volumes", "--rmi", "local", "--timeout", "5")
        made.client.remove_image(made.environment["AIRFLOW_IMAGE"], force=True)
        made.client.close()


def test_the_example_runs_and_a_second_run_takes_its_results(composed):
    composed.wait_for_dag("digits")
    first = composed.trigger("digits")
    assert composed.wait_for_run("digits", first, timeout=300) == "success"
    assert composed.shown("digits", first) == dict.fromkeys(STEPS, "finished")
    again = composed.trigger("digits")
    assert composed.wait_for_run("digits", again, timeout=300) == "success"
    assert composed.shown("digits", again) == dict.fromkeys(STEPS, "reused")


def test_a_run_whose_worker_is_killed_ends_well_in_the_other(composed):
    composed.wait_for_dag("slow")
    run_id = composed.trigger("slow", {"seconds": 20})
    composed.wait_until(lambda: composed.running("slow.py"))
    lost = composed.running("slow.py")
    composed.client.kill(lost, "SIGKILL")
    composed.wait_until(lambda: composed.running("slow.py") not in (None, lost))
    assert composed.wait_for_run("slow", run_id, timeout=300) == "success"
    assert composed.shown("slow", run_id) == {"wait": "finished"}


def test_every_part_that_was_not_killed_is_healthy(composed):
    def unhealthy():
        return {
            item["Names"][0]: health["Status"]
            for item in composed.containers()
            if item["State"] == "running"
            and (health := composed.client.inspect_container(item["Id"])["State"].get("Health"))
            and health["Status"] != "healthy"
        }

    composed.wait_until(lambda: not unhealthy(), 180)
