"""The compute target ``kubernetes``: each step in a pod of its own.

The job and the credentials of the stores are in a Secret of the pod; its plain spec has none of them. The launcher is in a
ConfigMap that all pods share. The pod goes on where the process that started it is lost.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from airflow_ml_pipelines.core.errors import ComputeTargetException, NotFoundError
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.core.stores.connections import find_connection
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec, Workspace
from airflow_ml_pipelines.execution.targets.cluster import Cluster
from airflow_ml_pipelines.execution.targets.docker_engine import DockerEngine
from airflow_ml_pipelines.execution.targets.docker_mounts import job_mounts
from airflow_ml_pipelines.execution.targets.images import Images
from airflow_ml_pipelines.execution.targets.kubernetes_options import KubernetesOptions
from airflow_ml_pipelines.execution.targets.labels import job_name, make_labels, read_labels, workspace_label
from airflow_ml_pipelines.execution.targets.launcher_map import (
    ensure_launcher,
    launcher_name,
    remove_unused_launchers,
)
from airflow_ml_pipelines.execution.targets.options import resources_of
from airflow_ml_pipelines.execution.targets.payload import store_credentials
from airflow_ml_pipelines.execution.targets.pod import PodJob
from airflow_ml_pipelines.execution.targets.pod_spec import make_pod, make_secret, read_template
from airflow_ml_pipelines.execution.targets.port import Log, Owner, Place, Prepared, Reaped, Work
from airflow_ml_pipelines.execution.targets.registry import read_options
from airflow_ml_pipelines.execution.targets.store_packages import store_packages
from airflow_ml_pipelines.runtime.job import Job

__all__ = ["KubernetesTarget"]


class KubernetesTarget:
    """Runs scripts in pods."""

    def __init__(self, spec: ComputeTargetSpec) -> None:
        self.name = spec.name
        self._where = f"compute target {spec.name!r}"
        self._options = read_options(spec, KubernetesOptions)
        self._resources = resources_of(spec, self._options)
        if self._resources.gpus == "all":
            raise ComputeTargetException(f"{self._where}: gpus: expected a number, found 'all'")
        self._opened: Cluster | None = None

    @property
    def cluster(self) -> Cluster:
        """The cluster. :raises WorkspaceError: where its connection is missing."""
        if self._opened is None:
            options = self._options
            found = None if options.connection is None else find_connection(options.connection, self._where)
            self._opened = Cluster(
                self._where,
                connection=found,
                config_file=options.config_file,
                context=options.context,
                namespace=options.namespace
                or read_template(options.pod_template_file, self._where)["metadata"].get("namespace"),
            )
        return self._opened

    def check(self) -> None:
        """Ask the cluster for our pods."""
        api = self.cluster.api
        with self.cluster.errors("list pods"):
            api.list_namespaced_pod(self.cluster.namespace, limit=1, _request_timeout=30)

    def identify_image(self, image: str) -> str:
        """Ask the registry for the digest, through the Docker engine that makes images."""
        return self._builder().registry_digest(image)

    def prepare(self, environment: EnvironmentSpec, workspace: Workspace, *, log: Log) -> Prepared:
        """Make the image that has the environment, where packages are asked for; else name the one that has it."""
        version = environment.python or f"{sys.version_info.major}.{sys.version_info.minor}"
        base = environment.image or self._options.image or f"python:{version}-slim"
        own = environment.image is not None or environment.dockerfile is not None
        packages = store_packages(workspace)
        as_it_is = environment.user_managed and environment.dockerfile is None and (own or not packages)
        if as_it_is or not (environment.pip or environment.conda or packages or environment.dockerfile):
            interpreter = environment.interpreter if environment.user_managed else "python"
            return Prepared("python3" if interpreter == "python" else interpreter, base)
        images = Images(
            self._builder(),
            workspace.cache_directory / "images",
            registry=self._options.registry,
        )
        return images.ensure(environment, base, own=own, packages=packages, by_name=True, log=log)

    def place(self, work: Work) -> Place:
        """Return the pod's name."""
        details = {"image": work.prepared.image, "namespace": self.cluster.namespace}
        return Place(target=self.name, id=job_name(work.job), details=details)

    def start(self, work: Work, *, log: Log) -> PodJob:
        """Make a Secret and a pod."""
        mounts = job_mounts(work.job)
        if mounts and not self._options.shared_paths:
            raise ComputeTargetException(
                f"{self._where}: {mounts[0].source} is a folder of this machine, which pods do not see: keep the workspace on "
                "an object store, or mount the folder at the same path (volumes, volume_mounts) and say shared_paths: true"
            )
        name, cluster, api = job_name(work.job), self.cluster, self.cluster.api
        labels = {**self._options.labels, **_label_values(make_labels(work.workspace, work.job, self.name))}
        annotations = {**self._options.annotations, **make_labels(work.workspace, work.job, self.name)}
        credentials = store_credentials(work.workspace, work.job)
        secret = make_secret(name, labels, annotations, work.job, credentials)
        cache, launcher = work.workspace.cache_directory / "images", launcher_name()
        pod = make_pod(name, labels, annotations, work, self._options, self._resources, self._where, launcher)
        running = self._job(name, work.job, work.workspace)
        log(f"starting pod {name} of image {work.prepared.image} in namespace {cluster.namespace}")
        try:
            ensure_launcher(cluster, cache)
            with cluster.errors("start a pod"):
                api.create_namespaced_secret(cluster.namespace, secret)
                api.create_namespaced_pod(cluster.namespace, pod)
            ensure_launcher(cluster, cache)  # a reaper that did not see the pod yet may have removed it
        except BaseException:
            running.remove()
            raise
        return running

    def find(self, place: Place, job: Job, workspace: Workspace) -> PodJob | None:
        """Find a pod again."""
        api = self.cluster.api
        try:
            with self.cluster.errors("look for a pod"):
                pod = api.read_namespaced_pod(place.id, self.cluster.namespace)
        except NotFoundError:
            return None
        return self._job(place.id, job, workspace, made=pod.metadata.creation_timestamp.timestamp())

    def reap(self, workspace: Workspace, why: Callable[[Owner], str | None]) -> Iterator[Reaped]:
        """Remove pods and Secrets that nobody needs."""
        label, value = workspace_label(workspace)
        api, namespace = self.cluster.api, self.cluster.namespace
        with self.cluster.errors("list pods"):
            pods = api.list_namespaced_pod(namespace, label_selector=f"{label}={value}").items
            secrets = api.list_namespaced_secret(namespace, label_selector=f"{label}={value}").items
        found = {item.metadata.name: item.metadata.annotations or {} for item in (*pods, *secrets)}
        for name, said in found.items():
            owner = read_labels(said)
            reason = None if owner is None else why(owner)
            if owner is None or reason is None:
                continue
            for remove in (api.delete_namespaced_pod, api.delete_namespaced_secret):
                with suppress(NotFoundError), self.cluster.errors("remove a pod"):
                    remove(name, namespace, grace_period_seconds=0)
            yield Reaped(name, owner, reason)

    def tidy(self) -> None:
        """Remove the launchers that no pod has any more."""
        remove_unused_launchers(self.cluster)

    def _builder(self) -> DockerEngine:
        where, name = f"{self._where}, its builder", self._options.registry_connection
        return DockerEngine(where, self._options.builder, find_connection(name, where) if name else None)

    def _job(self, name: str, job: Job, workspace: Workspace, made: float | None = None) -> PodJob:
        memory = self._resources.memory
        return PodJob(
            self.cluster,
            name,
            job,
            workspace,
            startup_timeout=self._options.startup_timeout,
            limit=None if memory is None else str(memory),
            made=made,
        )


def _label_values(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels with values that Kubernetes takes; the whole ones are annotations."""
    from airflow_ml_pipelines.core.layout import segment

    return {name: segment(value.replace("=", "-"))[:63].strip("._-") or "x" for name, value in labels.items()}
