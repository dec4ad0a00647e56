"""Files of a web server, which are only ever read."""

from __future__ import annotations

import functools
import http.server

import pytest
from servers.serving import serving

from airflow_ml_pipelines.core.errors import DataError, NotFoundError, StoreError
from airflow_ml_pipelines.core.files.statcache import NoStatCache
from airflow_ml_pipelines.core.keys.fingerprint import find_location, fingerprint_data
from airflow_ml_pipelines.core.spec import Data, Location
from airflow_ml_pipelines.core.stores.open import open_store

pytest.importorskip("aiohttp", reason="pip install aiohttp")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a b.csv").write_bytes(b"x\n1\n")
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        yield url


def test_a_file_is_read(site, tmp_path):
    store = open_store(f"{site}/data")
    assert store.get("a%20b.csv") == b"x\n1\n"
    store.download("a%20b.csv", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"x\n1\n"
    with pytest.raises(NotFoundError):
        store.get("none.csv")


def test_a_url_is_an_input_that_is_known_by_its_content(site, tmp_path):
    data = Data(locations=(Location(path=f"{site}/data/a%20b.csv"),))
    first = fingerprint_data(data, lambda _: None, "content", NoStatCache())
    assert fingerprint_data(data, lambda _: None, "content", NoStatCache()).document == first.document
    (tmp_path / "data/a b.csv").write_bytes(b"x\n2\n")
    assert fingerprint_data(data, lambda _: None, "content", NoStatCache()).document != first.document


def test_what_is_not_there_is_told(site):
    with pytest.raises(DataError, match="there is nothing at http://127.0.0.1"):
        find_location(Location(path=f"{site}/none.csv"), lambda _: None)


def test_nothing_is_written_there(site):
    with pytest.raises(StoreError, match="can't be written"):
        open_store(f"{site}/data").put("new.csv", b"x")
