"""The URL at which Spark opens what lies in a store."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_ml_pipelines.core.errors import DataError

__all__ = ["spark_url"]

_AZURE = ("abfs", "abfss", "az", "wasb", "wasbs", "adl")
_MOUNTS = ("/dbfs/", "/Volumes/", "/Workspace/")


def spark_url(store: str, path: str, options: Mapping[str, Any], *, on_databricks: bool, shared: bool) -> str:
    """Return the URL of a path in a store, as Spark opens it.

    ====================================  ============================================================
    store                                 URL
    ====================================  ============================================================
    ``s3://bucket``                       ``s3://…`` on Databricks, ``s3a://…`` elsewhere
    ``abfs://container`` with an account  ``abfss://container@account.dfs.core.windows.net/…``
    ``gs://bucket``                       ``gs://…``
    ``dbfs:/…``, a folder ``/dbfs/…``     ``dbfs:/…``
    a folder ``/Volumes/…``               the path
    any other local folder                ``file:/…`` where the cluster sees it; an error where it does not
    ====================================  ============================================================

    :param options: of the store, for the name of an Azure account.
    :param shared: whether the cluster sees this machine's folders at the same paths.
    :raises DataError: where no Spark opens such a store.
    """
    scheme = store.partition("://")[0].lower() if "://" in store else "file"
    if scheme == "file":
        return _local(posixpath.join(_local_path(store), path) if path else _local_path(store), shared=shared)
    parts = urlsplit(store)
    rest = posixpath.join("/", parts.path.strip("/"), path).rstrip("/")
    if scheme in ("s3", "s3a"):
        return f"{'s3' if on_databricks else 's3a'}://{parts.netloc}{rest}"
    if scheme in ("gs", "gcs"):
        return f"gs://{parts.netloc}{rest}"
    if scheme == "dbfs":
        return f"dbfs:{posixpath.join('/', parts.netloc, rest.lstrip('/'))}"
    if scheme in _AZURE:
        return _azure(scheme, parts.netloc, rest, options)
    raise DataError(
        f"Spark opens no store such as {store}: keep the data on S3, Azure, Google Cloud Storage, a volume or DBFS"
    )


def _azure(scheme: str, netloc: str, rest: str, options: Mapping[str, Any]) -> str:
    container, _, host = netloc.rpartition("@") if "@" in netloc else (netloc, "", "")
    if scheme in ("wasb", "wasbs", "adl") and host:
        return f"{scheme}://{netloc}{rest}"
    if not host:
        account = options.get("account_name")
        if not account:
            raise DataError(
                f"{scheme}://{netloc} does not say which storage account it is: give the datastore `account_name`, or "
                "write abfss://container@account.dfs.core.windows.net"
            )
        host = f"{account}.dfs.core.windows.net"
    return f"abfss://{container}@{host}{rest}"


def _local_path(store: str) -> str:
    return unquote(urlsplit(store).path) if store.startswith("file:") else store


def _local(path: str, *, shared: bool) -> str:
    if path.startswith("/dbfs/"):
        return f"dbfs:/{path.removeprefix('/dbfs/')}"
    if path.startswith(_MOUNTS):
        return path
    if not shared:
        raise DataError(
            f"{path} is a folder of this machine, which the cluster does not see: keep the data on a store that both "
            "reach, or say `shared_paths: true` for the compute target where the cluster sees it at the same path"
        )
    return f"file:{path}"
