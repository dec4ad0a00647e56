"""What tests of every package share: the servers, each started when a test first asks for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests import the servers from the folder beside this file


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-docs", action="store_true", help="write what commands print into the documentation"
    )


_TOGETHER = {
    "test_compose": "engine",
    "test_containers_on_a_scheduler": "engine",
    "test_docker_target": "engine",
    "test_kubernetes_server": "engine",
    "test_kubernetes_target": "engine",
}
"""Files of tests that share what there can be only one of on a machine: here a Docker engine, with its network."""


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Let processes that run tests side by side (``--dist loadfile``) take whole files, and some files together."""
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return _TOGETHER.get(Path(file).stem, file)

    return Files(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let no system test fail for what another has left to the garbage collector; the summary still tells of it."""
    told = [
        pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning"),
        pytest.mark.filterwarnings("default::pytest.PytestUnhandledThreadExceptionWarning"),
    ]
    for item in items:
        if item.get_closest_marker("system"):
            for marker in told:
                item.add_marker(marker)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    from servers.s3 import S3Server

    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def docker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Docker engine that has the base image."""
    from servers.docker_engine import docker_engine, make_base_image

    with docker_engine(tmp_path_factory.mktemp("docker")) as url:
        make_base_image(url)
        yield url


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    from servers.azurite import AzuriteServer

    server = AzuriteServer(tmp_path_factory.mktemp("azurite"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    from servers.gcs import GcsServer

    server = GcsServer(tmp_path_factory.mktemp("gcs"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    from servers.sftp import SftpServer

    server = SftpServer(tmp_path_factory.mktemp("sftp"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator:
    from servers.postgres import PostgresServer

    server = PostgresServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def new_database(postgres) -> Callable[[str], str]:
    """Make an empty database for an Airflow and return its address."""
    return postgres.create_database


@pytest.fixture(scope="session")
def mariadb() -> Iterator:
    from servers.mariadb import MariadbServer

    server = MariadbServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def databricks(tmp_path_factory):
    """A Databricks workspace that runs what is submitted; named by ``AIRFLOW_CONN_DATABRICKS_TEST`` too."""
    from servers.databricks import DatabricksServer

    with DatabricksServer(tmp_path_factory.mktemp("databricks")).running() as server:
        yield server


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes this process one that parses a DAG file for one task, as Airflow does where it runs it."""

    def set_wanted(dag_id: str, task_id: str = "plan") -> None:
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", task_id)

    return set_wanted
