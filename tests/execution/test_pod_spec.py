"""What pods and Secrets are, without any cluster."""

import contextlib

import msgspec
import pytest

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec
from airflow_ml_pipelines.execution.targets.docker_mounts import Mount, read_mounts
from airflow_ml_pipelines.execution.targets.kubernetes import KubernetesTarget
from airflow_ml_pipelines.execution.targets.kubernetes_options import KubernetesOptions
from airflow_ml_pipelines.execution.targets.lines import Lines, MergedLines
from airflow_ml_pipelines.execution.targets.options import memory_bytes, resources_of
from airflow_ml_pipelines.execution.targets.pod import PodJob
from airflow_ml_pipelines.execution.targets.pod_spec import read_template
from airflow_ml_pipelines.execution.targets.pools import Pool, max_nodes, pool_of


@pytest.mark.parametrize(
    ("text", "size"),
    [("512m", 512 << 20), ("4g", 4 << 30), ("4Gi", 4 << 30), ("1.5G", 3 << 29), (1024, 1024)],
)
def test_memory_is_read_as_people_write_it(text, size):
    assert memory_bytes(text, "here") == size


@pytest.mark.parametrize("text", ["much", "-1g", "4x", ""])
def test_what_is_no_memory_is_refused(text):
    with pytest.raises(ComputeTargetException, match="here: memory: expected a size such as 512m or 4g"):
        memory_bytes(text, "here")


def test_what_a_target_says_itself_comes_before_its_size():
    spec = ComputeTargetSpec("gpu", "kubernetes")
    options = msgspec.convert(
        {
            "cpus": 2,
            "vm_size": "standard_nc6",
            "vm_sizes": {"STANDARD_NC6": {"cpus": 6, "memory": "56g", "gpus": 1}},
        },
        KubernetesOptions,
    )
    found = resources_of(spec, options)
    assert (found.cpus, found.memory, found.gpus) == (2, "56g", 1)


def test_all_gpus_are_no_number_that_a_cluster_could_count():
    with pytest.raises(ComputeTargetException, match="gpus: expected a number, found 'all'"):
        KubernetesTarget(ComputeTargetSpec("gpu", "kubernetes", {"gpus": "all"}))


def test_mounts_are_read_as_docker_writes_them():
    assert read_mounts(["/a:/b", "/c/:/d:ro"], "here") == [Mount("/a", "/b", False), Mount("/c", "/d", True)]
    for wrong in ("/a", "a:/b", "/a:b", "/a:/b:rx"):
        with pytest.raises(ComputeTargetException, match="here: mounts: expected '/source:/target'"):
            read_mounts([wrong], "here")


def test_a_pool_is_for_targets_that_workers_share():
    assert pool_of("my shop", ComputeTargetSpec("box", "docker", {"max_nodes": 4})).slots == 4
    assert pool_of("shop", ComputeTargetSpec("box", "docker", {"max_nodes": 4})) == Pool(
        "ml-pipelines-shop-box", 4
    )
    assert pool_of("shop", ComputeTargetSpec("box", "docker")) is None
    assert pool_of("shop", ComputeTargetSpec("here", "local", {"max_nodes": 4})) is None
    assert max_nodes(ComputeTargetSpec("here", "local", {"max_nodes": 4})) == 4


def test_lines_are_put_together_from_pieces_of_two_streams():
    told = []
    lines = Lines(lambda stream, line: told.append((stream, line)))
    for stream, piece in (("stdout", b"a\xc3"), ("stderr", b"x\n"), ("stdout", b"\xa4\nb"), ("stderr", b"y")):
        lines.add(stream, piece)
    lines.close()
    assert told == [("stderr", "x"), ("stdout", "aä"), ("stdout", "b"), ("stderr", "y")]
    assert list(lines.tail) == ["x", "y"]


def test_a_log_that_has_both_streams_is_taken_apart():
    told = []
    lines = MergedLines(lambda stream, line: told.append((stream, line)))
    lines.add(b"early\n")
    assert list(lines.tail) == ["early"]
    lines.add(b"\x1fbad\ngood\n")
    lines.close()
    assert told == [("stdout", "early"), ("stderr", "bad"), ("stdout", "good")]
    assert list(lines.tail) == ["bad"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Job", "is no pod: expected kind: Pod"),
        ("[1]", "is no pod: expected kind: Pod"),
        ("a: [", "can't be read"),
        ("spec: [1]", "spec: expected a mapping, found list"),
        ("metadata: x", "metadata: expected a mapping, found str"),
        ("metadata: {labels: [a]}", "labels: expected a mapping, found list"),
        ("spec: {containers: {name: base}}", "containers: expected a list, found dict"),
        ("spec: {containers: [base]}", "containers: expected mappings"),
        ("spec: {containers: [{env: {A: b}}]}", "env: expected a list, found dict"),
        ("spec: {volumes: v}", "volumes: expected a list, found str"),
    ],
)
def test_a_template_that_is_no_pod_is_refused(tmp_path, text, message):
    file = tmp_path / "pod.yaml"
    file.write_text(text)
    with pytest.raises(ComputeTargetException, match=message) as caught:
        read_template(str(file), "target 'pods'")
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("text", ["kind: Pod", "spec:\nmetadata:", "spec: {containers: []}"])
def test_a_template_may_leave_out_everything(tmp_path, text):
    file = tmp_path / "pod.yaml"
    file.write_text(text)
    assert read_template(str(file), "here")["spec"]["containers"] == [{"env": [], "volumeMounts": []}]


def test_pods_are_made_in_the_templates_namespace_where_the_target_names_none(tmp_path):
    file = tmp_path / "pod.yaml"
    file.write_text("metadata: {namespace: of-template}")
    given = {"pod_template_file": str(file)}
    assert KubernetesTarget(ComputeTargetSpec("p", "kubernetes", given)).cluster.namespace == "of-template"
    given["namespace"] = "mine"
    assert KubernetesTarget(ComputeTargetSpec("p", "kubernetes", given)).cluster.namespace == "mine"


class _Seen:
    """A cluster that has one pod."""

    namespace, where = "ml", "here"

    def __init__(self, pod):
        self.api = self
        self.read_namespaced_pod = lambda *_, **__: pod

    @contextlib.contextmanager
    def errors(self, _):
        yield


@pytest.mark.parametrize(("state", "over"), [("terminated", True), ("running", False)])
def test_a_job_is_over_when_its_own_container_is_whatever_else_goes_on_in_the_pod(state, over):
    client = pytest.importorskip("kubernetes.client")
    states = {
        "terminated": client.V1ContainerState(terminated=client.V1ContainerStateTerminated(exit_code=0)),
        "running": client.V1ContainerState(running=client.V1ContainerStateRunning()),
    }
    common = {"image": "i", "image_id": "i", "ready": True, "restart_count": 0}
    statuses = [
        client.V1ContainerStatus(name=name, state=states[item], **common)
        for name, item in (("proxy", "running"), ("base", state))
    ]
    pod = client.V1Pod(status=client.V1PodStatus(phase="Running", container_statuses=statuses))
    assert PodJob(_Seen(pod), "p", None, None, startup_timeout=1, limit=None).is_over() is over
