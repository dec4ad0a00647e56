"""Steps in pods, on a test server that speaks the API and runs their containers on a Docker engine."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec
from airflow_ml_pipelines.execution.reaper import reap
from airflow_ml_pipelines.execution.runner import run_pipeline
from airflow_ml_pipelines.testing.compute_contract import ComputeTargetContract, ContractProject

pytest.importorskip("docker")
pytest.importorskip("kubernetes")


@pytest.fixture(scope="module")
def server(docker_url):
    from servers.kubernetes import KubernetesServer

    with KubernetesServer(docker_url).running() as running:
        yield running


@pytest.fixture
def cluster(server):
    yield server
    server.unschedulable = server.quota = server.forbidden = ""
    assert left_in(server) == {}


@pytest.fixture
def spec(cluster, tmp_path, docker_url):
    from servers.docker_engine import BASE_IMAGE

    def make(**options):
        usual = {
            "image": BASE_IMAGE,
            "config_file": str(cluster.kubeconfig(tmp_path / "kubeconfig")),
            "namespace": "ml",
            "volumes": [{"name": "here", "hostPath": {"path": str(tmp_path)}}],
            "volume_mounts": [{"name": "here", "mountPath": str(tmp_path)}],
            "shared_paths": True,
            "builder": docker_url,
        }
        return ComputeTargetSpec("pods", "kubernetes", {**usual, **options})

    return make


@pytest.fixture
def make_project(tmp_path, spec, monkeypatch):
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    return lambda **options: ContractProject(tmp_path, spec(**options))


class TestContract(ComputeTargetContract):
    outlives = True
    log_megabytes = 100

    @pytest.fixture
    def target(self, spec):
        return spec()

    @pytest.fixture
    def small_target(self, spec):
        return spec(memory="128m")


def left_in(cluster):
    """What there is but for the launcher, which stays for the next pod."""
    return {key: item for key, item in cluster.objects.items() if key[0] != "configmaps"}


def pods(cluster):
    return [document for (kind, _, _), document in cluster.objects.items() if kind == "pods"]


def test_the_pod_has_what_the_target_says_and_no_secret(make_project, cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("POD_SECRET", "hush-hush-hush")
    (tmp_path / "template.yaml").write_text(
        "kind: Pod\nspec:\n  priorityClassName: low\n  containers: [{env: [{name: GIVEN, value: there}]}]\n"
    )
    project = make_project(
        cpus=0.5,
        memory="256m",
        gpus=1,
        node_selector={"pool": "gpu"},
        tolerations=[{"key": "gpu", "operator": "Exists"}],
        service_account="runner",
        image_pull_secrets=["login"],
        pod_template_file=str(tmp_path / "template.yaml"),
        min_nodes=1,
        max_nodes=4,
        vm_priority="lowpriority",
        labels={"team": "a"},
    )
    seen = []
    environment = EnvironmentSpec(variables={"TOKEN": "env:POD_SECRET"})
    script = "import os; print(os.environ['TOKEN'][:4])"
    real = cluster.create

    def create(key, document):
        seen.append(document)
        return real(key, document)

    monkeypatch.setattr(cluster, "create", create)
    run = project.run(script, environment=environment)
    assert run.text("stdout") == "hush", run.error
    [pod] = [document for document in seen if document.get("kind") == "Pod"]
    assert "hush-hush" not in str(pod)
    spec, [container] = pod["spec"], pod["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "0.5", "memory": str(256 << 20), "nvidia.com/gpu": "1"}
    assert (spec["nodeSelector"], spec["serviceAccountName"]) == ({"pool": "gpu"}, "runner")
    assert (spec["tolerations"], spec["imagePullSecrets"]) == (
        [{"key": "gpu", "operator": "Exists"}],
        [{"name": "login"}],
    )
    assert (spec["priorityClassName"], container["env"][0]["value"]) == ("low", "there")
    annotations = pod["metadata"]["annotations"]
    assert (annotations["ml-pipelines/min-nodes"], annotations["ml-pipelines/max-nodes"]) == ("1", "4")
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "true"
    assert pod["metadata"]["labels"]["team"] == "a"


def test_a_pod_that_no_node_takes_is_a_failure_that_says_why(make_project, cluster):
    cluster.unschedulable = "0/3 nodes are available: 3 Insufficient cpu."
    project = make_project(startup_timeout=2)
    run = project.run("pass")
    assert released(project)
    assert "did not start within 2 seconds: Unschedulable: 0/3 nodes are available" in run.error
    assert "ask for less" in run.error


def test_a_quota_that_is_used_up_is_a_failure_that_says_so(make_project, cluster):
    cluster.quota = "compute, requested: pods=1, used: pods=5, limited: pods=5"
    project = make_project()
    error = project.run("pass").error
    assert "exceeded quota: compute" in error
    assert "raise the quota" in error
    assert released(project)


def test_an_image_that_can_not_be_pulled_is_a_failure_that_says_so(make_project):
    project = make_project(startup_timeout=2)
    run = project.run("pass", environment=EnvironmentSpec(image="no/such:image"))
    assert released(project)
    assert "can't start: ErrImagePull" in run.error
    assert "image_pull_secrets" in run.error


def in_background(project, script):
    """Run a script until it says that it has begun; return the run, and the thread that ends with it."""
    begun = threading.Event()

    class Listener:
        def on_plan(self, plan):
            pass

        def on_step(self, document):
            pass

        def on_line(self, step, stream, line):
            begun.set() if line == "begun" else None

    run = new_run(project.pipeline(script))
    thread = threading.Thread(
        target=run_pipeline, args=(project.workspace, run), kwargs={"listener": Listener()}
    )
    thread.start()
    assert begun.wait(60)
    return run, thread


def ended(project, run, thread):
    """Wait for the end of a run; return how its step ended. Every lease is free then."""
    thread.join(60)
    assert not thread.is_alive()
    assert released(project)
    return RunFolder(project.workspace.store, run.pipeline, run.run).read_step("step")


def released(project):
    """Whether a lease was taken, and each is free again."""
    store = project.workspace.store
    leases = [json.loads(store.get(info.path)) for info in store.walk("leases")]
    return bool(leases) and all(lease["released"] for lease in leases)


def test_a_pod_that_is_evicted_is_a_failure_that_says_so(make_project, cluster):
    project = make_project()
    run, thread = in_background(project, "import time; print('begun', flush=True); time.sleep(600)")
    [pod] = pods(cluster)
    cluster.evict(pod["metadata"]["name"], "The node was low on resource: memory.")
    document = ended(project, run, thread)
    assert document.status == "failed"
    assert "evicted from its node (The node was low on resource: memory.)" in document.error


def test_a_cluster_that_goes_away_while_a_script_runs_is_a_failure_and_the_reaper_takes_the_rest(
    make_project, cluster
):
    project = make_project()
    script = "import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.1); print('on', flush=True)"
    run, thread = in_background(project, script)
    cluster.away = True
    document = ended(project, run, thread)
    cluster.away = False
    assert document.status == "failed"
    assert "can't be reached" in document.error
    assert len(pods(cluster)) == 1
    assert [item.reason for item in reap(project.workspace, "pods")] == ["its step is failed"]


def test_a_cluster_that_is_away_is_a_failure_that_says_so(make_project, tmp_path, cluster):
    file = tmp_path / "away"
    file.write_text((tmp_path / "kubeconfig").read_text() if (tmp_path / "kubeconfig").exists() else "")
    project = make_project()
    file.write_text((tmp_path / "kubeconfig").read_text().replace(cluster.url, "http://127.0.0.1:1"))
    project = make_project(config_file=str(file))
    assert "the cluster can't be reached" in project.run("pass").error
    assert released(project)


def test_a_kubeconfig_that_there_is_not_is_a_failure_that_says_so(make_project, tmp_path):
    run = make_project(config_file=str(tmp_path / "no")).run("pass")
    assert "there is no usable Kubernetes configuration" in run.error


def test_local_folders_need_a_volume(make_project):
    assert (
        "is a folder of this machine, which pods do not see"
        in make_project(shared_paths=False).run("pass").error
    )


def test_the_python_of_another_version_is_refused(make_project):
    run = make_project().run("pass", environment=EnvironmentSpec(python="3.9"))
    assert "3.9 is wanted" in run.error


def test_packages_are_in_an_image_that_the_builder_makes(make_project, docker_url):
    import docker

    environment = EnvironmentSpec(user_managed=False, pip=("six==1.16.0",))
    project = make_project()
    run = project.run("import six; print(six.__version__)", environment=environment)
    assert run.text("stdout") == "1.16.0", run.error
    client = docker.APIClient(base_url=docker_url, version="auto")
    client.remove_image(project.opened().prepare(environment, project.workspace, log=print).image, force=True)
    client.close()


# --- the launcher ------------------------------------------------------------------------------------------------


def launchers(cluster):
    return [item for (kind, _, _), item in cluster.objects.items() if kind == "configmaps"]


def test_pods_share_one_launcher_and_bring_their_own_job_alone(make_project, cluster, monkeypatch):
    secrets = []
    real = cluster.create

    def create(key, document):
        secrets.append(document) if key[0] == "secrets" else None
        return real(key, document)

    monkeypatch.setattr(cluster, "create", create)
    project = make_project()
    for number in range(2):
        run = project.run(f"print({number})")
        assert run.text("stdout") == str(number), run.error
    [launcher] = launchers(cluster)
    assert launcher["immutable"] is True
    assert set(launcher["binaryData"]) == {"start.py", "lib.zip"}
    assert [set(secret["data"]) for secret in secrets] == [{"job.json", "stores.json"}] * 2
    assert max(len(str(secret)) for secret in secrets) < 10_000


def test_the_reaper_removes_a_launcher_that_no_pod_has_for_long(make_project, cluster):
    project = make_project()
    run, thread = in_background(
        project,
        """
        import time, sys, pathlib
        print('begun', flush=True)
        while not pathlib.Path(sys.argv[1], "go").exists(): time.sleep(0.1)
        """,
    )
    [launcher] = launchers(cluster)
    launcher["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    assert list(reap(project.workspace, "pods")) == []
    assert len(launchers(cluster)) == 1  # a pod has it
    output = project.workspace.store.url.removeprefix("file://")
    [out] = list(Path(output).rglob("step/1/out"))
    (out / "go").touch()
    assert ended(project, run, thread).status == "finished"
    assert list(reap(project.workspace, "pods", dry=True)) == []
    assert len(launchers(cluster)) == 1
    assert list(reap(project.workspace, "pods")) == []
    assert launchers(cluster) == []
    assert project.run("print('again')").text("stdout") == "again"
    assert list(reap(project.workspace, "pods")) == []
    assert len(launchers(cluster)) == 1  # it is new


def test_a_launcher_that_a_pod_takes_up_while_it_is_removed_is_made_again(make_project, cluster, monkeypatch):
    project = make_project()
    assert project.run("pass").outcome.status == "Finished"
    [launcher] = launchers(cluster)
    before = {**launcher, "metadata": {**launcher["metadata"]}}
    launcher["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    volume = {"name": "x", "projected": {"sources": [{"configMap": {"name": launcher["metadata"]["name"]}}]}}
    real = cluster.delete

    def delete(key, grace):
        if key[0] == "configmaps":
            pod = {"metadata": {"name": "late", "labels": {"ml-pipelines.workspace": "x"}}}
            cluster.unschedulable = "it is to wait"
            pod["spec"] = {"volumes": [volume], "containers": [{"name": "base", "image": "x"}]}
            cluster.create(("pods", "ml", "late"), pod)
        return real(key, grace)

    monkeypatch.setattr(cluster, "delete", delete)
    assert list(reap(project.workspace, "pods")) == []
    [again] = launchers(cluster)
    assert again["binaryData"] == before["binaryData"]
    real(("pods", "ml", "late"), 0)


# --- the log -----------------------------------------------------------------------------------------------------


def test_without_the_right_to_read_logs_a_step_runs_says_so_and_can_be_canceled(make_project, cluster):
    project = make_project()
    cluster.forbidden = "log"
    run = project.run("print('unheard')")
    assert run.outcome.status == "Finished", run.error
    assert "can't read the log of a pod" in run.text("stderr")
    assert run.kept("logs/stdout.txt") == "unheard\n"
    canceled = project.run("import time; time.sleep(600)", cancel_at=lambda line: "the log" in line)
    assert canceled.step.status == "canceled"
