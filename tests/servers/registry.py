"""A registry of images, as far as tests need one: it tells the digests of tags, or refuses."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from servers.serving import serving

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_PATH = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>manifests|blobs)/(?P<name>[^/]+)")


class Registry:
    """What it has, and what it says to everybody.

    :ivar tags: the text that each image ``repository:tag`` is made of.
    :ivar refusal: the HTTP status of every answer; 0 to be of service.
    :ivar user: ``name:password`` of the one who is served; "" for everybody.
    :ivar told: each login that somebody came with.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.tags: dict[str, str] = {}
        self.refusal = 0
        self.user = ""
        self.told: list[str] = []

    def digest(self, text: str) -> str:
        return _digest(self.manifest(text))

    def config(self, text: str) -> bytes:
        document = {"architecture": "amd64", "os": "linux", "author": text, "config": {}, "rootfs": {}}
        return json.dumps(document).encode()

    def manifest(self, text: str) -> bytes:
        config = self.config(text)
        kind = "application/vnd.docker.container.image.v1+json"
        described = {"mediaType": kind, "size": len(config), "digest": _digest(config)}
        return json.dumps(
            {"schemaVersion": 2, "mediaType": _MANIFEST, "config": described, "layers": []}
        ).encode()


@contextlib.contextmanager
def registry() -> Iterator[Registry]:
    """Start one on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {}))
    made = server.RequestHandlerClass.registry = Registry(f"127.0.0.1:{server.server_port}")
    with serving(server):
        yield made


class _Handler(BaseHTTPRequestHandler):
    registry: Registry
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        found = _PATH.fullmatch(self.path)
        said = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        self.registry.told += [said] if said else []
        if self.registry.user and said != self.registry.user:
            self._send(401, b"{}", "application/json")
        elif self.registry.refusal:
            refusal = {"errors": [{"code": "DENIED", "message": "access to this is denied"}]}
            self._send(self.registry.refusal, json.dumps(refusal).encode(), "application/json")
        elif found is None:
            self._send(200, b"{}", "application/json")
        else:
            data, kind = self._find(found["repository"], found["kind"], found["name"])
            self._send(404 if data is None else 200, data or b"{}", kind)

    do_HEAD = do_POST = do_GET  # noqa: N815 - as the server calls them

    def _find(self, repository: str, kind: str, name: str) -> tuple[bytes | None, str]:
        known = self.registry
        texts = [text for tag, text in known.tags.items() if tag.startswith(f"{repository}:")]
        if kind == "manifests":
            wanted = [text for text in texts if name in (known.digest(text), "")]
            text = known.tags.get(f"{repository}:{name}") or (wanted[0] if wanted else None)
            return (None if text is None else known.manifest(text)), _MANIFEST
        configs = {_digest(known.config(text)): known.config(text) for text in texts}
        return configs.get(name), "application/octet-stream"

    def _send(self, status: int, data: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if status == 401 and self.registry.user:
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
        if kind == _MANIFEST and status == 200:
            self.send_header("Docker-Content-Digest", _digest(data))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
