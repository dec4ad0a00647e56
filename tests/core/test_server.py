"""Calls to an Airflow server."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from servers.serving import serving

from airflow_ml_pipelines.core.workspaces import server as module
from airflow_ml_pipelines.core.workspaces.server import AirflowServer, ServerError


class Troubled(BaseHTTPRequestHandler):
    """Answers the statuses of a list, one after the other, and the last for ever."""

    statuses: list[int]
    asked: int

    def answer(self):
        type(self).asked += 1
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        body = json.dumps({"state": "failed"} if status == 200 else {"detail": "a deadlock"}).encode()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PATCH = do_POST = answer  # noqa: N815 - the names that the library asks for

    def log_message(self, *given):
        pass


@pytest.fixture
def ask(monkeypatch):
    """Call a server that answers some statuses; return the answer and how often it was asked."""
    monkeypatch.setenv("TOKEN", "secret")
    monkeypatch.setattr(module, "_PAUSES", (0.0,) * 4)

    def ask(method, *statuses):
        handler = type("Handler", (Troubled,), {"statuses": list(statuses), "asked": 0})
        with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
            try:
                found = AirflowServer(url, "env:TOKEN").call(method, f"{url}/run", {"state": "failed"})
            except ServerError as error:
                found = error.status
        return found, handler.asked

    return ask


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_what_can_be_said_twice_is_said_again_where_the_server_has_trouble(ask, method):
    assert ask(method, 500, 503, 200) == ({"state": "failed"}, 3)
    assert ask(method, 500) == (500, 5)


def test_nothing_is_started_twice_and_a_refusal_is_final(ask):
    assert ask("POST", 500, 200) == (500, 1)
    assert ask("PATCH", 404, 200) == (404, 1)
