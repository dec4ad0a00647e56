"""The contract of compute targets, kept by ``local`` and by one that another project may have."""

import pytest
from process_target import ProcessTarget

from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec
from airflow_ml_pipelines.testing.compute_contract import ComputeTargetContract


class TestLocal(ComputeTargetContract):
    log_megabytes = 100

    @pytest.fixture
    def target(self):
        return ComputeTargetSpec("local")


class TestProcess(ComputeTargetContract):
    outlives = True

    @pytest.fixture
    def target(self):
        return ProcessTarget(ComputeTargetSpec("process"))
