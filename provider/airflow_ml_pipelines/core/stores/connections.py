"""Airflow's connections as the options that a store is opened with, whoever looks them up.

=======================================  =====================  =====================================================
type of the connection                   for URLs               fields
=======================================  =====================  =====================================================
``aws``, ``s3``                          s3, s3a                login and password (access key and secret), or extra
                                                                ``profile_name``; extra ``aws_session_token``,
                                                                ``region_name``, ``endpoint_url``
``wasb``, ``adls``, ``azure_data_lake``  abfs, abfss, az        login (the account) and password (its key), extra
                                                                ``sas_token`` or ``connection_string``; or extra
                                                                ``tenant_id`` with login and password (a service
                                                                principal); host where it is no public account
``google_cloud_platform``, ``gcs``       gs, gcs                extra ``key_path`` or ``keyfile_dict``; ``project``,
                                                                ``endpoint_url``
``ssh``, ``sftp``                        sftp, ssh              host, port, login, password or extra ``key_file`` or
                                                                ``private_key``; extra ``host_key``, without which
                                                                ``~/.ssh/known_hosts`` has to have the server's
``postgres``, ``mysql``, ``mssql``       postgresql, mysql,     host, port, login, password, schema (the database);
                                         mssql                  extra: what the driver takes, such as ``sslmode``
``http``                                 http, https            login and password, or password alone (a bearer token)
=======================================  =====================  =====================================================

A connection of any other type gives its login, password and extra as they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_ml_pipelines.core.errors import WorkspaceError

__all__ = ["Connection", "connection_options", "find_connection", "set_connection_source"]


@dataclass(frozen=True)
class Connection:
    """An Airflow connection, whoever looked it up. Its ``repr`` has no secret."""

    conn_type: str
    host: str | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    schema: str | None = None
    port: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> Connection:
        """Read a connection as ``AIRFLOW_CONN_<ID>`` has it: JSON or a URI.

        :raises ValueError: where it is neither.
        """
        if text.lstrip().startswith("{"):
            found = json.loads(text)
            extra = found.get("extra") or {}
            extra = json.loads(extra) if isinstance(extra, str) else extra
            if not isinstance(extra, dict):
                raise ValueError("its extra is no JSON object")
            port = found.get("port")
            names = ("host", "login", "password", "schema")
            texts = {name: found.get(name) for name in names}
            return cls(
                str(found.get("conn_type") or ""), **texts, port=int(port) if port else None, extra=extra
            )
        parts = urlsplit(text)
        if not parts.scheme:
            raise ValueError("neither JSON nor a URI")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return cls(
            conn_type=parts.scheme.replace("-", "_"),
            host=unquote(parts.hostname) if parts.hostname else None,
            login=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            schema=unquote(parts.path[1:]) or None,
            port=parts.port,
            extra=json.loads(query["__extra__"]) if "__extra__" in query else query,
        )


def _environment_connection(name: str) -> Connection | None:
    variable = f"AIRFLOW_CONN_{name.upper()}"
    text = os.environ.get(variable)
    if text is None:
        return None
    try:
        return Connection.parse(text)
    except (ValueError, AttributeError, TypeError):
        raise WorkspaceError(f"the connection in {variable} can't be read: expected JSON or a URI") from None


_source: Callable[[str], Connection | None] = _environment_connection


def set_connection_source(source: Callable[[str], Connection | None] | None) -> None:
    """Set who looks connections up by id, for this process; None for the variables ``AIRFLOW_CONN_<ID>`` alone."""
    global _source  # noqa: PLW0603 - one per process, set by the Airflow glue
    _source = source or _environment_connection


def find_connection(name: str, what: str) -> Connection:
    """Return a connection by its id.

    :param what: how an error calls what it is for.
    :raises WorkspaceError: where there is no such connection.
    """
    connection = _source(name) or _environment_connection(name)
    if connection is None:
        raise WorkspaceError(
            f"{what}: there is no connection {name!r} here: set AIRFLOW_CONN_{name.upper()} to a connection as JSON "
            "or URI, or add it to Airflow where Airflow runs this"
        )
    return connection


def connection_options(name: str, what: str, url: str = "") -> dict[str, Any]:
    """Return the fsspec options that an Airflow connection stands for.

    :param url: of the store that it is to open.
    :raises WorkspaceError: where there is no such connection, it is of a type for other stores, or it lacks a field.
    """
    connection = find_connection(name, what)
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    kind = next((kind for kind in _KINDS if connection.conn_type in kind.types), None)
    wanted = next((kind for kind in _KINDS if scheme in kind.schemes), None)
    where = f"{what}: connection {name!r}"
    if kind is not None and wanted not in (None, kind):
        assert wanted is not None
        raise WorkspaceError(
            f"{where} is of type {connection.conn_type!r}, which does not open {scheme}://: expected one of type "
            + " or ".join(map(repr, wanted.types))
        )
    if kind is None:
        found = {**connection.extra, "username": connection.login, "password": connection.password}
    else:
        extra = {_short(key, connection.conn_type): value for key, value in connection.extra.items()}
        try:
            found = kind.read(connection, extra)
        except _MissingError as error:
            raise WorkspaceError(
                f"{where} of type {connection.conn_type!r} lacks {error}; add it to the connection"
            ) from None
    return {option: value for option, value in found.items() if value not in (None, "", {})}


class _MissingError(Exception):
    """What a connection lacks, in words."""


def _read_aws(connection: Connection, extra: Mapping[str, Any]) -> dict[str, Any]:
    login, password = connection.login, connection.password
    if bool(login) != bool(password):
        raise _MissingError(
            "the secret access key (password)"
            if login
            else "the access key id (login) that belongs to its password"
        )
    if extra.get("role_arn"):
        raise _MissingError(
            "keys: extra 'role_arn' is not supported; name a profile that takes the role on in extra 'profile_name'"
        )
    service = (extra.get("service_config") or {}).get("s3") or {}
    return {
        "key": login,
        "secret": password,
        "token": extra.get("aws_session_token"),
        "profile": extra.get("profile_name"),
        "endpoint_url": service.get("endpoint_url") or extra.get("endpoint_url") or extra.get("host"),
        "client_kwargs": {"region_name": extra["region_name"]} if extra.get("region_name") else None,
    }


def _read_azure(connection: Connection, extra: Mapping[str, Any]) -> dict[str, Any]:
    names = ("account_name", "connection_string", "sas_token", "tenant_id", "account_host")
    found = {name: extra.get(name) for name in names}
    login, password = connection.login, connection.password
    host = (connection.host or "").strip()
    if found["connection_string"]:
        return found
    bare = host.removeprefix("https://").removeprefix("http://").rstrip("/")
    if host and not bare.endswith(".core.windows.net"):
        found["account_host"] = found["account_host"] or (host if "." in bare or ":" in bare else None)
    account = bare.partition(".")[0] if bare else None
    if found["tenant_id"]:
        _need(login, "the client id of the service principal (login)")
        _need(password, "the secret of the service principal (password)")
        return {
            **found,
            "account_name": found["account_name"] or account,
            "client_id": login,
            "client_secret": password,
        }
    key = password or extra.get("account_key") or extra.get("shared_access_key")
    name = found["account_name"] or login or account
    _need(name, "the storage account (login), a connection string (extra 'connection_string') or a host")
    if not key and not found["sas_token"]:
        raise _MissingError(
            "the account's key (password), a shared access signature (extra 'sas_token'), a connection string "
            "(extra 'connection_string'), or a service principal (extra 'tenant_id', login and password)"
        )
    return {**found, "account_name": name, "account_key": key}


def _read_google(_: Connection, extra: Mapping[str, Any]) -> dict[str, Any]:
    keyfile = extra.get("keyfile_dict") or extra.get("keyfile_json")
    if isinstance(keyfile, str) and keyfile:
        try:
            keyfile = json.loads(keyfile)
        except ValueError:
            raise _MissingError("a key: extra 'keyfile_dict' is no JSON") from None
    return {
        "token": keyfile or extra.get("key_path"),
        "project": extra.get("project"),
        "endpoint_url": extra.get("endpoint_url"),
    }


def _read_ssh(connection: Connection, extra: Mapping[str, Any]) -> dict[str, Any]:
    _need(connection.host, "the host")
    return {
        "host": connection.host,
        "port": connection.port,
        "username": connection.login,
        "password": connection.password,
        "key_filename": extra.get("key_file"),
        "private_key": extra.get("private_key"),
        "passphrase": extra.get("private_key_passphrase"),
        "host_key": extra.get("host_key"),
    }


def _read_http(connection: Connection, extra: Mapping[str, Any]) -> dict[str, Any]:
    headers = {str(name): str(value) for name, value in extra.items()}
    if connection.password and not connection.login:
        headers["Authorization"] = f"Bearer {connection.password}"
    elif connection.login:
        import base64

        pair = f"{connection.login}:{connection.password or ''}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return {"client_kwargs": {"headers": headers} if headers else None}


def _read_database(connection: Connection, extra: Mapping[str, Any]) -> dict[str, Any]:
    _need(connection.login, "the user (login)")
    return {
        **extra,
        "host": connection.host,
        "port": connection.port,
        "username": connection.login,
        "password": connection.password,
        "database": connection.schema,
    }


def _need(value: str | None, words: str) -> None:
    if not value:
        raise _MissingError(words)


class _Kind(NamedTuple):
    types: tuple[str, ...]
    schemes: tuple[str, ...]
    read: Callable[[Connection, Mapping[str, Any]], dict[str, Any]]


_KINDS: Final = (
    _Kind(("aws", "s3"), ("s3", "s3a"), _read_aws),
    _Kind(("wasb", "adls", "azure_data_lake", "azure"), ("abfs", "abfss", "az"), _read_azure),
    _Kind(("google_cloud_platform", "gcs", "gs"), ("gs", "gcs"), _read_google),
    _Kind(("sftp", "ssh"), ("sftp", "ssh"), _read_ssh),
    _Kind(("http",), ("http", "https"), _read_http),
    _Kind(("postgres", "postgresql"), ("postgresql", "postgres"), _read_database),
    _Kind(("mysql",), ("mysql", "mariadb"), _read_database),
    _Kind(("mssql",), ("mssql",), _read_database),
)


def _short(name: str, kind: str) -> str:
    return name.removeprefix(f"extra__{kind}__")
