"""Runs whose workspace is on a server that cuts connections, refuses writes, or is away."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from crash import Ended, run_forked
from servers.faulty import FaultyServer, Mode, faulty_server
from servers.process import Server
from shop import Shop

from dag_factory.cli import main

OURS = ("/dag_factory/", "/airflow_ml_pipelines/", "Debug source")


EVERY = 23
"""Of so many requests one is cut: some ten in a run."""


@dataclass
class Place:
    """A server, what stands before it, and what was left there.

    :param before: what the connection ``far`` leads through, but for a look at what was left.
    :param requests: how many a run makes where nothing disturbs it.
    """

    server: Server
    before: FaultyServer
    folder: Path
    requests: int = 0
    shops: int = 0

    def open(self) -> Shop:
        """Make a new workspace."""
        self.shops += 1
        folder = self.folder / f"shop-{self.shops}"
        folder.mkdir()
        url = f"{self.server.bucket('faults')}/{self.folder.name}/{self.shops}"
        return Shop(folder, root=url, connection="far").open()

    def run(self, shop: Shop, mode: Mode = "works", at: int = 0, every: int = 0) -> Ended:
        document = json.dumps(self.server.connection).replace(f":{self.server.port}", f":{self.before.port}")
        variables = {"AIRFLOW_CONN_FAR": document}
        self.before.fail(mode, at, every)
        ended = run_forked(partial(main, shop.run_command), self.folder / "log", [], variables=variables)
        assert ended.code in (0, 1), ended
        assert not any(ours in ended.error + ended.text for ours in OURS), ended
        return ended

    def assert_runs_right(self, shop: Shop, mode: Mode = "works", at: int = 0, every: int = 0) -> None:
        ended = self.run(shop, mode, at, every)
        assert (ended.code, ended.error) == (0, ""), (at, ended)
        assert (shop.outputs(), shop.findings()) == (shop.expected(), []), at


@pytest.fixture(scope="module", params=["s3", "azurite", "gcs"])
def place(request, tmp_path_factory):
    server = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch, faulty_server(server.port) as before:
        patch.setenv("AIRFLOW_CONN_FAR", json.dumps(server.connection))
        patch.setenv("ML_PIPELINES_CACHE", str(folder / "cache"))
        patch.delenv("ML_PIPELINES_WORKSPACE", raising=False)
        place = Place(server, before, folder)
        place.assert_runs_right(place.open())
        place.requests = before.count
        yield place


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", ["reset", "answer lost"])
def test_connections_that_are_cut_end_no_run(mode, place, moments):
    for at in moments(EVERY, share=4):
        place.assert_runs_right(place.open(), mode, at, EVERY)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("mode", "text"),
    [("away", "does not answer, or cuts connections: start again"), ("denied", "access is denied")],
)
def test_a_server_that_is_lost_is_told_and_the_next_run_ends_right(mode, text, place, moments):
    for at in moments(place.requests, share=4, of_all=5):
        shop = place.open()
        ended = place.run(shop, mode, at)
        assert ended.code == 1, (at, ended)
        assert text in ended.error + ended.text, (at, ended)
        shop.expire_leases()
        assert shop.findings() == [], at
        place.assert_runs_right(shop)
