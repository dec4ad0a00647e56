"""What pods and Secrets are, without any cluster."""

import msgspec
import pytest

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec
from airflow_ml_pipelines.execution.targets.docker_mounts import Mount, read_mounts
from airflow_ml_pipelines.execution.targets.kubernetes import KubernetesTarget
from airflow_ml_pipelines.execution.targets.kubernetes_options import KubernetesOptions
from airflow_ml_pipelines.execution.targets.lines import Lines, MergedLines
from airflow_ml_pipelines.execution.targets.options import memory_bytes, resources_of
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
