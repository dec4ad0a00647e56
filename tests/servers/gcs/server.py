"""Listens, lets nobody in without a key, and hands requests to the API that they are of."""

from __future__ import annotations

import json
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

import jwt

from servers.gcs import json_api, xml_api
from servers.gcs.objects import Buckets, RefusedError
from servers.gcs.request import Answer, Request

__all__ = ["Gcs"]


class Gcs(ThreadingHTTPServer):
    """:param key: the public key of the service account that is let in."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, key: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.buckets = Buckets()
        self.tokens: set[str] = set()
        self._key = key

    def answer(self, request: Request) -> Answer:
        if request.path == ["token"]:
            return self._give_token(request)
        if len(request.path) > 1 or request.method != "PUT":  # tests make their buckets without one
            self._check(request.headers.get("Authorization", ""))
        api = json_api if request.path[:1] in (["storage"], ["upload"], ["download"]) else xml_api
        try:
            return api.answer(self.buckets, request)
        except RefusedError as refused:
            return api.refuse(refused)

    def _give_token(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode()))
        self._verify(form["assertion"])
        token = secrets.token_hex(16)
        self.tokens.add(token)
        body = {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
        return Answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _check(self, authorization: str) -> None:
        token = authorization.removeprefix("Bearer ")
        if token not in self.tokens:
            self._verify(token)

    def _verify(self, token: str) -> None:
        try:
            jwt.decode(token, self._key, algorithms=["RS256"], options={"verify_aud": False})
        except jwt.InvalidTokenError as error:
            raise RefusedError(401, "AuthenticationRequired", f"Authentication required. {error}") from None


class _Handler(BaseHTTPRequestHandler):
    server: Gcs
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        request = Request(
            self.command,
            [unquote(segment) for segment in parts.path.split("/")[1:]],
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            self.headers,
            self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        try:
            answer = self.server.answer(request)
        except RefusedError as refused:
            answer = xml_api.refuse(refused)
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815
