"""How a Kubernetes cluster is reached: the fields of an Airflow connection, read as Airflow's own hook reads them.

``in_cluster``, ``kube_config_path`` and ``kube_config`` (JSON or YAML) exclude each other; with none of them it is the
service account of the pod that this runs in, else the usual kubeconfig. ``cluster_context`` and ``namespace`` say more,
``disable_verify_ssl`` and ``disable_tcp_keepalive`` switch off what is on. A field may begin with ``extra__kubernetes__``,
and one that is empty is as if it were not there. The fields of the XCom sidecar mean nothing here: there is none.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.stores.connections import Connection

__all__ = ["ClusterAccess", "open_client", "read_access"]

_PREFIX = "extra__kubernetes__"
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_DEFAULT_NAMESPACE = "default"
_RETRIES = 2  # a connection that was kept may have been closed
_TIMEOUT = 60.0
_KEEPALIVE = {"TCP_KEEPIDLE": 120, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 6}
"""Seconds until a silent connection is asked after, seconds between two questions, and how many may stay unanswered."""


class ClusterAccess(NamedTuple):
    """How a cluster is reached.

    :param config_file: a kubeconfig; None for the pod's service account where there is one, else the usual file.
    :param config: what a kubeconfig would have.
    :param verify: whether the certificate of the cluster is checked.
    """

    in_cluster: bool
    config_file: str | None
    config: Mapping[str, Any] | None
    context: str | None
    namespace: str
    verify: bool = True
    keepalive: bool = True


def read_access(
    where: str,
    connection: Connection | None,
    *,
    config_file: str | None = None,
    context: str | None = None,
    namespace: str | None = None,
) -> ClusterAccess:
    """Return how a cluster is reached; what is given comes before what the connection says.

    :param where: how errors call the compute target.
    :raises ComputeTargetException: where the connection says it in two ways, or a field can't be read.
    """
    extra = {} if connection is None else connection.extra
    chosen = {
        "config_file" if config_file else "kube_config_path": config_file
        or _field(extra, "kube_config_path"),
        "kube_config": _field(extra, "kube_config"),
        "in_cluster": _flag(where, extra, "in_cluster"),
    }
    said = [name for name, value in chosen.items() if value]
    if len(said) > 1:
        raise ComputeTargetException(
            f"{where}: {' and '.join(said)} exclude each other: say in one way only how the cluster is reached"
        )
    return ClusterAccess(
        in_cluster="in_cluster" in said,
        config_file=config_file or _text(where, extra, "kube_config_path"),
        config=_read_config(where, chosen["kube_config"]),
        context=context or _text(where, extra, "cluster_context"),
        namespace=namespace or _text(where, extra, "namespace") or _own_namespace() or _DEFAULT_NAMESPACE,
        verify=not _flag(where, extra, "disable_verify_ssl"),
        keepalive=not _flag(where, extra, "disable_tcp_keepalive"),
    )


def open_client(access: ClusterAccess) -> Any:
    """Return a client of the cluster whose requests end in time.

    :raises kubernetes.config.ConfigException: where there is no configuration, or one that can't be read.
    """
    from urllib3.connection import HTTPConnection

    made = _client_class()(_load(access))
    if access.keepalive:
        options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        options += [
            (socket.IPPROTO_TCP, getattr(socket, name), value)
            for name, value in _KEEPALIVE.items()
            if hasattr(socket, name)
        ]
        made.rest_client.pool_manager.connection_pool_kw["socket_options"] = options
    return made


def _load(access: ClusterAccess) -> Any:
    from kubernetes import client, config

    configuration = client.Configuration()
    configuration.retries = _RETRIES
    if access.config is not None:
        config.load_kube_config_from_dict(
            dict(access.config), context=access.context, client_configuration=configuration
        )
    elif access.in_cluster or (access.config_file is None and _is_in_cluster()):
        config.load_incluster_config(client_configuration=configuration)
    else:
        config.load_kube_config(
            access.config_file, context=access.context, client_configuration=configuration
        )
    if not access.verify:
        configuration.verify_ssl = False
    return configuration


def _is_in_cluster() -> bool:
    """Return whether the pod that this runs in, if it is one, has a service account."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and _OWN_NAMESPACE.with_name("token").is_file()


@cache
def _client_class() -> Any:
    from kubernetes import client

    class Client(client.ApiClient):  # type: ignore[misc]
        """Gives a request up that says nothing of its time, where it takes long."""

        def call_api(self, *given: Any, **options: Any) -> Any:
            if options.get("_request_timeout") is None:
                options["_request_timeout"] = _TIMEOUT
            return super().call_api(*given, **options)

    return Client


# --- fields ------------------------------------------------------------------------------------------------------


def _field(extra: Mapping[str, Any], name: str) -> Any:
    """Return a field's value, None where it is empty."""
    return (extra[name] if name in extra else extra.get(f"{_PREFIX}{name}")) or None


def _text(where: str, extra: Mapping[str, Any], name: str) -> str | None:
    value = _field(extra, name)
    if value is not None and not isinstance(value, str):
        raise ComputeTargetException(
            f"{where}: its connection's extra {name!r}: expected text, found {type(value).__name__}"
        )
    return value


def _flag(where: str, extra: Mapping[str, Any], name: str) -> bool:
    value = _field(extra, name)
    word = str(value or False).strip().lower()
    if word not in ("true", "false"):
        raise ComputeTargetException(f"{where}: its connection's extra {name!r}: expected true or false")
    return word == "true"


def _read_config(where: str, value: Any) -> Mapping[str, Any] | None:
    if value is None:
        return None
    if isinstance(value, str):
        import yaml

        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError:
            value = None
    if not isinstance(value, Mapping):
        raise ComputeTargetException(
            f"{where}: its connection's extra 'kube_config': expected a kubeconfig as JSON or YAML"
        )
    return value


def _own_namespace() -> str | None:
    try:
        return _OWN_NAMESPACE.read_text("utf-8").strip() or None
    except OSError:
        return None
