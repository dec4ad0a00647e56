"""The compute target ``docker``: each step in a container of its own, on this machine's engine or another's.

The container has the image of the step's environment and, at their own paths, the local folders that the workspace and
its datastores are. What is put into it besides (:mod:`~airflow_ml_pipelines.execution.targets.payload`) needs no more of
the image than Python 3.11. Its labels say which step it belongs to. It goes on where the process that started it is lost.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.core.stores.connections import find_connection
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec, Workspace
from airflow_ml_pipelines.execution.targets.bytecode import Bytecode
from airflow_ml_pipelines.execution.targets.docker_engine import DockerEngine, Tls, not_found
from airflow_ml_pipelines.execution.targets.docker_job import DockerJob, finish_removals
from airflow_ml_pipelines.execution.targets.docker_mounts import Mount, job_mounts, read_mounts
from airflow_ml_pipelines.execution.targets.images import Images
from airflow_ml_pipelines.execution.targets.labels import job_name, make_labels, read_labels, workspace_label
from airflow_ml_pipelines.execution.targets.options import TargetOptions, memory_bytes, resources_of
from airflow_ml_pipelines.execution.targets.payload import ARGUMENTS, START, make_payload, store_credentials
from airflow_ml_pipelines.execution.targets.port import Log, Owner, Place, Prepared, Reaped, Work
from airflow_ml_pipelines.execution.targets.registry import read_options
from airflow_ml_pipelines.execution.targets.store_packages import store_packages
from airflow_ml_pipelines.runtime.job import Job

__all__ = ["DockerOptions", "DockerTarget"]

_BEING_REMOVED = "removing"
_USER = re.compile(r"(\d+):(\d+)")


class DockerOptions(TargetOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the workspace file may say of a target of type ``docker``.

    :param image: for environments that name none.
    :param url: of the engine, such as ``tcp://host:2376``; None for ``DOCKER_HOST``, else this machine's.
    :param tls_ca_cert: a file with who has to have signed the engine's certificate, where it is reached by TLS; so are
        ``tls_client_cert`` and ``tls_client_key`` those of the user's own certificate.
    :param tls_verify: whether the engine's certificate is checked.
    :param connection: an Airflow connection with the login of a registry.
    :param registry: where images of environments are pushed to, such as ``registry.example/team``.
    :param network: which network containers are in: ``bridge``, ``host``, ``none`` or a name.
    :param mounts: more folders that containers see: ``/source:/target`` or ``/source:/target:ro``.
    :param user: ``uid:gid`` of the script; this process's own if left out.
    :param shm_size: the size of ``/dev/shm``, which some libraries share data through.
    :param shared_paths: whether an engine elsewhere sees the workspace's local folders at the same paths.
    """

    image: str | None = None
    url: str | None = None
    tls_ca_cert: str | None = None
    tls_client_cert: str | None = None
    tls_client_key: str | None = None
    tls_verify: bool | None = None
    connection: str | None = None
    registry: str | None = None
    network: str | None = None
    mounts: tuple[str, ...] = ()
    user: str | None = None
    shm_size: str | int | None = None
    shared_paths: bool = False


class DockerTarget:
    """Runs scripts in containers."""

    def __init__(self, spec: ComputeTargetSpec) -> None:
        self.name = spec.name
        self._where = f"compute target {spec.name!r}"
        self._options = read_options(spec, DockerOptions)
        self._resources = resources_of(spec, self._options)
        self._mounts = read_mounts(self._options.mounts, self._where)
        if self._options.user is not None and not _USER.fullmatch(self._options.user):
            raise ComputeTargetException(
                f"{self._where}: user: expected numbers as 'uid:gid', found {self._options.user!r}"
            )
        self._tls = _tls(self._options, self._where)
        self._opened: DockerEngine | None = None

    @property
    def engine(self) -> DockerEngine:
        """The engine. :raises WorkspaceError: where its connection is missing."""
        if self._opened is None:
            name = self._options.connection
            connection = None if name is None else find_connection(name, self._where)
            self._opened = DockerEngine(self._where, self._options.url, connection, self._tls)
        return self._opened

    def check(self) -> None:
        """Ask the engine whether it is there."""
        self.engine.ping()

    def identify_image(self, image: str) -> str:
        """Ask the engine for the digest, and where it has no such image the registry."""
        return self.engine.local_digest(image) or self.engine.registry_digest(image)

    def prepare(self, environment: EnvironmentSpec, workspace: Workspace, *, log: Log) -> Prepared:
        """Make the image that has the environment, where the engine and the registry have none."""
        version = environment.python or f"{sys.version_info.major}.{sys.version_info.minor}"
        base = environment.image or self._options.image or f"python:{version}-slim"
        images = Images(
            self.engine,
            workspace.cache_directory / "images",
            registry=self._options.registry,
            network=self._options.network,
        )
        own = environment.image is not None or environment.dockerfile is not None
        return images.ensure(environment, base, own=own, packages=store_packages(workspace), log=log)

    def place(self, work: Work) -> Place:
        """Return the container's name."""
        return Place(target=self.name, id=job_name(work.job), details={"image": work.prepared.image})

    def start(self, work: Work, *, log: Log) -> DockerJob:
        """Make a container and start it."""
        client, name = self.engine.client, job_name(work.job)
        mounts = self._all_mounts(work.job)
        credentials = store_credentials(work.workspace, work.job)
        user, group = self._ids()
        image, interpreter = work.prepared.image, work.prepared.interpreter
        cache = work.workspace.cache_directory / "images"
        compiled = Bytecode(self.engine, cache).find(image, interpreter, log)
        payload = make_payload(work.job, credentials, cache, user=user, group=group, compiled=compiled)
        job = DockerJob(self.engine, name, work.job, work.workspace, limit=self._limit())
        log(f"starting container {name} of image {image[:19]}")
        try:
            with self.engine.errors("start a container"):
                with suppress(not_found()):
                    client.remove_container(name, force=True, v=True)  # of a workspace that was deleted
                client.create_container(
                    image,
                    name=name,
                    entrypoint=[interpreter],
                    command=[START, *ARGUMENTS],
                    environment=self._variables(user),
                    user=f"{user}:{group}",
                    working_dir="/",
                    labels=make_labels(work.workspace, work.job, self.name),
                    host_config=self._host_config(mounts),
                )
                client.put_archive(name, "/", payload)
                client.start(name)
        except BaseException:
            job.remove()
            raise
        return job

    def find(self, place: Place, job: Job, workspace: Workspace) -> DockerJob | None:
        """Find a container again; one that was made and never started is removed."""
        with self.engine.errors("look for a container"):
            try:
                state = self.engine.client.inspect_container(place.id)["State"]
            except not_found():
                return None
        found = DockerJob(self.engine, place.id, job, workspace, limit=self._limit())
        if state["Status"] == "created":
            found.remove()
            return None
        return found

    def reap(self, workspace: Workspace, why: Callable[[Owner], str | None]) -> Iterator[Reaped]:
        """Remove containers that nobody needs."""
        label, value = workspace_label(workspace)
        client = self.engine.client
        finish_removals()
        with self.engine.errors("list containers"):
            found = client.containers(all=True, filters={"label": [f"{label}={value}"]})
        for item in found:
            owner = read_labels(item["Labels"])
            reason = None if owner is None else why(owner)
            if owner is None or reason is None or item["State"] == _BEING_REMOVED:
                continue
            with self.engine.errors("remove a container"), suppress(not_found()):
                client.remove_container(item["Id"], force=True, v=True)
            yield Reaped(item["Names"][0].lstrip("/"), owner, reason)

    # --- the container -------------------------------------------------------------------------------------------

    def _ids(self) -> tuple[int, int]:
        found = _USER.fullmatch(self._options.user or "")
        return (int(found[1]), int(found[2])) if found else (os.getuid(), os.getgid())

    def _variables(self, user: int) -> dict[str, str]:
        variables = {"PYTHONDONTWRITEBYTECODE": "1"}
        return variables if user == 0 else {**variables, "HOME": "/tmp"}  # noqa: S108 - it has no home there

    def _all_mounts(self, job: Job) -> list[Mount]:
        own = job_mounts(job)
        if own and not self.engine.is_local and not self._options.shared_paths:
            raise ComputeTargetException(
                f"{self._where}: its engine is on another machine ({self.engine.url}), and {own[0].source} is a folder of "
                "this one: keep the workspace on a store that both reach, or say shared_paths: true where the engine sees "
                "it at the same path"
            )
        return [*own, *self._mounts]

    def _limit(self) -> str | None:
        return None if self._resources.memory is None else str(self._resources.memory)

    def _host_config(self, mounts: list[Mount]) -> Any:
        from docker.types import DeviceRequest, LogConfig
        from docker.types import Mount as DockerMount

        wanted, limits = self._resources, {}
        if wanted.memory is not None:
            limits["mem_limit"] = limits["memswap_limit"] = memory_bytes(wanted.memory, self._where)
        if wanted.cpus is not None:
            limits["nano_cpus"] = int(wanted.cpus * 1e9)
        if self._options.shm_size is not None:
            limits["shm_size"] = memory_bytes(self._options.shm_size, self._where)
        gpus = []
        if wanted.gpus:
            count = -1 if wanted.gpus == "all" else int(wanted.gpus)
            gpus.append(DeviceRequest(count=count, capabilities=[["gpu"]]))
        return self.engine.client.create_host_config(
            init=True,
            mounts=[
                DockerMount(item.target, item.source, type="bind", read_only=item.read_only)
                for item in mounts
            ],
            network_mode=self._options.network,
            device_requests=gpus or None,
            log_config=LogConfig(
                type="json-file"
            ),  # the one that can always be read again from the beginning
            **limits,
        )


def _tls(options: DockerOptions, where: str) -> Tls | None:
    """Return how the engine is known. :raises ComputeTargetException: where what is said of it can't be meant."""
    ca, cert, key = options.tls_ca_cert, options.tls_client_cert, options.tls_client_key
    if not (ca or cert or key) and options.tls_verify is None:
        return None
    if bool(cert) != bool(key):
        raise ComputeTargetException(
            f"{where}: tls_client_cert and tls_client_key go together: give both or neither"
        )
    if not (options.url or "").startswith(("tcp://", "https://")):
        raise ComputeTargetException(
            f"{where}: TLS is for an engine elsewhere: expected a url such as tcp://host:2376, found {options.url!r}"
        )
    return Tls(ca, cert, key, options.tls_verify is not False)
