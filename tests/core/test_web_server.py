"""A web server as it is found outside: with a certificate, redirects, passwords, and all that can go wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from servers.web import TOKEN, web_server

pytest.importorskip("aiohttp", reason="pip install aiohttp")

LOOK = """
import json, sys, tempfile
from pathlib import Path
from airflow_ml_pipelines.core.errors import MlPipelinesError
from airflow_ml_pipelines.core.stores.open import open_store

store = open_store(sys.argv[1], **json.loads(sys.argv[2]))
folder = Path(tempfile.mkdtemp(dir=sys.argv[3]))


def download():
    store.download("a.csv", folder / "copy")
    return (folder / "copy").read_bytes()


def read():
    with store.open("a.csv") as file:
        return file.read()


found = {}
for look in (lambda: store.info("a.csv") is not None, lambda: store.get("a.csv"), download, read):
    try:
        result = look()
        found[len(found)] = result if isinstance(result, bool) else len(result)
    except MlPipelinesError as error:
        found[len(found)] = f"{type(error).__name__}: {error}"
assert sorted(path.name for path in folder.iterdir()) in ([], ["copy"])
print(json.dumps(list(found.values())))
"""
DATA = b"x\n" + b"1\n" * 100_000


@pytest.fixture
def web(tmp_path):
    with web_server(tmp_path) as (url, server):
        server.files["a.csv"] = DATA
        yield url, server


@pytest.fixture
def look(web, tmp_path):
    """Looks at a file in a process that trusts the authority; returns what it sees in each way to look."""
    url, server = web

    def run(way, trusted=True, **options):
        env = {**os.environ, "SSL_CERT_FILE": str(server.authority)} if trusted else dict(os.environ)
        arguments = [f"{url}/{way}", json.dumps(options), str(tmp_path)]
        command = [sys.executable, "-W", "error", "-c", LOOK, *arguments]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize(
    "way",
    ["plain", "no-ranges", "unknown-length", "moved", "get-only"],
    ids=lambda way: way.replace("-", " "),
)
def test_a_file_is_whole_however_it_is_answered(look, way):
    assert look(way) == [True, len(DATA), len(DATA), len(DATA)]


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("403", "access is denied (the server answers 403 Forbidden): check the datastore's connection"),
        ("500", "the server answers 500 Internal Server Error; try again later"),
        ("503", "the server answers 503 Service Unavailable; try again later"),
        (
            "guarded",
            "access is denied (the server answers 401 Unauthorized): check the datastore's connection",
        ),
    ],
)
def test_what_a_server_refuses_is_not_taken_for_a_file_that_is_not_there(look, way, reason):
    for said in look(way):
        assert said.startswith("StoreError: 'a.csv' in https://127.0.0.1:")
        assert said.endswith(reason)


@pytest.mark.parametrize("way", ["404", "410", "moved/404"])
def test_what_is_not_there_is_not_there(look, way):
    there, *others = look(way)
    assert there is False
    assert all(said.startswith("NotFoundError: there is no 'a.csv' in https://") for said in others)


def test_a_file_that_breaks_off_is_no_file(look):
    there, *others = look("cut")
    assert there is True  # as the server says
    assert all("the server ended the connection before all was there" in said for said in others)


def test_a_certificate_that_nobody_knows_is_told(look):
    for said in look("plain", trusted=False):
        assert said.startswith("StoreError:")
        assert "the server's certificate is not trusted: name the file" in said
        assert "SSL_CERT_FILE" in said


def test_a_token_is_shown_to_the_server_and_to_nobody_that_it_sends_to(look, web, tmp_path):
    _, server = web
    headers = {"client_kwargs": {"headers": {"Authorization": f"Bearer {TOKEN}"}}}
    assert look("guarded", **headers) == [True, len(DATA), len(DATA), len(DATA)]
    (tmp_path / "other").mkdir()
    with web_server(tmp_path / "other") as (elsewhere, other):
        both = server.authority.read_text() + other.authority.read_text()
        server.authority.write_text(both)
        server.elsewhere = elsewhere
        other.files["a.csv"] = DATA
        assert look("away", **headers) == [True, len(DATA), len(DATA), len(DATA)]
        assert other.asked
        assert [asked for asked in other.asked if "Authorization" in asked[2]] == []


def test_a_wrong_token_is_told_and_not_shown(look):
    for said in look("guarded", client_kwargs={"headers": {"Authorization": "Bearer wr0ng"}}):
        assert "access is denied (the server answers 403 Forbidden)" in said
        assert "wr0ng" not in said
