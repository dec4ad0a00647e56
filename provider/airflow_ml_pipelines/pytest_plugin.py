"""Fixtures for tests of pipelines. pytest loads this at every start, so nothing is imported before it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_ml_pipelines.testing import FakeComputeTarget, MemoryRun
    from dag_factory import Workspace

__all__ = [
    "assert_key_stable",
    "fake_compute_target",
    "memory_workspace",
    "pytest_addoption",
    "run_in_memory",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--update-keys``."""
    group = parser.getgroup("ml-pipelines", "pipelines")
    group.addoption(
        "--update-keys", action="store_true", help="write the keys that assert_key_stable compares with"
    )


@pytest.fixture
def memory_workspace() -> Iterator[Workspace]:
    """A workspace in memory, of the test's own."""
    from airflow_ml_pipelines import testing

    with testing.memory_workspace() as workspace:
        yield workspace


@pytest.fixture
def run_in_memory(memory_workspace: Workspace) -> Callable[..., MemoryRun]:
    """A function that runs a pipeline in the test's workspace; what one call made, the next reuses."""
    from airflow_ml_pipelines import testing

    return partial(testing.run_in_memory, workspace=memory_workspace)


@pytest.fixture
def fake_compute_target() -> Iterator[FakeComputeTarget]:
    """A compute target that runs no script and stands for all others during the test."""
    from airflow_ml_pipelines import testing

    with testing.FakeComputeTarget() as fake:
        yield fake


@pytest.fixture
def assert_key_stable(request: pytest.FixtureRequest) -> Callable[..., None]:
    """A function that fails where keys are not those of ``golden/<test>.json`` beside the test's file."""
    from airflow_ml_pipelines import testing

    update = request.config.getoption("--update-keys")
    file = request.path.parent / "golden" / f"{request.node.name}.json"

    def check(pipeline: Any, golden: Any = file, **options: Any) -> None:
        testing.assert_key_stable(pipeline, golden, update=update, **options)

    return check
