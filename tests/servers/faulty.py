"""Stands before a server and lets requests to it fail."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from servers.serving import serving

__all__ = ["FaultyServer", "Mode", "faulty_server"]

Mode = Literal["works", "reset", "answer lost", "away", "denied"]
"""``reset`` cuts the connection before the server gets the request, ``answer lost`` before the client gets the answer.
``away`` cuts every connection from that request on, ``denied`` refuses whatever would change something."""

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})
_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class FaultyServer(ThreadingHTTPServer):
    """A server that hands on what it is asked.

    :param port: of the server behind it.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = port
        self.mode: Mode = "works"
        self.at = 0
        self.every = 0
        self.count = 0
        self.lock = threading.Lock()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def fail(self, mode: Mode, at: int, every: int = 0) -> None:
        """Let the request of a number from now on fail, from 1 on; and those after it, as the mode says.

        :param every: of the modes that cut one connection: again after so many requests.
        """
        with self.lock:
            self.mode, self.at, self.every, self.count = mode, at, every, 0

    def next_mode(self, method: str) -> Mode:
        with self.lock:
            self.count += 1
            if self.mode in ("reset", "answer lost"):
                number = self.count - self.at
                cut = number == 0 or (number > 0 and self.every > 0 and number % self.every == 0)
                return self.mode if cut else "works"
            if self.mode == "works" or self.count < self.at:
                return "works"
            return "works" if self.mode == "denied" and method in ("GET", "HEAD") else self.mode

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is nothing to speak of."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyServer

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        mode = self.server.next_mode(self.command)
        if mode in ("reset", "away"):
            self._cut()
            return
        if mode == "denied":
            self._answer(403, {"Content-Type": "application/xml"}, _DENIED)
            return
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=60)
        with contextlib.closing(behind):
            behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                behind.putheader(name, value)
            behind.endheaders(body)
            answer = behind.getresponse()
            data = answer.read()
        if mode == "answer lost":
            self._cut()
            return
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
        if self.command == "HEAD":
            headers["Content-Length"] = answer.getheader("Content-Length", "0")
        self._answer(answer.status, headers, data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _hand_on  # noqa: N815 - as http.server calls them

    def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data if self.command != "HEAD" else b"")

    def _cut(self) -> None:
        # with nothing left to linger for, the client gets a reset
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as http.server has it
        """Say nothing."""


@contextlib.contextmanager
def faulty_server(port: int) -> Iterator[FaultyServer]:
    """Run one before the server at a port of this machine."""
    server = FaultyServer(port)
    with serving(server):
        yield server
