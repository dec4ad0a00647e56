"""A server that speaks the part of the Kubernetes API in which pods live, and runs their containers on a Docker engine.

Objects are made, read, listed by labels and fields, watched, patched and deleted; logs are followed, and programs run in
pods (exec over WebSocket). Airflow's ``KubernetesPodOperator`` and ``kubectl`` work with it. Every object that comes in
is read as the official client's model of it. A pod has one container; volumes: Secrets, projected Secrets and ConfigMaps,
emptyDir, hostPath. What a test sets on the server decides what becomes of pods: no image, no node, no quota, an eviction.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import secrets
import socket
import tarfile
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import docker
from docker.utils.socket import frames_iter
from kubernetes.client import ApiClient, ApiException

from servers.kubernetes_selectors import matches_fields, matches_labels
from servers.serving import serving
from servers.websocket import WebSocket

LABEL = "ml-pipelines-test-cluster"

_PATH = re.compile(
    r"/api/v1/namespaces/(?P<namespace>[^/]+)/(?P<kind>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>log|exec))?"
)
_MODELS = {
    "pods": "V1Pod",
    "secrets": "V1Secret",
    "configmaps": "V1ConfigMap",
    "events": "CoreV1Event",
}
_KINDS = {"pods": "Pod", "secrets": "Secret", "configmaps": "ConfigMap", "events": "Event"}
_LARGEST = 1 << 20
_VERBS = ["create", "delete", "get", "list", "patch", "watch"]
_DISCOVERY = {
    "/version": {"major": "1", "minor": "32", "gitVersion": "v1.32.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": _VERBS}
            for name, kind in _KINDS.items()
        ]
        + [
            {"name": f"pods/{part}", "singularName": "", "namespaced": True, "kind": "Pod", "verbs": ["get"]}
            for part in ("log", "exec")
        ],
    },
}
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "k": 10**3, "M": 10**6, "G": 10**9}
_LOOK = 0.1
_PATIENCE = 5


class KubernetesServer:
    """A cluster of one node.

    :ivar unschedulable: why no node takes a pod.
    :ivar quota: why no pod may be made.
    :ivar forbidden: the part of a pod that nobody may see, such as ``log``.
    :ivar away: whether it answers nobody, and breaks off what it was saying.
    :ivar requests: method and path of every request.
    """

    def __init__(self, docker_url: str) -> None:
        self.unschedulable = ""
        self.quota = ""
        self.forbidden = ""
        self.away = False
        self.requests: list[str] = []
        self.objects: dict[tuple[str, str, str], dict] = {}
        self.lock = threading.RLock()
        self._changes: list[tuple[int, str, str, str, dict]] = []
        self._version = 0
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
                with contextlib.suppress(_RefusalError):  # events go with their pods
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
        if key[0] == "pods" and len(document["spec"]["containers"]) != 1:
            raise _RefusalError(422, "this server runs pods of one container")
        held = {**document.get("data", {}), **document.get("binaryData", {})}
        if sum(len(base64.b64decode(text)) for text in held.values()) > _LARGEST:
            raise _RefusalError(422, f"{key[0]}: Too long: may not be more than {_LARGEST} bytes")
        if key[0] == "pods" and self.quota:
            raise _RefusalError(403, f'pods "{key[2]}" is forbidden: exceeded quota: {self.quota}')
        with self.lock:
            if key in self.objects:
                raise _RefusalError(409, f'{key[0]} "{key[2]}" already exists')
            self.objects[key] = document
        document.update(apiVersion="v1", kind=_KINDS[key[0]])
        document["metadata"] |= {"namespace": key[1], "uid": str(uuid.uuid4()), "creationTimestamp": _now()}
        if key[0] != "pods":
            self._changed("ADDED", key, document)
            return document
        document["status"] = {"phase": "Pending", "conditions": []}
        if self.unschedulable:
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            document["status"]["conditions"] = [{**condition, "message": self.unschedulable}]
            self._changed("ADDED", key, document)
            self._tell(document, "FailedScheduling", self.unschedulable, "Warning")
        else:
            document["spec"]["nodeName"] = "node-1"
            document["status"] |= {"startTime": _now(), "conditions": [_condition("PodScheduled", "True")]}
            self._changed("ADDED", key, document)
            self._tell(document, "Scheduled", "assigned to node-1")
            threading.Thread(target=self._start, args=(document,), daemon=True).start()
        return document

    def patch(self, key: tuple[str, str, str], change: dict) -> dict:
        document = self.read(key)
        with self.lock:
            _merge(document, change)
        self._changed("MODIFIED", key, document)
        return document

    def select(self, kind: str, namespace: str, labels: str, fields: str) -> list[dict]:
        """Return the objects that selectors mean."""
        found = [self.read(key) for key in list(self.objects) if key[:2] == (kind, namespace)]
        return [item for item in found if _is_meant(item, labels, fields)]

    def watch(
        self, kind: str, namespace: str, labels: str, fields: str, since: int | None, seconds: float
    ) -> Iterator[dict]:
        """Yield what becomes of objects, from a version on; those that there are first, where none is given."""
        until = time.monotonic() + seconds
        seen = self._version if since is None else since
        if since is None:
            yield from (
                {"type": "ADDED", "object": item} for item in self.select(kind, namespace, labels, fields)
            )
        while time.monotonic() < until and not self.away:
            self.select(kind, namespace, "", "")  # looks how pods stand
            with self.lock:
                new = [item for item in self._changes if item[0] > seen]
            for version, what, *place, document in new:
                seen = version
                if place == [kind, namespace] and _is_meant(document, labels, fields):
                    yield {"type": what, "object": document}
            time.sleep(_LOOK)

    @property
    def version(self) -> str:
        return str(self._version)

    def _changed(self, what: str, key: tuple[str, str, str], document: dict) -> None:
        with self.lock:
            self._version += 1
            document["metadata"]["resourceVersion"] = str(self._version)
            self._changes.append((self._version, what, key[0], key[1], json.loads(json.dumps(document))))

    def _pod_changed(self, pod: dict, what: str = "MODIFIED") -> None:
        self._changed(what, ("pods", pod["metadata"]["namespace"], pod["metadata"]["name"]), pod)

    def _tell(self, pod: dict, reason: str, message: str, kind: str = "Normal") -> None:
        """Add an event; they go with their pod."""
        metadata = pod["metadata"]
        name = f"{metadata['name']}.{secrets.token_hex(6)}"
        event = {
            "metadata": {"name": name},
            "involvedObject": {
                "kind": "Pod",
                **{item: metadata[item] for item in ("name", "namespace", "uid")},
            },
            "reason": reason,
            "message": message,
            "type": kind,
            "count": 1,
            "firstTimestamp": _now(),
            "lastTimestamp": _now(),
        }
        self.create(("events", metadata["namespace"], name), event)

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
            for other in self.select(
                "events", key[1], "", f"involvedObject.uid={document['metadata']['uid']}"
            ):
                self.objects.pop(("events", key[1], other["metadata"]["name"]), None)
        if self.objects.pop(key, None) is not None:
            self._changed("DELETED", key, document)
        return document

    def evict(self, name: str, message: str) -> None:
        """Take a pod from its node."""
        [document] = [
            item for (kind, _, known), item in self.objects.items() if kind == "pods" and known == name
        ]
        document["status"] = {"phase": "Failed", "reason": "Evicted", "message": message}
        self._pod_changed(document)
        self._tell(document, "Evicted", message, "Warning")
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
        except docker.errors.APIError as error:
            missing = isinstance(error, docker.errors.ImageNotFound)
            waiting = {
                "reason": "ErrImagePull" if missing else "RunContainerError",
                "message": str(error.explanation),
            }
            pod["status"]["containerStatuses"] = [{**status, "state": {"waiting": waiting}}]
            self._tell(pod, "Failed", waiting["message"], "Warning")
        else:
            running = {**status, "ready": True, "started": True, "state": {"running": {"startedAt": _now()}}}
            pod["status"].update(phase="Running", containerStatuses=[running])
            pod["status"]["conditions"].append(_condition("Ready", "True"))
            self._tell(pod, "Started", f"started container {given['name']}")
        self._pod_changed(pod)

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
            elif "secret" in volume or "projected" in volume:
                sources = volume.get("projected", {}).get("sources") or [volume]
                for source in sources:
                    held = self._held(pod["metadata"]["namespace"], source)
                    files |= {f"{target}/{name}": data for name, data in held.items()}
            else:
                mounts.append(docker.types.Mount(target, None, type="tmpfs"))
        limits = given.get("resources", {}).get("limits", {})
        options = {}
        if "memory" in limits:
            options["mem_limit"] = options["memswap_limit"] = _bytes(limits["memory"])
        name = self._container(pod)
        self.docker.create_container(
            given["image"],
            name=name,
            entrypoint=given.get("command"),
            command=given.get("args"),
            environment={item["name"]: item.get("value", "") for item in given.get("env", ())},
            working_dir=given.get("workingDir"),
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

    def _held(self, namespace: str, source: dict) -> dict[str, bytes]:
        """The files of a Secret or ConfigMap that a volume has."""
        if "secret" in source:
            name = source["secret"].get("secretName") or source["secret"]["name"]
            data = self.read(("secrets", namespace, name))["data"]
        else:
            data = self.read(("configmaps", namespace, source["configMap"]["name"]))["binaryData"]
        return {key: base64.b64decode(value) for key, value in data.items()}

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
            with self.lock:
                if pod["status"]["phase"] != "Running":  # somebody else has looked
                    return
                pod["status"]["phase"] = "Failed" if code else "Succeeded"
            times = {"startedAt": state["StartedAt"], "finishedAt": state["FinishedAt"]}
            status |= {"ready": False, "state": {"terminated": {"exitCode": code, "reason": reason, **times}}}
            pod["status"]["conditions"] = [_condition("PodScheduled", "True"), _condition("Ready", "False")]
            self._pod_changed(pod)

    def log(self, key: tuple[str, str, str], query: dict[str, str]) -> Iterator[bytes]:
        pod = self.read(key)
        if pod["status"]["phase"] == "Pending":
            raise _RefusalError(400, "container is waiting to start")
        options: dict[str, object] = {}
        if "tailLines" in query:
            options["tail"] = int(query["tailLines"])
        if "sinceSeconds" in query:
            options["since"] = int(time.time()) - int(query["sinceSeconds"])
        follow, timestamps = (query.get(name, "").lower() == "true" for name in ("follow", "timestamps"))
        return self.docker.logs(
            self._container(pod), stream=True, follow=follow, timestamps=timestamps, **options
        )

    def execute(self, key: tuple[str, str, str], command: list[str], *, tty: bool) -> tuple[str, object]:
        """Start a program in a pod; return its id and the socket of its streams."""
        pod = self.read(key)
        if pod["status"]["phase"] != "Running":
            raise _RefusalError(400, f"cannot exec into a pod that is {pod['status']['phase']}")
        made = self.docker.exec_create(self._container(pod), command, stdin=True, tty=tty)["Id"]
        return made, self.docker.exec_start(made, socket=True, tty=tty)


class _RefusalError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _condition(kind: str, status: str) -> dict[str, str]:
    return {"type": kind, "status": status, "lastTransitionTime": _now()}


def _is_meant(document: dict, labels: str, fields: str) -> bool:
    try:
        return matches_labels(labels, document["metadata"].get("labels") or {}) and matches_fields(
            fields, document
        )
    except ValueError as error:
        raise _RefusalError(400, str(error)) from None


def _merge(document: dict, change: dict) -> None:
    for name, value in change.items():
        if value is None:
            document.pop(name, None)
        elif isinstance(value, dict) and isinstance(document.get(name), dict):
            _merge(document[name], value)
        else:
            document[name] = value


def _bytes(text: str) -> int:
    unit = next((unit for unit in _UNITS if str(text).endswith(unit)), "")
    return int(float(str(text).removesuffix(unit)) * _UNITS.get(unit, 1))


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

    def do_PATCH(self) -> None:
        self._answer(self._patch)

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
        self.given = parse_qs(parts.query)
        self.query = {name: values[0] for name, values in self.given.items()}
        if parts.path in _DISCOVERY:
            self._send(_DISCOVERY[parts.path])
            return
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
        selectors = self.query.get("labelSelector", ""), self.query.get("fieldSelector", "")
        if found["part"] and found["part"] == self.cluster.forbidden:
            raise _RefusalError(403, f'pods "{found["name"]}" is forbidden: no right on pods/{found["part"]}')
        if found["part"] == "log":
            self._send_log(self.cluster.log(self._key(found), self.query))
        elif found["part"] == "exec":
            self._execute(self._key(found))
        elif found["name"]:
            document = self.cluster.read(self._key(found))
            if "as=PartialObjectMetadata" in self.headers.get("Accept", ""):
                kind = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
                document = {**kind, "metadata": document["metadata"]}
            self._send(document)
        elif self.query.get("watch", "").lower() in ("true", "1"):
            since = int(self.query.get("resourceVersion") or 0) or None
            seconds = float(self.query.get("timeoutSeconds", 300))
            watched = self.cluster.watch(found["kind"], found["namespace"], *selectors, since, seconds)
            self._send_pieces(json.dumps(item).encode() + b"\n" for item in watched)
        else:
            version = self.cluster.version
            items = self.cluster.select(found["kind"], found["namespace"], *selectors)
            kind = f"{_KINDS[found['kind']]}List"
            self._send(
                {"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items}
            )

    def _post(self, found: re.Match) -> None:
        if found["part"] == "exec":  # how clients before WebSocket asked
            raise _RefusalError(400, "this server speaks exec over WebSocket only")
        metadata = self.body["metadata"]
        if "generateName" in metadata:
            metadata.setdefault("name", metadata["generateName"] + secrets.token_hex(3))
        key = (found["kind"], found["namespace"], metadata["name"])
        self._send(self.cluster.create(key, self.body), 201)

    def _patch(self, found: re.Match) -> None:
        if not isinstance(self.body, dict):
            raise _RefusalError(415, "this server takes merge patches only")
        self._send(self.cluster.patch(self._key(found), self.body))

    def _execute(self, key: tuple[str, str, str]) -> None:
        offered = [item.strip() for item in self.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        protocol = next(
            (item for item in ("v5.channel.k8s.io", "v4.channel.k8s.io") if item in offered), None
        )
        if protocol is None:
            raise _RefusalError(400, "this server speaks exec over WebSocket only")
        tty = self.query.get("tty", "").lower() in ("true", "1")
        program, streams = self.cluster.execute(key, self.given["command"], tty=tty)
        channel, raw = WebSocket(self, protocol), streams._sock
        giver = threading.Thread(target=_give, args=(channel, raw), daemon=True)
        giver.start()
        try:
            for stream, data in frames_iter(streams, tty):
                channel.send(bytes((1 if tty else stream,)) + data)
            if not channel.is_closed:
                self._tell_end(channel, program)
        finally:
            streams._response.close()
            raw.close()
            giver.join(_PATIENCE)  # the other side closes too, or is not waited for any longer
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            giver.join()

    def _tell_end(self, channel: WebSocket, program: str) -> None:
        code = self.cluster.docker.exec_inspect(program)["ExitCode"]
        status: dict[str, object] = {"metadata": {}, "status": "Failure" if code else "Success"}
        if code:
            cause = {"reason": "ExitCode", "message": str(code)}
            status |= {"reason": "NonZeroExitCode", "details": {"causes": [cause]}}
            status["message"] = f"command terminated with exit code {code}"
        channel.send(b"\x03" + json.dumps(status).encode())
        channel.close()

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
        try:
            if not self._send_pieces(pieces, "text/plain"):
                for _ in pieces:  # the engine's answer is to be read to its end
                    pass
        finally:
            pieces.close()

    def _send_pieces(self, pieces: Iterator[bytes], kind: str = "application/json") -> bool:
        """Send what comes as it comes; return whether that came to its end."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        for piece in pieces:
            if self.cluster.away:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return False
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")
        return True


def _give(channel: WebSocket, program: socket.socket) -> None:
    """Hand on what the other side writes to a program's standard input, until it closes that."""
    with contextlib.suppress(OSError):
        for message in channel.messages():
            if message[:1] == b"\x00":
                program.sendall(message[1:])
            elif message[:2] == b"\xff\x00":
                program.shutdown(socket.SHUT_WR)
    if channel.is_closed:  # nobody wants to know any more what it writes
        with contextlib.suppress(OSError):
            program.shutdown(socket.SHUT_RDWR)


def wait_until(condition, timeout: float = 60) -> None:
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, "waited for in vain"
        time.sleep(0.05)
