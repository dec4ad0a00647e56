"""The Docker engine of a compute target: how it is reached, and what is said where it is not."""

from __future__ import annotations

import os
import socket
import struct
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.stores.connections import Connection
from airflow_ml_pipelines.core.stores.credentials import mask_url
from airflow_ml_pipelines.execution.targets.registry_login import read_login

__all__ = ["DockerEngine", "Tls", "not_found", "split_image"]

_TIMEOUT = 60.0
_DEFAULT_URL = "unix:///var/run/docker.sock"


class Tls(NamedTuple):
    """The files with which an engine and its user know each other, as paths.

    :param ca: who has to have signed the engine's certificate; None for those whom this machine trusts.
    :param cert: the user's own certificate, and ``key`` its key; both or neither.
    :param verify: whether the engine's certificate is looked at.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    verify: bool = True


class DockerEngine:
    """A Docker engine.

    :param where: how errors call the compute target.
    :param url: of the engine; None for ``DOCKER_HOST`` (with ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH``), else the
        socket of this machine.
    :param connection: the login of a registry, as an Airflow connection of type ``docker`` has it.
    :param tls: None where the engine is reached without.
    :raises ComputeTargetException: where the connection lacks something.
    """

    def __init__(
        self, where: str, url: str | None, connection: Connection | None = None, tls: Tls | None = None
    ) -> None:
        self.where = where
        self.url = url or os.environ.get("DOCKER_HOST") or _DEFAULT_URL
        self._tls = tls
        self._of_environment = url is None and tls is None
        self._login = None if connection is None else read_login(where, connection)
        self._logged_in = False
        self._client: Any = None

    @property
    def is_local(self) -> bool:
        """Whether the engine is on this machine, so that paths mean the same to it."""
        return self.url.startswith("unix://")

    @property
    def client(self) -> Any:
        """The connection to it. :raises ComputeTargetException: where it can't be reached."""
        if self._client is not None:
            with self.errors("be reached"):
                self._find_socket()
        else:
            try:
                import docker
            except ImportError:
                raise ComputeTargetException(
                    f"{self.where} needs the package docker: "
                    "pip install 'airflow-provider-ml-pipelines[docker]'"
                ) from None
            with self.errors("be reached"):
                self._find_socket()
                self._client = _client_class(docker.APIClient)(
                    base_url=self.url, version="auto", timeout=_TIMEOUT, tls=self._tls_config()
                )
            weakref.finalize(self, self._client.close)
        return self._client

    @contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Turn the engine's errors into ours; what is not there stays ``docker.errors.NotFound``.

        :param what: what can't be done, such as ``be reached``.
        """
        import docker.errors
        import requests

        try:
            yield
        except docker.errors.NotFound:
            raise
        except docker.errors.APIError as error:
            said = mask_url(str(error.explanation or error))
            raise ComputeTargetException(f"{self.where}: the Docker engine can't {what}: {said}") from None
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise ComputeTargetException(
                f"{self.where}: the Docker engine at {mask_url(self.url)} can't be reached ({_reason(error)}): start it, "
                "give its url, or let this user use it (group docker)"
            ) from None

    def ping(self) -> None:
        """Return where it answers. :raises ComputeTargetException: where it does not."""
        client = self.client
        with self.errors("be reached"):
            client.ping()

    def inspect_image(self, name: str) -> dict[str, Any] | None:
        """Return what the engine says of an image that it has, None where it has none of that name."""
        client = self.client
        try:
            with self.errors(f"look for image {name}"):
                found: dict[str, Any] = client.inspect_image(name)
        except not_found():
            return None
        return found

    def local_digest(self, name: str) -> str | None:
        """Return the name by digest of an image that the engine has, None where it has none of that name."""
        found = self.inspect_image(name)
        if found is None:
            return None
        repository, _ = split_image(name)
        known = [item for item in found.get("RepoDigests") or () if item.partition("@")[0] == repository]
        return str(known[0] if known else found["Id"])

    def registry_digest(self, name: str) -> str:
        """Return the name by digest of an image that a registry has. :raises ComputeTargetException: where it can't tell."""
        client = self.client
        repository, _ = split_image(name)
        self.log_in(name)
        try:
            with self.errors(f"ask the registry for image {name}"):
                found = client.inspect_distribution(name)
        except not_found() as error:
            raise ComputeTargetException(
                f"{self.where}: there is no image {name!r}, neither on the engine nor in its registry ({error})"
            ) from None
        return f"{repository}@{found['Descriptor']['digest']}"

    def pull(self, name: str) -> None:
        """Fetch an image from its registry. :raises ComputeTargetException: where it can't be had."""
        import docker.errors

        client = self.client
        repository, tag = split_image(name)
        self.log_in(name)
        try:
            with self.errors(f"fetch image {name}"):
                client.pull(repository, tag=tag)
        except docker.errors.NotFound as error:
            raise ComputeTargetException(
                f"{self.where}: there is no image {name!r} on the engine, and its registry has none, or none for this user "
                f"({error.explanation}): build or push it, name another, or give the registry's login (`connection`)"
            ) from None
        except ComputeTargetException as error:
            raise ComputeTargetException(
                f"{error}. Image {name!r} is not on the engine: check its name, the registry and its credentials "
                "(`connection`), or load it by hand"
            ) from None

    def push(self, name: str) -> None:
        """Bring an image to its registry. :raises ComputeTargetException: where it is refused."""
        client = self.client
        repository, tag = split_image(name)
        self.log_in(name)
        with self.errors(f"push image {name}"):
            for event in client.push(repository, tag=tag, stream=True, decode=True):
                if "error" in event:
                    raise ComputeTargetException(
                        f"{self.where}: image {name} can't be pushed: {mask_url(str(event['error']))}"
                    )

    def logs(
        self, container: str, *, follow: bool = True, stamped: bool = False, since: float | None = None
    ) -> Iterator[tuple[str, bytes]]:
        """Yield what a container writes from its beginning to its end, with ``stdout`` or ``stderr``.

        :param follow: wait for its end; else yield what is there.
        :param stamped: let each entry begin with its time stamp and a blank.
        :param since: seconds since the epoch, in place of the beginning.
        """
        client = self.client
        url = f"{client.base_url}/v{client.api_version}/containers/{container}/logs"
        options: dict[str, object] = {
            "stdout": 1,
            "stderr": 1,
            "follow": int(follow),
            "timestamps": int(stamped),
        }
        if since is not None:
            options["since"] = f"{since:.9f}"
        response = client.get(
            url, params=options, stream=True, timeout=(_TIMEOUT, None if follow else _TIMEOUT)
        )
        with response:
            response.raise_for_status()
            # frames of a head (which stream, how many bytes) and their bytes
            while len(head := response.raw.read(8)) == 8:
                stream, size = struct.unpack(">BxxxL", head)
                yield "stderr" if stream == 2 else "stdout", response.raw.read(size)

    def _find_socket(self) -> None:
        """Look before the client does, which leaves a socket open where there is nobody. :raises OSError: likewise."""
        if self.is_local:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(self.url.removeprefix("unix://"))

    def log_in(self, image: str) -> None:
        """Log in to the connection's registry, once, where an image is of it: no other registry is told the password.

        :raises ComputeTargetException: where it refuses.
        """
        login = self._login
        if login is None or self._logged_in or not login.is_for(image):
            return
        try:
            with self.errors(f"log in to the registry {login.registry}"):
                self.client.login(**login._asdict())
        except ComputeTargetException as error:
            raise ComputeTargetException(
                f"{error}: check host, login and password of its connection"
            ) from None
        self._logged_in = True

    def _tls_config(self) -> Any:
        """Return what the client takes as TLS. :raises ComputeTargetException: where a file is not there."""
        import docker.errors
        from docker.tls import TLSConfig
        from docker.utils import kwargs_from_env

        tls = self._tls
        try:
            if self._of_environment:
                return kwargs_from_env().get("tls", False)
            if tls is None:
                return False
            pair = (tls.cert, tls.key) if tls.cert or tls.key else None
            return TLSConfig(client_cert=pair, ca_cert=tls.ca, verify=tls.verify)
        except docker.errors.TLSParameterError as error:
            raise ComputeTargetException(
                f"{self.where}: the files of TLS can't be used: {str(error).partition('. TLS')[0]}"
            ) from None


def not_found() -> type[Exception]:
    """Return the class of the engine's error where something is not there."""
    import docker.errors

    kind: type[Exception] = docker.errors.NotFound
    return kind


def split_image(name: str) -> tuple[str, str | None]:
    """Return the repository and the tag (or digest) of an image's name."""
    if "@" in name:
        repository, _, digest = name.partition("@")
        return repository, digest
    repository, sign, tag = name.rpartition(":")
    return (repository, tag) if sign and "/" not in tag else (name, "latest")


@cache
def _client_class(base: Any) -> Any:
    class Client(base):  # type: ignore[misc]
        """Lets the engine's own authority be, where a variable such as ``REQUESTS_CA_BUNDLE`` names others."""

        def merge_environment_settings(
            self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
        ) -> Any:
            own = self.verify if verify is None else verify
            return super().merge_environment_settings(url, proxies, stream, own, cert)

    return Client


def _reason(error: Exception) -> str:
    inner = error
    while inner.__context__ is not None and not isinstance(inner, OSError):
        inner = inner.__context__  # type: ignore[assignment]
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    for known in ("No such file or directory", "Connection refused", "Permission denied", "timed out"):
        if known in str(error):
            return known
    return text[:200]
