"""The client of Airflow's REST API that tests use."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from servers.serving import serving

from airflow_ml_pipelines.testing import rest_api
from airflow_ml_pipelines.testing.rest_api import AirflowApi, AirflowApiError


@pytest.fixture
def server(monkeypatch):
    """A server that answers what it is told to, one status after the other."""
    monkeypatch.setattr(rest_api.time, "sleep", lambda _: None)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status = 200 if self.path == "/auth/token" else self.server.statuses.pop(0)
            self.server.asked.append(self.path)
            body = json.dumps({"access_token": "t", "status": status}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the name that the server looks for

        def log_message(self, *_):
            pass

    found = HTTPServer(("127.0.0.1", 0), Handler)
    found.statuses, found.asked = [], []
    with serving(found):
        yield found


def test_what_only_asks_asks_again_where_the_database_was_locked(server):
    server.statuses = [500, 503, 200]
    api = AirflowApi(f"http://127.0.0.1:{server.server_port}")
    assert api.request("GET", "/a")["status"] == 200
    assert server.asked == ["/auth/token", "/a", "/a", "/a"]


@pytest.mark.parametrize(
    ("method", "statuses"), [("POST", [500, 200]), ("GET", [404, 200]), ("GET", [500] * 5)]
)
def test_what_is_refused_is_an_error(server, method, statuses):
    server.statuses = list(statuses)
    api = AirflowApi(f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(AirflowApiError) as raised:
        api.request(method, "/a", {} if method == "POST" else None)
    assert raised.value.status == statuses[0]
    assert len(server.asked) == (6 if statuses == [500] * 5 else 2)
