"""Turns an fsspec URL and its options (those of s3fs, adlfs and gcsfs) into what obstore takes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from airflow_ml_pipelines.core.errors import StoreError

__all__ = ["SCHEMES", "ObjectStoreConfig", "read_options"]

SCHEMES: Final[Mapping[str, Literal["s3", "azure", "gcs"]]] = {
    "s3": "s3",
    "s3a": "s3",
    "abfs": "azure",
    "abfss": "azure",
    "az": "azure",
    "gs": "gcs",
    "gcs": "gcs",
}
"""The schemes of URLs that are object stores, and whose."""

_ACCOUNT = re.compile(r"(?P<account>[^./]+)\.(?:blob|dfs)\.(?P<cloud>.+)")
_NO_KEY_FILES = frozenset({"anon", "google_default", "cloud"})


@dataclass(frozen=True)
class ObjectStoreConfig:
    """What obstore is to be given.

    :param bucket: the bucket or container.
    :param prefix: the folder in it.
    :param settings: obstore's own, by their names.
    :param plain_http: whether the server is reached without TLS.
    :param credentials: makes what gives credentials where they are not among the settings.
    """

    kind: Literal["s3", "azure", "gcs"]
    bucket: str
    prefix: str
    settings: Mapping[str, Any] = field(repr=False)
    plain_http: bool = False
    credentials: Callable[[], Any] | None = None


def read_options(url: str, options: Mapping[str, Any]) -> ObjectStoreConfig | None:
    """Return what obstore is to be given for a URL and options as fsspec takes them.

    None for a URL of another kind of store, and where an option has no equal: such a store is fsspec's.

    :raises StoreError: where the URL names no bucket or container.
    """
    scheme, _, rest = url.partition("://")
    kind = SCHEMES.get(scheme.lower())
    if kind is None:
        return None
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise StoreError(f"{url!r} names no bucket: expected {scheme}://<bucket>/<folder>")
    given = {name: value for name, value in {**_configured(scheme), **options}.items() if value is not None}
    read = {"s3": _read_s3, "azure": _read_azure, "gcs": _read_gcs}[kind]
    config = read(bucket, prefix.strip("/"), given)
    return None if given else config  # what is left has no equal


def _configured(scheme: str) -> Mapping[str, Any]:
    """Return what fsspec's own configuration (files and ``FSSPEC_…`` variables) has for a scheme."""
    try:
        from fsspec.config import conf
    except ImportError:
        return {}
    found: Mapping[str, Any] = conf.get(scheme, {})
    return found


def _read_s3(bucket: str, prefix: str, given: dict[str, Any]) -> ObjectStoreConfig:
    client = dict(given.pop("client_kwargs", None) or {})
    endpoint = (
        given.pop("endpoint_url", None)
        or client.pop("endpoint_url", None)
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
    )
    settings = {
        "access_key_id": _first(given, "key", "username"),
        "secret_access_key": _first(given, "secret", "password"),
        "session_token": _first(given, "token"),
        "region": client.pop("region_name", None),
        "endpoint": endpoint,
        "skip_signature": given.pop("anon", None) or None,
        "request_payer": given.pop("requester_pays", None) or None,
    }
    if client:
        given["client_kwargs"] = client
    provider = None
    if not settings["access_key_id"] and not settings["skip_signature"] and _has_aws_files():
        provider = _aws_files(given.pop("profile", None))
    return _config("s3", bucket, prefix, settings, endpoint, provider)


def _has_aws_files() -> bool:
    """Return whether credentials are to be found the way that the AWS tools keep them: in files, by profile."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return False
    home = Path.home() / ".aws"
    names = ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_PROFILE")
    return any(os.environ.get(name) for name in names) or home.is_dir()


def _aws_files(profile: str | None) -> Callable[[], Any] | None:
    from importlib.util import find_spec

    if find_spec("boto3") is None:
        return None

    def make() -> Any:
        from boto3 import Session
        from obstore.auth.boto3 import Boto3CredentialProvider

        return Boto3CredentialProvider(Session(profile_name=profile))

    return make


def _read_azure(container: str, prefix: str, given: dict[str, Any]) -> ObjectStoreConfig:
    container, _, host = container.partition("@")
    parts = _connection_string(given.pop("connection_string", None))
    account = _first(given, "account_name") or parts.get("AccountName")
    endpoint = parts.get("BlobEndpoint")
    given_host = _first(given, "account_host") or host
    found = _ACCOUNT.fullmatch(given_host) if given_host else None
    if found:
        account = account or found["account"]
    if given_host and not (found and found["cloud"] == "core.windows.net"):
        endpoint = endpoint or (f"https://{given_host}" if "://" not in given_host else given_host)
    settings = {
        "account_name": account,
        "account_key": _first(given, "account_key") or parts.get("AccountKey"),
        "sas_key": _first(given, "sas_token") or parts.get("SharedAccessSignature"),
        "client_id": _first(given, "client_id"),
        "client_secret": _first(given, "client_secret"),
        "tenant_id": _first(given, "tenant_id"),
        "skip_signature": given.pop("anon", None) or None,
        "endpoint": endpoint,
    }
    return _config("azure", container, prefix, settings, endpoint)


def _connection_string(text: str | None) -> dict[str, str]:
    pairs = (item.partition("=") for item in (text or "").split(";") if item.strip())
    found = {name.strip(): value for name, _, value in pairs}
    if found.get("UseDevelopmentStorage", "").lower() == "true":
        raise StoreError(
            "a connection string with UseDevelopmentStorage=true names no server: give BlobEndpoint, AccountName "
            "and AccountKey"
        )
    return found


def _read_gcs(bucket: str, prefix: str, given: dict[str, Any]) -> ObjectStoreConfig:
    token = given.pop("token", None)
    endpoint = given.pop("endpoint_url", None)
    given.pop("project", None)  # which is only asked for to make a bucket
    settings: dict[str, Any] = {"base_url": endpoint}
    if isinstance(token, Mapping):
        settings["service_account_key"] = json.dumps(dict(token))
    elif token == "anon":  # noqa: S105 - a word of gcsfs
        settings["skip_signature"] = True
    elif isinstance(token, str) and token not in _NO_KEY_FILES:
        settings["service_account"] = os.path.expanduser(token)
    elif token is not None and not isinstance(token, str):
        given["token"] = token
    return _config("gcs", bucket, prefix, settings, endpoint)


def _config(
    kind: Literal["s3", "azure", "gcs"],
    bucket: str,
    prefix: str,
    settings: Mapping[str, Any],
    endpoint: str | None,
    credentials: Callable[[], Any] | None = None,
) -> ObjectStoreConfig:
    known = {name: value for name, value in settings.items() if value not in (None, "")}
    plain = bool(endpoint and endpoint.startswith("http://"))
    return ObjectStoreConfig(kind, bucket, prefix, known, plain, credentials)


def _first(given: dict[str, Any], *names: str) -> Any:
    values = [given.pop(name, None) for name in names]
    return next((value for value in values if value not in (None, "")), None)
