"""What the workspace file may say of a compute target ``kubernetes``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from airflow_ml_pipelines.execution.targets.options import TargetOptions

__all__ = ["KubernetesOptions"]


class KubernetesOptions(TargetOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the workspace file may say of a target of type ``kubernetes``.

    :param image: for environments that name none.
    :param connection: an Airflow connection of type ``kubernetes``.
    :param config_file: a kubeconfig, where there is no connection.
    :param pod_template_file: a pod as YAML, to which the rest is added.
    :param volumes: as in a pod's spec; so are ``volume_mounts``, ``tolerations`` and ``node_selector``.
    :param shared_paths: whether the volumes have the workspace's local folders at the same paths.
    :param startup_timeout: seconds within which the pod has to run.
    :param registry: where images of environments are pushed to.
    :param registry_connection: an Airflow connection with the login of a registry, for the engine that makes images.
    :param builder: the URL of the Docker engine that makes them.
    """

    image: str | None = None
    connection: str | None = None
    config_file: str | None = None
    context: str | None = None
    namespace: str | None = None
    node_selector: Mapping[str, str] = msgspec.field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    service_account: str | None = None
    volumes: tuple[dict[str, Any], ...] = ()
    volume_mounts: tuple[dict[str, Any], ...] = ()
    image_pull_secrets: tuple[str, ...] = ()
    image_pull_policy: str | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    pod_template_file: str | None = None
    shared_paths: bool = False
    startup_timeout: float = 600.0
    registry: str | None = None
    registry_connection: str | None = None
    builder: str | None = None
