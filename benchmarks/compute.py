"""Steps in containers and pods against Airflow's own operators, images that are there already, environments by uv and pip.

It needs a Docker engine, or the right to start one; the base image is made of this machine's Python. Pods run on the
tests' own server of the Kubernetes API, for both sides.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from common import Result, pair, peer, seconds

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.spec import EnvironmentSpec, OutputPath, OutputSpec, PipelineSpec, StepSpec
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec, Workspace
from airflow_ml_pipelines.execution.installers import Pip, Uv, find_uv
from airflow_ml_pipelines.execution.requirements import collect_requirements
from airflow_ml_pipelines.execution.runner import run_pipeline
from airflow_ml_pipelines.execution.targets.registry import open_target

LOOK_UP = 0.1
"""Seconds within which an environment that is there is to be found."""

# run the same script for each line that they are sent, and answer when it has
DOCKER = """
import json, sys
from airflow.providers.docker.operators.docker import DockerOperator
from docker.types import Mount
given = json.loads(sys.argv[1])
for number, _ in enumerate(sys.stdin):
    DockerOperator(
        task_id=f"t{number}", image=given["image"], docker_url=given["url"], api_version="auto", auto_remove="force",
        mount_tmp_dir=False, mounts=[Mount(given["folder"], given["folder"], type="bind")],
        command=["python3", given["script"], given["folder"]],
    ).execute({})
    print("ran", flush=True)
"""
# it looks for the pod's start every second, which is the least that it takes, not every five as it does unasked
POD = """
import json, os, sys
from types import SimpleNamespace
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from kubernetes.client import V1HostPathVolumeSource, V1Volume, V1VolumeMount
given = json.loads(sys.argv[1])
for number, _ in enumerate(sys.stdin):
    ti = SimpleNamespace(
        dag_id="d", task_id=f"t{number}", run_id="r", map_index=-1, try_number=1, start_date=None,
        xcom_push=lambda **_: None,
    )
    KubernetesPodOperator(
        task_id=ti.task_id, image=given["image"], config_file=given["config_file"], namespace="ml",
        cmds=["python3", given["script"], given["folder"]], kubernetes_conn_id=None, startup_check_interval_seconds=1,
        volumes=[V1Volume(name="here", host_path=V1HostPathVolumeSource(path=given["folder"]))],
        volume_mounts=[V1VolumeMount(name="here", mount_path=given["folder"])],
    ).execute({"ti": ti, "run_id": "r", "dag": SimpleNamespace(dag_id="d")})
    print("ran", file=out, flush=True)
"""


def measure() -> list[Result]:
    from servers.docker_engine import docker_engine, make_base_image

    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        for part in ("engine", "src", "out"):
            (folder / part).mkdir()
        with docker_engine(folder / "engine") as url:
            options = {"url": url, "image": make_base_image(url)}
            target = ComputeTargetSpec("box", "docker", options)
            workspace = Workspace("bench", folder / "ws", compute_targets=[target])
            return [
                *_steps(folder, workspace, options),
                *_pods(folder, options),
                *_look_up(workspace, target),
                *_environments(folder),
            ]


def _steps(folder: Path, workspace: Workspace, options: dict[str, str]) -> Iterator[Result]:
    ours, script = _step(folder, workspace)
    given = {**options, "folder": str(folder), "script": str(script)}
    with _operator("docker", DOCKER, given) as theirs:
        if theirs is not None:
            times = pair(ours, theirs, 9)
            yield Result(
                "one step in a container, run and recorded", times[0], "DockerOperator", times[1], goal=1.2
            )


def _pods(folder: Path, options: dict[str, str]) -> Iterator[Result]:
    from servers.kubernetes import KubernetesServer

    with KubernetesServer(options["url"]).running() as server:
        config = str(server.kubeconfig(folder / "kubeconfig"))
        here = {
            "volumes": [{"name": "here", "hostPath": {"path": str(folder)}}],
            "volume_mounts": [{"name": "here", "mountPath": str(folder)}],
        }
        known = {"image": options["image"], "config_file": config}
        target = ComputeTargetSpec(
            "box",
            "kubernetes",
            {**known, **here, "namespace": "ml", "shared_paths": True, "builder": options["url"]},
        )
        ours, script = _step(folder, Workspace("pods", folder / "pods", compute_targets=[target]))
        given = {**known, "folder": str(folder), "script": str(script)}
        with _operator("cncf-kubernetes", POD, given) as theirs:
            if theirs is not None:
                times = pair(ours, theirs, 5)
                yield Result(
                    "one step in a pod, run and recorded",
                    times[0],
                    "KubernetesPodOperator",
                    times[1],
                    goal=1.2,
                )


def _step(folder: Path, workspace: Workspace) -> tuple[Callable[[], None], Path]:
    """Return what runs a pipeline of one step on the target ``box``, and the step's script."""
    script = folder / "src/run.py"
    script.write_text("import sys, pathlib\npathlib.Path(sys.argv[1], 'x').write_text('x')\n")
    step = StepSpec(
        id="s",
        name="s",
        script="run.py",
        source_directory="src",
        compute_target="box",
        arguments=((OutputPath(output="out"),),),
        outputs=(OutputSpec(name="out"),),
    )
    spec = PipelineSpec(name="one", steps=(step,), base_directory=str(folder))

    def run() -> None:
        outcome = run_pipeline(workspace, new_run(spec, regenerate_outputs=True))
        assert outcome.status == "Finished", outcome.errors

    return run, script


@contextmanager
def _operator(provider: str, program: str, given: dict[str, str]) -> Iterator:
    """Yield what runs the script by Airflow's operator; None where that can't be installed."""
    place = peer("apache-airflow", f"apache-airflow-providers-{provider}")
    if place is None:
        yield None
        return
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-airflow-"))
        process = subprocess.Popen(
            [str(place / "python"), "-W", "ignore", "-c", program, json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={"AIRFLOW_HOME": home, "PATH": "/usr/bin:/bin"},
        )
        stack.callback(process.wait)
        assert process.stdin
        stack.callback(process.stdin.close)

        def once() -> None:
            assert process.stdin
            assert process.stdout
            process.stdin.write("run\n")
            process.stdin.flush()
            while (line := process.stdout.readline()) != "ran\n":
                assert line, "the operator has ended"

        yield once


def _look_up(workspace: Workspace, target: ComputeTargetSpec) -> Iterator[Result]:
    environment = EnvironmentSpec(user_managed=False, pip=("six==1.17.0",))

    def prepare() -> None:
        open_target(target).prepare(environment, workspace, log=lambda _: None)

    yield Result("an environment whose image is there", seconds(prepare, 15), "the goal", LOOK_UP, goal=1.0)


def _environments(folder: Path) -> Iterator[Result]:
    uv = find_uv()
    if uv is None:
        return
    wanted = collect_requirements(
        EnvironmentSpec(user_managed=False, pip=("pandas", "scikit-learn")), with_conda=False
    )

    def make(installer: Uv | Pip) -> None:
        place = folder / installer.name
        shutil.rmtree(place, ignore_errors=True)
        installer.make(place, Path(sys.executable), wanted)

    times = pair(lambda: make(Uv([uv])), lambda: make(Pip()), 1)
    yield Result("environment of pandas and scikit-learn, by uv", times[0], "by pip", times[1], goal=1.0)


if __name__ == "__main__":
    for result in measure():
        print(result)
