"""A registry of images, as far as tests need one: it takes images and gives them, tells digests of tags, or refuses."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from servers.serving import serving

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_PATH = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>manifests|blobs)/(?P<name>[^/]+)")


class Registry:
    """What it has, and what it says to everybody.

    :ivar tags: the text that each image ``repository:tag`` is made of.
    :ivar pushed: the manifest and its type of each image ``repository:tag`` that somebody brought.
    :ivar blobs: what images that somebody brought are made of, by digest.
    :ivar refusal: the HTTP status of every answer; 0 to be of service.
    :ivar user: ``name:password`` of the one who is served; "" for everybody.
    :ivar told: each login that somebody came with.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.tags: dict[str, str] = {}
        self.pushed: dict[str, tuple[bytes, str]] = {}
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
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
        if not self._refused():
            found = _PATH.fullmatch(self.path)
            if found is None:
                self._send(200, b"{}", "application/json")
            else:
                data, kind = self._find(found["repository"], found["kind"], found["name"])
                self._send(404 if data is None else 200, data or b"{}", kind)

    do_HEAD = do_GET  # noqa: N815 - as the server calls them

    def do_POST(self) -> None:
        """Begin to take a blob."""
        if not self._refused():
            self._take(secrets.token_hex(8), b"")

    def do_PATCH(self) -> None:
        """Take a piece of a blob."""
        if not self._refused():
            self._take(self.path.rpartition("/")[2], self._body())

    def do_PUT(self) -> None:
        """End a blob, or take a manifest."""
        if self._refused():
            return
        found = _PATH.fullmatch(self.path)
        body = self._body()
        if found is not None and found["kind"] == "manifests":
            kind = self.headers["Content-Type"]
            for name in (found["name"], _digest(body)):
                self.registry.pushed[f"{found['repository']}:{name}"] = (body, kind)
            self._send(201, b"", kind, digest=_digest(body))
            return
        place, _, query = self.path.partition("?")
        [digest] = parse_qs(query)["digest"]
        self.registry.blobs[digest] = self.registry.uploads.pop(place.rpartition("/")[2]) + body
        self._send(201, b"", "application/json", digest=digest)

    def _take(self, upload: str, data: bytes) -> None:
        known = self.registry.uploads
        known[upload] = known.get(upload, b"") + data
        repository = self.path.partition("/v2/")[2].partition("/blobs/")[0]
        self._location = f"/v2/{repository}/blobs/uploads/{upload}"
        self._send(202, b"", "application/json", ranged=f"0-{max(0, len(known[upload]) - 1)}")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _refused(self) -> bool:
        said = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        self.registry.told += [said] if said else []
        if self.registry.user and said != self.registry.user:
            self._send(401, b"{}", "application/json")
        elif self.registry.refusal:
            refusal = {"errors": [{"code": "DENIED", "message": "access to this is denied"}]}
            self._send(self.registry.refusal, json.dumps(refusal).encode(), "application/json")
        else:
            return False
        return True

    def _find(self, repository: str, kind: str, name: str) -> tuple[bytes | None, str]:
        known = self.registry
        if kind == "manifests" and (pushed := known.pushed.get(f"{repository}:{name}")):
            return pushed
        if name in known.blobs:
            return known.blobs[name], "application/octet-stream"
        texts = [text for tag, text in known.tags.items() if tag.startswith(f"{repository}:")]
        if kind == "manifests":
            wanted = [text for text in texts if name in (known.digest(text), "")]
            text = known.tags.get(f"{repository}:{name}") or (wanted[0] if wanted else None)
            return (None if text is None else known.manifest(text)), _MANIFEST
        configs = {_digest(known.config(text)): known.config(text) for text in texts}
        return configs.get(name), "application/octet-stream"

    def _send(self, status: int, data: bytes, kind: str, *, digest: str = "", ranged: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if status == 401 and self.registry.user:
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
        if "manifest" in kind and status == 200:
            digest = _digest(data)
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        if ranged:
            self.send_header("Location", self._location)
            self.send_header("Range", ranged)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
