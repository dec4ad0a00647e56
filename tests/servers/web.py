"""A web server with a certificate of a private authority, that answers in the ways web servers do."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from servers.certificates import make_certificates
from servers.serving import serving

__all__ = ["Web", "web_server"]

TOKEN = "let-me-in"


class Web(ThreadingHTTPServer):
    """The first segment of a path says how it is answered, the last one which file is asked for.

    :ivar files: what is given, by name.
    :ivar authority: the file with the certificate of the authority that has signed the server's.
    :ivar elsewhere: where ``/away/…`` sends to.
    :ivar asked: method, path and headers of each request.
    """

    daemon_threads = True

    def __init__(self, folder: Path, *, tls: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.elsewhere = ""
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        certificates = make_certificates(folder)
        self.authority = certificates["ca"]
        if not tls:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates["server-cert"], certificates["server-key"])
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that do not trust the certificate."""


@contextlib.contextmanager
def web_server(folder: Path, *, tls: bool = True) -> Iterator[tuple[str, Web]]:
    """Serve until the block ends; give the server's URL and the server."""
    server = Web(folder, tls=tls)
    with serving(server) as url:
        yield url.replace("http:", "https:") if tls else url, server


class _Handler(BaseHTTPRequestHandler):
    server: Web
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        way, _, name = self.path.lstrip("/").partition("/")
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        data = self.server.files.get(name)
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if way.isdecimal():
            self._send(int(way), b"this is no data")
        elif way == "guarded" and not allowed:
            self._send(401 if "Authorization" not in self.headers else 403, b"no")
        elif way in ("moved", "away"):
            place = self.server.elsewhere if way == "away" else ""
            self._send(302, b"", Location=f"{place}/plain/{name}")
        elif data is None:
            self._send(404, b"")
        elif way == "get-only" and self.command == "HEAD":
            self._send(405, b"")
        elif way == "cut":
            self._send(
                200, data[: len(data) // 2], **{"Content-Length": str(len(data)), "Connection": "close"}
            )
        elif way == "unknown-length":
            self.send_response_only(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
        elif (wanted := self.headers.get("Range", "")) and way != "no-ranges":
            first, last = wanted.removeprefix("bytes=").split("-")
            start, end = int(first), min(int(last or len(data)) + 1, len(data))
            where = {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
            self._send(206, data[start:end], **where)
        else:
            ranges = {} if way == "no-ranges" else {"Accept-Ranges": "bytes"}
            self._send(200, data, **ranges)

    do_GET = do_HEAD = _answer  # noqa: N815

    def _send(self, status: int, data: bytes, **headers: str) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        if headers.get("Connection") == "close":
            self.close_connection = True
