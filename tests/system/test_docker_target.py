"""Steps in containers of a real Docker engine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.workspace import ComputeTargetSpec
from airflow_ml_pipelines.testing.compute_contract import ComputeTargetContract

sys.path.insert(0, str(Path(__file__).parent.parent))

docker = pytest.importorskip("docker")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    from servers.docker_engine import docker_engine, make_base_image

    with docker_engine(tmp_path_factory.mktemp("docker")) as url:
        make_base_image(url)
        yield url


@pytest.fixture
def spec(engine):
    from servers.docker_engine import BASE_IMAGE

    def make(**options):
        return ComputeTargetSpec("box", "docker", {"image": BASE_IMAGE, "url": engine, **options})

    return make


class TestContract(ComputeTargetContract):
    outlives = True
    log_megabytes = 100

    @pytest.fixture
    def target(self, spec):
        return spec()

    @pytest.fixture
    def small_target(self, spec):
        return spec(memory="128m")
