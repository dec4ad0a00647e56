"""Who asks Databricks: a token, or a service principal, of an Airflow connection or of the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from airflow_ml_pipelines.core.errors import ComputeTargetException, WorkspaceError
from airflow_ml_pipelines.core.stores.connections import Connection, find_connection
from airflow_ml_pipelines.core.stores.credentials import resolve_credentials

__all__ = ["Login", "find_login", "set_login_source"]

_TIMEOUT = (10, 60)
_DEFAULT_CONNECTION = "databricks_default"
_OAUTH = "service_principal_oauth"


class Login(NamedTuple):
    """How a Databricks workspace is reached.

    :param headers: returns those that say who asks; they are asked for at each call, since tokens end.
    :param renew: forgets a token that was refused, and returns whether there may be another.
    """

    url: str
    headers: Callable[[], Mapping[str, str]]
    renew: Callable[[], bool] = lambda: False


LoginSource = Callable[[str], Login | None]

_login_source: LoginSource | None = None


def set_login_source(source: LoginSource | None) -> None:
    """Set who turns the id of an Airflow connection into a login, for this process; None for this module itself."""
    global _login_source  # noqa: PLW0603 - one per process, set by the Airflow glue
    _login_source = source


def find_login(options: Mapping[str, Any], where: str) -> Login:
    name = options.get("connection")
    host = options.get("host") or (None if name else os.environ.get("DATABRICKS_HOST"))
    if name is None and host:
        variable = options.get("token_variable") or "DATABRICKS_TOKEN"
        given = resolve_credentials({"token": f"env:{variable}"}, where)
        return Login(_address(str(host)), lambda: {"Authorization": f"Bearer {given['token']}"})
    try:
        found = _login_source(name or _DEFAULT_CONNECTION) if _login_source is not None else None
        return found or _of_connection(find_connection(name or _DEFAULT_CONNECTION, where), where)
    except WorkspaceError as error:
        if name is not None:
            raise
        raise ComputeTargetException(
            f"{where}: nothing says which Databricks workspace it is: give it `connection: <an Airflow connection's id>`, "
            "or `host` and `token_variable`, or set DATABRICKS_HOST and DATABRICKS_TOKEN"
        ) from error


def _of_connection(connection: Connection, where: str) -> Login:
    host = str(connection.extra.get("host") or connection.host or "")
    if not host:
        raise ComputeTargetException(
            f"{where}: its connection has no host, the address of the Databricks workspace"
        )
    port = f":{connection.port}" if connection.port else ""
    url = _address(f"{host}{port}", connection.schema or "https")
    token = connection.extra.get("token") or (None if connection.login else connection.password)
    if token:
        return Login(url, lambda: {"Authorization": f"Bearer {token}"})
    if connection.login and connection.password and connection.extra.get(_OAUTH):
        return _service_principal(url, connection.login, connection.password, where)
    raise ComputeTargetException(
        f"{where}: its connection has no token: put it into the password, with no login; or the id and the secret of a "
        f'service principal into login and password, with extra {{"{_OAUTH}": true}}'
    )


def _service_principal(url: str, client_id: str, secret: str, where: str) -> Login:
    import time

    known: dict[str, Any] = {"ends": 0.0, "token": ""}

    def headers() -> Mapping[str, str]:
        if time.monotonic() > known["ends"]:
            import requests

            try:
                answer = requests.post(
                    f"{url}/oidc/v1/token",
                    data={"grant_type": "client_credentials", "scope": "all-apis"},
                    auth=(client_id, secret),
                    timeout=_TIMEOUT,
                )
                answer.raise_for_status()
                found = answer.json()
                known.update(
                    token=found["access_token"], ends=time.monotonic() + float(found["expires_in"]) - 60
                )
            except (requests.RequestException, ValueError, KeyError) as error:
                raise ComputeTargetException(
                    f"{where}: {url} gives the service principal {client_id!r} no token ({type(error).__name__}): check "
                    "its id and its secret"
                ) from None
        return {"Authorization": f"Bearer {known['token']}"}

    def renew() -> bool:
        known["ends"] = 0.0
        return True

    return Login(url, headers, renew)


def _address(host: str, scheme: str = "https") -> str:
    return host.rstrip("/") if "://" in host else f"{scheme}://{host.rstrip('/')}"
