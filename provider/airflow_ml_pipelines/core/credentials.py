"""Keeps secrets out of documents, and finds them when a store is opened.

What is stored names credentials and never has them: a URL without a password, an Airflow connection by its id, and
environment variables by their names (``env:NAME``).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.spec import EnvironmentSpec

__all__ = [
    "Connection",
    "check_environment",
    "check_options",
    "check_url",
    "connection_options",
    "mask_url",
    "resolve_credentials",
    "resolve_variables",
    "set_connection_source",
    "variable_name",
]

_PREFIX = "env:"
_SECRET = re.compile(
    r"(^|[_-])(password|passwd|passphrase|secret|token|sas|credentials?|connection_?string"
    r"|(access|account|secret|api|private|shared)[_-]?key)$",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIGNATURES = frozenset({"sig", "x-amz-signature", "x-goog-signature", "signature"})
_NO_SECRETS = frozenset(
    {"anon", "browser", "cache", "cloud", "google_default"}
)  # what gcsfs takes as a token
_HOW = "name it instead: `connection: <an Airflow connection's id>` or `credentials: {<option>: 'env:<VARIABLE>'}`"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]+")
_EXPANDED = re.compile(r"\$\{[A-Z0-9_]+\}")
_QUERY_SECRET = re.compile(
    r"([?&](?:[\w-]*(?:signature|token|key|secret|password|passwd|passphrase|sas|credentials?)|sig)=)[^&\s'\"]+",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"(?<=://)([^/?#\s@]*:)?[^/?#\s]*@")


def check_url(url: str, what: str) -> None:
    """Refuse a URL that has a secret in it.

    :raises WorkspaceError: for a password, a token or a signature; the text does not repeat it.
    """
    try:
        parts = urlsplit(url)
        secret = bool(parts.password)
        secret |= parts.scheme.endswith(("http", "https")) and bool(parts.username)  # where a token stands
        secret |= any(
            name.lower() in _SIGNATURES or _SECRET.search(name) for name, _ in parse_qsl(parts.query)
        )
    except ValueError:
        raise WorkspaceError(f"{what}: expected a URL or a path, found {mask_url(url)!r}") from None
    if secret:
        raise WorkspaceError(
            f"{what}: the URL {mask_url(url)!r} has a secret in it, and secrets are never stored; {_HOW}"
        )


def check_options(options: Mapping[str, Any], what: str) -> None:
    """Refuse options that have a secret among them, at any depth.

    :raises WorkspaceError: that names the option and does not repeat its value.
    """
    for name, value in options.items():
        if isinstance(value, Mapping):
            check_options(value, what)
        elif (
            isinstance(value, str)
            and value
            and value not in _NO_SECRETS
            and (name == "key" or _SECRET.search(name))
        ):
            raise WorkspaceError(
                f"{what}: option {name!r} looks like a secret, and secrets are never stored; {_HOW}"
            )


def check_environment(environment: EnvironmentSpec, what: str) -> None:
    """Refuse an environment that has a secret in it: a variable that looks like one, an index URL with a password.

    :raises WorkspaceError: that says where and how to give it instead, and does not repeat it.
    """
    for name, value in environment.variables.items():
        if value and _SECRET.search(name) and not value.startswith(_PREFIX):
            raise WorkspaceError(
                f"{what}: variable {name!r} looks like a secret, and secrets are never stored; write 'env:{name}', "
                f"and the value is taken from the variable {name} of the process that starts the step"
            )
    for entry in (*environment.pip, *environment.pip_options):
        for url in _URL.findall(_EXPANDED.sub("", entry)):
            try:
                check_url(url, what)
            except WorkspaceError:
                raise WorkspaceError(
                    f"{what}: {mask_url(entry)!r} has a secret in it, and secrets are never stored; write '${{NAME}}' in its "
                    "place, and it is taken from the variable NAME of the process that makes the environment"
                ) from None


def variable_name(reference: str, what: str) -> str:
    """Return the name in ``env:NAME``.

    :raises WorkspaceError: where it is something else.
    """
    name = reference.removeprefix(_PREFIX)
    if not reference.startswith(_PREFIX) or not _NAME.fullmatch(name):
        raise WorkspaceError(
            f"{what}: expected 'env:' and the name of an environment variable, such as env:MY_SECRET; secrets are never stored"
        )
    return name


def resolve_credentials(credentials: Mapping[str, str], what: str) -> dict[str, str]:
    """Return credentials with each ``env:NAME`` replaced by that variable's value.

    :raises WorkspaceError: where a variable is not set.
    """
    return {
        option: _value(variable_name(ref, f"{what}, {option}"), f"{what}, {option}")
        for option, ref in credentials.items()
    }


def resolve_variables(variables: Mapping[str, str], what: str) -> dict[str, str]:
    """Return environment variables for a script, with each ``env:NAME`` replaced by that variable's value.

    :raises WorkspaceError: where a variable is not set.
    """
    return {
        name: _value(variable_name(value, f"{what}, {name}"), f"{what}, {name}")
        if value.startswith(_PREFIX)
        else value
        for name, value in variables.items()
    }


def _value(variable: str, what: str) -> str:
    value = os.environ.get(variable)
    if value is None:
        raise WorkspaceError(
            f"{what}: the environment variable {variable} is not set here; set it and try again"
        )
    return value


def mask_url(text: str) -> str:
    """Return text with the user and password of every URL, and what in a query is a secret, replaced by ``***``."""
    return _QUERY_SECRET.sub(r"\1***", _USER_INFO.sub("***@", text))


# --- Airflow connections -----------------------------------------------------------------------------------------


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


def connection_options(name: str, what: str) -> dict[str, Any]:
    """Return the fsspec options that an Airflow connection stands for.

    :raises WorkspaceError: where there is no such connection.
    """
    connection = _source(name)
    if connection is None:
        raise WorkspaceError(
            f"{what}: there is no connection {name!r} here: set AIRFLOW_CONN_{name.upper()} to a connection as JSON "
            "or URI, or add it to Airflow where Airflow runs this"
        )
    return {option: value for option, value in _options(connection).items() if value not in (None, "", {})}


def _options(connection: Connection) -> dict[str, Any]:
    login, password = connection.login, connection.password
    kind = connection.conn_type
    extra = {_short(name, kind): value for name, value in connection.extra.items()}
    if kind in ("aws", "s3"):
        return {
            "key": login,
            "secret": password,
            "token": extra.get("aws_session_token"),
            "profile": extra.get("profile_name"),
            "endpoint_url": extra.get("endpoint_url") or extra.get("host"),
            "client_kwargs": {"region_name": extra["region_name"]} if extra.get("region_name") else None,
        }
    if kind in ("wasb", "adls", "azure_data_lake", "azure"):
        names = ("account_name", "connection_string", "sas_token", "tenant_id", "account_host")
        found = {name: extra.get(name) for name in names}
        if found["tenant_id"]:
            account = (connection.host or "").removeprefix("https://").partition(".")[0]
            found["account_name"] = found["account_name"] or account
            return {**found, "client_id": login, "client_secret": password}
        return {
            **found,
            "account_name": found["account_name"] or login,
            "account_key": password or extra.get("account_key"),
        }
    if kind in ("google_cloud_platform", "gcs", "gs"):
        keyfile = extra.get("keyfile_dict")
        token = json.loads(keyfile) if isinstance(keyfile, str) and keyfile else keyfile
        return {"token": token or extra.get("key_path"), "project": extra.get("project")}
    if kind in ("ssh", "sftp"):
        known = {"host": connection.host, "port": connection.port, "username": login, "password": password}
        return {**known, "key_filename": extra.get("key_file")}
    return {**extra, "username": login, "password": password}


def _short(name: str, kind: str) -> str:
    return name.removeprefix(f"extra__{kind}__")
