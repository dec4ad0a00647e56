"""The Kubernetes cluster of a compute target: how it is reached, and what is said where it is not."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_ml_pipelines.core.errors import ComputeTargetException, NotFoundError
from airflow_ml_pipelines.core.stores.connections import Connection

__all__ = ["Cluster"]

_RETRIES = 2  # a connection that was kept may have been closed


class Cluster:
    """A Kubernetes cluster, in one namespace.

    :param where: how errors call the compute target.
    :param connection: an Airflow connection of type ``kubernetes``; None for ``config_file``.
    :param config_file: a kubeconfig; None for the pod's own service account where there is one, else the usual file.
    :param context: of the kubeconfig.
    """

    def __init__(
        self,
        where: str,
        *,
        connection: Connection | None,
        config_file: str | None,
        context: str | None,
        namespace: str | None,
    ) -> None:
        self.where = where
        extra = (
            {} if connection is None else {_short(name): value for name, value in connection.extra.items()}
        )
        self._config_file = config_file or extra.get("kube_config_path")
        self._config = extra.get("kube_config")
        self._in_cluster = bool(extra.get("in_cluster"))
        self._context = context or extra.get("cluster_context")
        self.namespace = namespace or extra.get("namespace") or "default"
        self._api: Any = None

    @property
    def api(self) -> Any:
        """The core API. :raises ComputeTargetException: where there is no configuration for it."""
        if self._api is None:
            try:
                from kubernetes import client
            except ImportError:
                raise ComputeTargetException(
                    f"{self.where} needs the package kubernetes: pip install 'airflow-provider-ml-pipelines[kubernetes]'"
                ) from None
            made = client.ApiClient(self._configuration())
            self._api = client.CoreV1Api(made)
            weakref.finalize(self, made.close)
        return self._api

    @contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Turn the cluster's errors into ours.

        :param what: what can't be done, such as ``start a pod``.
        :raises NotFoundError: where what is asked for is not there.
        """
        import urllib3.exceptions
        from kubernetes.client import ApiException

        try:
            yield
        except ApiException as error:
            said = _message(error)
            if error.status == 404:
                raise NotFoundError(f"{self.where}: {said}") from None
            hint = ""
            if error.status in (401, 403):
                hint = ": give the service account or user the right, or raise the quota"
            raise ComputeTargetException(
                f"{self.where}: the cluster can't {what} in namespace {self.namespace!r}: {said}{hint}"
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ComputeTargetException(
                f"{self.where}: the cluster can't be reached ({type(error).__name__}): check the kubeconfig or the "
                "connection, and whether it is up"
            ) from None

    def _configuration(self) -> Any:
        from kubernetes import client, config

        configuration = client.Configuration()
        configuration.retries = _RETRIES
        try:
            if self._config is not None:
                document = json.loads(self._config) if isinstance(self._config, str) else self._config
                config.load_kube_config_from_dict(
                    document, context=self._context, client_configuration=configuration
                )
            elif self._in_cluster or (self._config_file is None and "KUBERNETES_SERVICE_HOST" in os.environ):
                config.load_incluster_config(client_configuration=configuration)
            else:
                config.load_kube_config(
                    self._config_file, context=self._context, client_configuration=configuration
                )
        except (config.ConfigException, ValueError, OSError) as error:
            raise ComputeTargetException(
                f"{self.where}: there is no usable Kubernetes configuration: {error}; name a kubeconfig (`config_file`) or "
                "an Airflow connection (`connection`)"
            ) from None
        return configuration


def _short(name: str) -> str:
    return name.removeprefix("extra__kubernetes__")


def _message(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
