"""The Kubernetes cluster of a compute target: how it is reached, and what is said where it is not."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_ml_pipelines.core.errors import ComputeTargetException, NotFoundError
from airflow_ml_pipelines.core.stores.connections import Connection
from airflow_ml_pipelines.execution.targets.cluster_access import open_client, read_access

__all__ = ["Cluster"]

_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"


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
        self._access = read_access(
            where, connection, config_file=config_file, context=context, namespace=namespace
        )
        self.namespace = self._access.namespace
        self._api: Any = None
        self._metadata: Any = None

    @property
    def api(self) -> Any:
        """The core API. :raises ComputeTargetException: where there is no configuration for it."""
        if self._api is None:
            try:
                from kubernetes import client, config
            except ImportError:
                raise ComputeTargetException(
                    f"{self.where} needs the package kubernetes: pip install 'airflow-provider-ml-pipelines[kubernetes]'"
                ) from None
            try:
                made = open_client(self._access)
            except (config.ConfigException, ValueError, OSError) as error:
                raise ComputeTargetException(
                    f"{self.where}: there is no usable Kubernetes configuration: {error}; name a kubeconfig "
                    "(`config_file`) or an Airflow connection (`connection`)"
                ) from None
            self._api = client.CoreV1Api(made)
            weakref.finalize(self, made.close)
        return self._api

    @property
    def metadata(self) -> Any:
        """The core API, of which a single object is read without what is in it."""
        if self._metadata is None:
            known = self.api.api_client
            made = type(known)(known.configuration)
            made.set_default_header("Accept", _METADATA)
            self._metadata = type(self.api)(made)
            weakref.finalize(self, made.close)
        return self._metadata

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


def _message(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
