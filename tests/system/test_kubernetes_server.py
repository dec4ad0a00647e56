"""The test server of the Kubernetes API, as other clients than ours see it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import threading
import time
import uuid

import pytest

pytest.importorskip("docker")
kubernetes = pytest.importorskip("kubernetes")

SCRIPT = """
import os, time
print("begun", flush=True)
while not os.path.exists("/go"): time.sleep(0.05)
print("ended")
"""


@pytest.fixture(scope="module")
def server(docker_url):
    from servers.kubernetes import KubernetesServer

    with KubernetesServer(docker_url).running() as running:
        yield running


@pytest.fixture
def config(server, tmp_path):
    yield server.kubeconfig(tmp_path / "kubeconfig")
    for key in list(server.objects):
        if key in server.objects:
            server.delete(key, 0)


def test_the_official_client_watches_a_pod_reads_its_log_and_events_and_patches_it(config):
    from kubernetes import client, watch
    from servers.docker_engine import BASE_IMAGE

    with kubernetes.config.new_client_from_config(str(config)) as made:
        api = client.CoreV1Api(made)
        container = {"name": "base", "image": BASE_IMAGE, "command": ["python3", "-c", "print(1)"]}
        pod = {
            "metadata": {"generateName": "some-", "labels": {"a": "1"}},
            "spec": {"containers": [container], "restartPolicy": "Never"},
        }
        name = api.create_namespaced_pod("ml", pod).metadata.name
        phases = []
        watched = watch.Watch()
        for event in watched.stream(
            api.list_namespaced_pod, "ml", label_selector="a in (1, 2),!b", timeout_seconds=120
        ):
            phases.append(event["object"].status.phase)
            if phases[-1] == "Succeeded":
                watched.stop()
        assert list(dict.fromkeys(phases)) == ["Pending", "Running", "Succeeded"], phases
        assert api.read_namespaced_pod_log(name, "ml", follow=True) == "1\n"
        told = api.list_namespaced_event("ml", field_selector=f"involvedObject.name={name}").items
        assert [event.reason for event in told] == ["Scheduled", "Started"]
        api.patch_namespaced_pod(name, "ml", {"metadata": {"labels": {"a": None, "b": "2"}}})
        assert [
            item.metadata.name for item in api.list_namespaced_pod("ml", label_selector="b!=1,!a").items
        ] == [name]
        api.delete_namespaced_pod(name, "ml")
        assert api.list_namespaced_pod("ml").items == []


@pytest.fixture
def running(config):
    """The API with a pod that runs, and what starts programs in it."""
    from kubernetes import client
    from kubernetes.stream import stream
    from servers.docker_engine import BASE_IMAGE
    from servers.kubernetes import wait_until

    with kubernetes.config.new_client_from_config(str(config)) as made:
        api = client.CoreV1Api(made)
        name = f"pod-{uuid.uuid4().hex[:8]}"
        command = ["python3", "-c", "import time; time.sleep(3600)"]
        container = {"name": "base", "image": BASE_IMAGE, "command": command}
        api.create_namespaced_pod("ml", {"metadata": {"name": name}, "spec": {"containers": [container]}})
        wait_until(lambda: api.read_namespaced_pod(name, "ml").status.phase == "Running", 120)

        @contextlib.contextmanager
        def run(program, **options):
            with client.ApiClient(
                made.configuration
            ) as other:  # `stream` changes the client that it is given
                call = client.CoreV1Api(other).connect_get_namespaced_pod_exec
                given = {"stdin": False, "stdout": True, "stderr": True, "tty": False, **options}
                given["_preload_content"] = False  # it would leave its connection open
                ran = stream(call, name, "ml", command=["python3", "-c", program], **given)
                yield ran
                ran.close()
                ran.sock.shutdown()  # the client leaves its socket open where the server has closed first

        yield run


def test_the_official_client_runs_programs_in_a_pod_with_input_errors_and_exit_code(running):
    program = "import sys; print(sys.stdin.readline().upper()); print('oh', file=sys.stderr); sys.exit(3)"
    for number in range(10):  # it hung once in a while
        with running(program, stdin=True) as ran:
            ran.write_stdin(f"abc {number}\n")
            ran.run_forever(timeout=120)
            assert not ran.is_open()
            assert (ran.read_stdout(), ran.read_stderr(), ran.returncode) == (f"ABC {number}\n\n", "oh\n", 3)


def test_the_official_client_gets_all_that_a_program_writes(running):
    for _ in range(5):
        with running("print('x' * 300_000)") as ran:
            ran.run_forever(timeout=120)
            assert ran.read_stdout() == "x" * 300_000 + "\n"


def test_the_official_client_may_leave_a_program_that_goes_on(running):
    before = threading.active_count()
    with running("import time; print('begun', flush=True); time.sleep(3600)") as ran:
        while not ran.peek_stdout():
            ran.update(timeout=60)
    until = time.monotonic() + 120
    while threading.active_count() > before:  # nothing of the server waits for it any more
        assert time.monotonic() < until
        time.sleep(0.1)


def test_kubectl_runs_a_pod_waits_for_it_runs_programs_in_it_and_reads_its_log(config, tmp_path):
    from servers.docker_engine import BASE_IMAGE

    if _kubectl_version() < (
        1,
        31,
    ):  # no package of the system, and older ones run programs by another protocol
        pytest.skip("kubectl 1.31 or later is not installed: https://kubernetes.io/docs/tasks/tools")

    def kubectl(*arguments, code=0, **options):
        command = [
            "kubectl",
            "--kubeconfig",
            config,
            "--cache-dir",
            tmp_path / "cache",
            "-n",
            "ml",
            *arguments,
        ]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)
        assert code in (None, ran.returncode), ran.stderr
        return ran.stdout

    kubectl(
        "run", "one", f"--image={BASE_IMAGE}", "--restart=Never", "--command", "--", "python3", "-c", SCRIPT
    )
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=120s")
    program = "import sys; print(sys.stdin.read().upper()); sys.exit(3)"
    assert kubectl("exec", "-i", "one", "--", "python3", "-c", program, input="abc", code=3) == "ABC\n"
    # the pod may end before the program that lets it end
    kubectl("exec", "one", "--", "python3", "-c", "open('/go', 'w')", code=None)
    assert kubectl("logs", "--follow", "one") == "begun\nended\n"
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/one", "--timeout=120s")
    assert "assigned to node-1" in kubectl("describe", "pod", "one")
    kubectl("label", "pod", "one", "team=a")
    assert kubectl("get", "pods", "-l", "team=a", "-o", "name") == "pod/one\n"
    kubectl("delete", "pod", "one")
    assert kubectl("get", "pods", "-o", "name") == ""


def _kubectl_version() -> tuple[int, ...]:
    if shutil.which("kubectl") is None:
        return ()
    said = subprocess.run(
        ["kubectl", "version", "--client", "-o", "json"], capture_output=True, check=True, text=True
    ).stdout
    known = json.loads(said)["clientVersion"]
    return tuple(int(re.sub(r"\D", "", known[part])) for part in ("major", "minor"))
