"""A server that speaks the part of the Kubernetes API in which pods live, and runs their containers on a Docker engine.

Every object that comes in is read as the official client's model of it. Volumes of pods: Secrets, emptyDir, hostPath.
What a test sets on the server decides what becomes of pods: no image, no node, no quota, an eviction.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import docker
from kubernetes.client import ApiClient, ApiException

from servers.serving import serving

LABEL = "ml-pipelines-test-cluster"

_PATH = re.compile(
    r"/api/v1/namespaces/(?P<namespace>[^/]+)/(?P<kind>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>log))?"
)
_MODELS = {"pods": "V1Pod", "secrets": "V1Secret"}


class KubernetesServer:
    """A cluster of one node.

    :ivar unschedulable: why no node takes a pod.
    :ivar quota: why no pod may be made.
    :ivar away: whether it answers nobody, and breaks off what it was saying.
    :ivar requests: method and path of every request.
    """

    def __init__(self, docker_url: str) -> None:
        self.unschedulable = ""
        self.quota = ""
        self.away = False
        self.requests: list[str] = []
        self.objects: dict[tuple[str, str, str], dict] = {}
        self.lock = threading.RLock()
        self.docker = docker.APIClient(base_url=docker_url, version="auto")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cluster": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextlib.contextmanager
    def running(self) -> Iterator[KubernetesServer]:
        try:
            with serving(self._server):
                yield self
        finally:
            for key in list(self.objects):
                self.delete(key, 0)
            self.docker.close()

    def kubeconfig(self, file: Path) -> Path:
        """Write a kubeconfig and return it."""
        cluster = {"name": "test", "cluster": {"server": self.url}}
        context = {"name": "test", "context": {"cluster": "test", "user": "test"}}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "contexts": [context],
            "users": [{"name": "test", "user": {}}],
            "current-context": "test",
        }
        file.write_text(json.dumps(document))
        return file

    # --- objects -------------------------------------------------------------------------------------------------

    def create(self, key: tuple[str, str, str], document: dict) -> dict:
        _check(key[0], document)
        if key[0] == "pods" and self.quota:
            raise _RefusalError(403, f'pods "{key[2]}" is forbidden: exceeded quota: {self.quota}')
        with self.lock:
            if key in self.objects:
                raise _RefusalError(409, f'{key[0]} "{key[2]}" already exists')
            self.objects[key] = document
        document["metadata"].setdefault("namespace", key[1])
        if key[0] == "pods":
            document["status"] = {"phase": "Pending", "conditions": []}
            if self.unschedulable:
                condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
                document["status"]["conditions"] = [{**condition, "message": self.unschedulable}]
            else:
                threading.Thread(target=self._start, args=(document,), daemon=True).start()
        return document

    def read(self, key: tuple[str, str, str]) -> dict:
        document = self.objects.get(key)
        if document is None:
            raise _RefusalError(404, f'{key[0]} "{key[2]}" not found')
        if key[0] == "pods":
            self._look(document)
        return document

    def delete(self, key: tuple[str, str, str], grace: int) -> dict:
        document = self.read(key)
        if key[0] == "pods":
            with contextlib.suppress(docker.errors.NotFound):
                if grace:
                    self.docker.stop(self._container(document), timeout=grace)
                    self._look(document)
            self._remove(document)
        self.objects.pop(key, None)
        return document

    def evict(self, name: str, message: str) -> None:
        """Take a pod from its node."""
        [document] = [
            item for (kind, _, known), item in self.objects.items() if kind == "pods" and known == name
        ]
        document["status"] = {"phase": "Failed", "reason": "Evicted", "message": message}
        self._remove(document)

    # --- containers ----------------------------------------------------------------------------------------------

    def _container(self, pod: dict) -> str:
        return f"k8s-{pod['metadata']['name']}"

    def _remove(self, pod: dict) -> None:
        try:
            self.docker.remove_container(self._container(pod), force=True, v=True)
        except docker.errors.APIError as error:
            if error.status_code not in (404, 409):  # gone, or going
                raise

    def _start(self, pod: dict) -> None:
        [given] = pod["spec"]["containers"]
        status = {
            "name": given["name"],
            "image": given["image"],
            "imageID": "",
            "ready": False,
            "restartCount": 0,
        }
        try:
            self._run(pod, given)
        except docker.errors.ImageNotFound as error:
            waiting = {"reason": "ErrImagePull", "message": str(error.explanation)}
            pod["status"]["containerStatuses"] = [{**status, "state": {"waiting": waiting}}]
        except docker.errors.APIError as error:
            waiting = {"reason": "RunContainerError", "message": str(error.explanation)}
            pod["status"]["containerStatuses"] = [{**status, "state": {"waiting": waiting}}]
        else:
            running = {**status, "ready": True, "state": {"running": {}}}
            pod["status"].update(phase="Running", containerStatuses=[running])

    def _run(self, pod: dict, given: dict) -> None:
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", ())}
        mounts, files = [], {}
        for mount in given.get("volumeMounts", ()):
            volume, target = volumes[mount["name"]], mount["mountPath"]
            if "hostPath" in volume:
                source = volume["hostPath"]["path"]
                mounts.append(
                    docker.types.Mount(target, source, type="bind", read_only=mount.get("readOnly", False))
                )
            elif "secret" in volume:
                secret = self.read(("secrets", pod["metadata"]["namespace"], volume["secret"]["secretName"]))
                files |= {f"{target}/{name}": base64.b64decode(data) for name, data in secret["data"].items()}
            else:
                mounts.append(docker.types.Mount(target, None, type="tmpfs"))
        limits = given.get("resources", {}).get("limits", {})
        options = {}
        if "memory" in limits:
            options["mem_limit"] = options["memswap_limit"] = int(limits["memory"])
        name = self._container(pod)
        self.docker.create_container(
            given["image"],
            name=name,
            entrypoint=given.get("command"),
            command=given.get("args"),
            environment={item["name"]: item["value"] for item in given.get("env", ())},
            labels={LABEL: "1"},
            host_config=self.docker.create_host_config(mounts=mounts, init=True, **options),
        )
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for path, data in files.items():
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.size, entry.mode = len(data), 0o444
                tar.addfile(entry, io.BytesIO(data))
        self.docker.put_archive(name, "/", out.getvalue())
        self.docker.start(name)

    def _look(self, pod: dict) -> None:
        if pod["status"]["phase"] != "Running":
            return
        try:
            state = self.docker.inspect_container(self._container(pod))["State"]
        except docker.errors.NotFound:
            return
        if not state["Running"]:
            code = state["ExitCode"]
            reason = "OOMKilled" if state["OOMKilled"] else "Error" if code else "Completed"
            [status] = pod["status"]["containerStatuses"]
            pod["status"]["phase"] = "Failed" if code else "Succeeded"
            status["state"] = {"terminated": {"exitCode": code, "reason": reason}}

    def log(self, key: tuple[str, str, str]) -> Iterator[bytes]:
        pod = self.read(key)
        if pod["status"]["phase"] == "Pending":
            raise _RefusalError(400, "container is waiting to start")
        return self.docker.logs(self._container(pod), stream=True, follow=True)


class _RefusalError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _check(kind: str, document: dict) -> None:
    """Read an object as the official client's model of it."""
    try:
        ApiClient().deserialize(SimpleNamespace(data=json.dumps(document)), _MODELS[kind])
    except (ValueError, ApiException) as error:
        raise _RefusalError(422, f"{kind}: {error}") from None
    except TypeError:  # the client of this version wants the text itself
        ApiClient().deserialize(json.dumps(document), _MODELS[kind], "application/json")


class _Handler(BaseHTTPRequestHandler):
    cluster: KubernetesServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    def _answer(self, act) -> None:
        self.cluster.requests.append(f"{self.command} {self.path}")
        size = int(self.headers.get("Content-Length") or 0)
        self.body = json.loads(self.rfile.read(size) or b"{}")
        if self.cluster.away:
            self.close_connection = True
            return
        parts = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        found = _PATH.fullmatch(parts.path)
        try:
            if found is None or found["kind"] not in _MODELS:
                raise _RefusalError(404, f"there is no {parts.path}")
            act(found)
        except _RefusalError as refusal:
            self._send(
                {"kind": "Status", "status": "Failure", "message": str(refusal), "code": refusal.status},
                refusal.status,
            )
        except BrokenPipeError:
            pass

    def _key(self, found: re.Match) -> tuple[str, str, str]:
        return found["kind"], found["namespace"], found["name"]

    def _get(self, found: re.Match) -> None:
        if found["part"] == "log":
            self._send_log(self.cluster.log(self._key(found)))
        elif found["name"]:
            self._send(self.cluster.read(self._key(found)))
        else:
            wanted = dict(
                item.split("=", 1) for item in self.query.get("labelSelector", "").split(",") if item
            )
            keys = [
                key for key in list(self.cluster.objects) if key[:2] == (found["kind"], found["namespace"])
            ]
            items = [self.cluster.read(key) for key in keys]
            items = [item for item in items if wanted.items() <= item["metadata"].get("labels", {}).items()]
            self._send({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})

    def _post(self, found: re.Match) -> None:
        key = (found["kind"], found["namespace"], self.body["metadata"]["name"])
        self._send(self.cluster.create(key, self.body), 201)

    def _delete(self, found: re.Match) -> None:
        grace = self.query.get("gracePeriodSeconds", self.body.get("gracePeriodSeconds", 30))
        self._send(self.cluster.delete(self._key(found), int(grace)))

    def _send(self, document: dict, status: int = 200) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_log(self, pieces: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for piece in pieces:
                if self.cluster.away:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    for _ in pieces:  # the engine's answer is to be read to its end
                        pass
                    return
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        finally:
            pieces.close()


def wait_until(condition, timeout: float = 60) -> None:
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, "waited for in vain"
        time.sleep(0.05)
