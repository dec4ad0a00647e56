"""The HTTP side of the server: who asks, what is asked, and what goes wrong on the way."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from servers.databricks.files import Files, RefusedError
from servers.databricks.runs import Runs
from servers.serving import serving

TOKEN = "dapi-test"


@dataclass
class Faults:
    """What goes wrong.

    :param plan: what becomes of the next requests, one each: 429, 500, 503, ``reset`` (before it is done), ``lose``
        (it is done, and the answer is lost), the bytes of an answer as they are, "" for nothing.
    :param slow_start: seconds that clusters take to start.
    :param no_cluster: why no cluster starts: a text, or a whole ``termination_reason``.
    :param lost_clusters: how many of the next runs lose theirs.
    :param gone: ids of runs that somebody has deleted.
    :param lost_runs: how many of the next runs that are asked for somebody has deleted.
    :ivar happened: how often each of them came about.
    """

    plan: list = field(default_factory=list)
    slow_start: float = 0.0
    no_cluster: str | dict = ""
    lost_clusters: int = 0
    gone: set = field(default_factory=set)
    lost_runs: int = 0
    happened: Counter = field(default_factory=Counter)

    @classmethod
    def drawn(cls, seed: int, length: int = 12) -> Faults:
        """Draw faults of every kind."""
        draw = random.Random(seed)
        plan = draw.choices(["", "", "", 429, 500, 503, "reset", "lose"], k=length)
        return cls(
            plan,
            slow_start=draw.choice([0, 0, 0.3]),
            lost_clusters=draw.choice([0, 0, 0, 0, 1]),
            lost_runs=draw.choice([0, 0, 0, 0, 1]),
        )


class DatabricksServer:
    """A Databricks workspace in a folder.

    :ivar requests: method and path of every request that was done.
    :ivar token: what it takes, and gives to the service principal ``me`` whose secret is ``hunter2``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults = Faults()
        self.requests: list[str] = []
        self.token = TOKEN
        self.asked_for_tokens = 0
        self.files = Files(folder)
        self.runs = Runs(self.files, folder, self.faults, lambda: self.url)
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"workspace": self})
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextlib.contextmanager
    def running(self) -> Iterator[DatabricksServer]:
        try:
            with serving(self._server):
                yield self
        finally:
            self.runs.end()

    @property
    def submitted(self) -> list[dict]:
        """The requests of all runs that there are."""
        return [run.body for run in self.runs.runs.values()]

    def connection(self) -> str:
        """Return an Airflow connection to it, as a variable has it."""
        port = self._server.server_address[1]
        fields = {
            "conn_type": "databricks",
            "host": "127.0.0.1",
            "port": port,
            "schema": "http",
            "password": TOKEN,
        }
        return json.dumps(fields)

    def fail(self, faults: Faults) -> None:
        """Let things go wrong from now on."""
        self.faults = self.runs.faults = faults

    def configure(self, conf: dict, jars: Sequence[str]) -> None:
        """Give every cluster a configuration of Spark and JARs, as who looks after a Databricks workspace does."""
        words = [word for name, value in conf.items() for word in ("--conf", f"{name}={value}")]
        self.runs.spark += [*words, "--conf", f"spark.jars={','.join(jars)}"]

    def notebook(self, path: str, source: str) -> None:
        """Put a notebook into the workspace, as somebody who edits it there does."""
        file = self.files.local(path + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("# Databricks notebook source\n" + source)

    def put(self, path: str, data: bytes) -> None:
        """Put a file to where its path says."""
        file = self.files.local(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


class _Handler(BaseHTTPRequestHandler):
    workspace: DatabricksServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        with self.workspace.lock:
            plan = self.workspace.faults.plan
            fault = plan.pop(0) if plan else ""
            if fault:
                self.workspace.faults.happened[fault] += 1
        if fault == "reset":
            self._reset()
            return
        if isinstance(fault, bytes):
            self.wfile.write(fault)
            self.close_connection = True
            return
        if isinstance(fault, int):
            name = {429: "REQUEST_LIMIT_EXCEEDED", 503: "TEMPORARILY_UNAVAILABLE"}.get(
                fault, "INTERNAL_ERROR"
            )
            self._send(fault, {"error_code": name, "message": f"told to answer {fault}"})
            return
        status, answer = self._do(data)
        if fault == "lose":
            self._reset()
        else:
            self._send(status, answer)

    do_GET = do_POST = do_PUT = do_HEAD = _answer  # noqa: N815

    def _do(self, data: bytes) -> tuple[int, dict | bytes]:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        if path.startswith("/.well-known/"):
            return 404, {}
        if path == "/oidc/v1/token":
            return self._give_token()
        if self.headers.get("Authorization") != f"Bearer {self.workspace.token}":
            return 403, {"error_code": "PERMISSION_DENIED", "message": "Invalid access token."}
        self.workspace.requests.append(f"{self.command} {path}")
        # the provider's triggers ask with a body where others ask with a query
        given = dict(parse_qsl(parts.query))
        raw = path.startswith("/api/2.0/fs/files/")
        if data and not raw:
            given |= json.loads(data)
        try:
            return self._route(path, given, data)
        except RefusedError as error:
            return error.status, {"error_code": error.code, "message": str(error)}
        except KeyError as error:
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": f"missing {error}"}

    def _give_token(self) -> tuple[int, dict]:
        if self.headers.get("Authorization") != "Basic " + base64.b64encode(b"me:hunter2").decode():
            return 401, {"error": "invalid_client"}
        self.workspace.asked_for_tokens += 1
        return 200, {"access_token": self.workspace.token, "expires_in": 3600, "token_type": "Bearer"}

    def _route(self, path: str, given: dict, data: bytes) -> tuple[int, dict | bytes]:
        files, runs = self.workspace.files, self.workspace.runs
        _, _, version, *names = path.split("/")
        name = "/".join(names)
        if name.startswith("fs/files/"):
            return self._file("/" + name.removeprefix("fs/files/"), data)
        if name.startswith("fs/directories/") and self.command == "PUT":
            files.local("/" + name.removeprefix("fs/directories/")).mkdir(parents=True, exist_ok=True)
            return 204, b""
        routes = {
            ("POST", "jobs/runs/submit"): runs.submit,
            ("GET", "jobs/runs/get"): runs.get,
            ("GET", "jobs/runs/get-output"): runs.output,
            ("POST", "jobs/runs/cancel"): runs.cancel,
            ("GET", "clusters/get"): runs.cluster,
            ("POST", "clusters/start"): runs.start_cluster,
            ("GET", "libraries/cluster-status"): runs.library_status,
            ("POST", "workspace/import"): files.import_object,
            ("GET", "workspace/export"): files.export_object,
            ("GET", "workspace/get-status"): files.status,
            ("POST", "workspace/mkdirs"): files.make_folder,
            ("GET", "dbfs/read"): files.read_dbfs,
            ("GET", "dbfs/get-status"): files.dbfs_status,
            ("POST", "dbfs/put"): files.put_dbfs,
            ("GET", "preview/scim/v2/Me"): lambda _: {"userName": "somebody@example.com"},
        }
        route = routes.get((self.command, name))
        if route is None or version not in ("2.0", "2.1", "2.2"):
            return 404, {
                "error_code": "ENDPOINT_NOT_FOUND",
                "message": f"No API found for {self.command} /{name}",
            }
        return 200, route(given)

    def _file(self, path: str, data: bytes) -> tuple[int, dict | bytes]:
        file = self.workspace.files.local(path)
        if self.command == "PUT":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            return 204, b""
        if not file.is_file():
            return 404, {"error_code": "NOT_FOUND", "message": f"The file {path} does not exist."}
        return 200, file.read_bytes()

    def _send(self, status: int, answer: dict | bytes) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header(
            "Content-Type", "application/octet-stream" if isinstance(answer, bytes) else "application/json"
        )
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204 and self.command != "HEAD":
            self.wfile.write(body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
