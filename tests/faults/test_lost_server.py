"""Runs whose workspace is on a server that cuts connections, refuses writes, or is away."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest
from crash import Ended, run_forked
from servers.faulty import faulty_server
from shop import Shop

from dag_factory.cli import main

OURS = ("/dag_factory/", "/airflow_ml_pipelines/", "Debug source")


@pytest.fixture(params=["s3", "azurite"])
def place(request, monkeypatch, tmp_path):
    """A server, what stands before it, and a URL there; the connection ``far`` leads through."""
    server = request.getfixturevalue(request.param)
    url = server.bucket("faults")
    with faulty_server(server.port) as before:
        text = json.dumps(server.connection).replace(f":{server.port}", f":{before.port}")
        monkeypatch.setenv("AIRFLOW_CONN_FAR", text)
        yield before, f"{url}/{tmp_path.name}"


@pytest.fixture
def new_shop(place, shop, monkeypatch):
    """Make a new workspace on the server, in the folder of the one before it."""
    made = iter(range(1000))
    return lambda: replace(shop, root=f"{place[1]}/{next(made)}", connection="far").open()


def run(shop: Shop) -> Ended:
    ended = run_forked(partial(main, shop.run_command), shop.folder.parent / "log", [])
    assert ended.code in (0, 1), ended
    assert not any(ours in ended.error + ended.text for ours in OURS), ended
    return ended


def assert_runs_right(shop: Shop) -> None:
    ended = run(shop)
    assert (ended.code, ended.error) == (0, ""), ended
    assert shop.outputs() == shop.expected()
    assert shop.findings() == []


def count(new_shop, before) -> int:
    shop = new_shop()
    before.fail("works", 0)
    assert_runs_right(shop)
    return before.count - 60  # less what was asked to look at the result


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", ["reset", "answer lost"])
def test_a_connection_that_is_cut_ends_no_run(mode, place, new_shop, moments):
    before, _ = place
    for at in moments(count(new_shop, before), share=2):
        shop = new_shop()
        before.fail(mode, at)
        ended = run(shop)
        before.fail("works", 0)
        assert (ended.code, ended.error) == (0, ""), (at, ended)
        assert (shop.outputs(), shop.findings()) == (shop.expected(), []), at


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("mode", "text"),
    [("away", "does not answer, or cuts connections: start again"), ("denied", "access is denied")],
)
def test_a_server_that_is_lost_is_told_and_the_next_run_ends_right(mode, text, place, new_shop, moments):
    before, _ = place
    for at in moments(count(new_shop, before), share=5):
        shop = new_shop()
        before.fail(mode, at)
        ended = run(shop)
        before.fail("works", 0)
        assert ended.code == 1, (at, ended)
        assert text in ended.error + ended.text, (at, ended)
        shop.expire_leases()
        assert shop.findings() == [], at
        assert_runs_right(shop)
