"""The ConfigMap that has the launcher: one for all pods of a namespace that run the same version of it.

It has no secret and never changes; its name is its digest. So a pod brings no more along than its own job.
"""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from airflow_ml_pipelines.core.errors import NotFoundError
from airflow_ml_pipelines.execution.targets.cluster import Cluster
from airflow_ml_pipelines.execution.targets.payload import launcher_digest, launcher_files

__all__ = ["ensure_launcher", "launcher_name", "remove_unused_launchers"]

_PREFIX = "ml-pipelines-launcher-"
_LABEL = "ml-pipelines.launcher"
_UNUSED = 3600.0
_CONFLICT = 409


def launcher_name() -> str:
    """Return the name of the ConfigMap of this version, compiled for this Python."""
    tag = str(sys.implementation.cache_tag or "python").replace("_", "-")
    return f"{_PREFIX}{launcher_digest()[:20]}-{tag}"


def ensure_launcher(cluster: Cluster, cache: Path) -> str:
    """Make the ConfigMap where there is none, and return its name.

    :param cache: see :func:`~airflow_ml_pipelines.execution.targets.payload.launcher_files`.
    :raises ComputeTargetException: where it can't be made.
    """
    name = launcher_name()
    try:
        with cluster.errors("look for the launcher's ConfigMap"):
            cluster.metadata.read_namespaced_config_map(name, cluster.namespace)
    except NotFoundError:
        files = launcher_files(cache).items()
        _create(cluster, name, {key: base64.b64encode(data).decode() for key, data in files})
    return name


def remove_unused_launchers(cluster: Cluster) -> None:
    """Remove the ConfigMaps of launchers that no pod of the namespace has, but for new ones, whose pod may come yet.

    One that a pod has taken up in the same moment is made again: the pod waits for it.
    """
    api, namespace = cluster.api, cluster.namespace
    with cluster.errors("list ConfigMaps"):
        found = api.list_namespaced_config_map(namespace, label_selector=f"{_LABEL}=true").items
    now = time.time()
    old = [item for item in found if now - item.metadata.creation_timestamp.timestamp() > _UNUSED]
    used = _used(cluster) if old else set()
    removed = [item for item in old if item.metadata.name not in used]
    for item in removed:
        with suppress(NotFoundError), cluster.errors("remove a ConfigMap"):
            api.delete_namespaced_config_map(item.metadata.name, namespace)
    used = _used(cluster) if removed else set()
    for item in removed:
        if item.metadata.name in used:
            _create(cluster, item.metadata.name, item.binary_data)


def _create(cluster: Cluster, name: str, files: Mapping[str, str]) -> None:
    from kubernetes.client import ApiException

    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {_LABEL: "true"}},
        "immutable": True,
        "binaryData": dict(files),
    }
    with cluster.errors("make the launcher's ConfigMap"):
        try:
            cluster.api.create_namespaced_config_map(cluster.namespace, document)
        except ApiException as error:
            if error.status != _CONFLICT:  # somebody else has made it
                raise


def _used(cluster: Cluster) -> set[str]:
    """Return the names of the ConfigMaps that pods of the namespace have."""
    with cluster.errors("list pods"):
        pods = cluster.api.list_namespaced_pod(
            cluster.namespace, label_selector="ml-pipelines.workspace"
        ).items
    volumes = (volume for pod in pods for volume in pod.spec.volumes or ())
    sources: Iterable[Any] = (
        source for volume in volumes if volume.projected for source in volume.projected.sources or ()
    )
    return {source.config_map.name for source in sources if source.config_map}
