"""Logs in to Databricks by the hook of its own provider, in every way that its connections know."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from airflow_ml_pipelines.core.databricks.login import Login
from airflow_ml_pipelines.core.errors import ComputeTargetException, WorkspaceError

__all__ = ["databricks_login"]


def databricks_login(name: str) -> Login | None:
    """Return the login of an Airflow connection, None where Databricks' provider is not installed.

    :raises WorkspaceError: where there is no such connection.
    """
    if find_spec("airflow.providers.databricks") is None:
        return None
    from airflow.providers.databricks.hooks.databricks import DatabricksHook

    from airflow_ml_pipelines._airflow import AirflowException

    hook = DatabricksHook(name, caller="ml-pipelines")

    def headers() -> Mapping[str, str]:
        try:
            token = hook._get_token(raise_error=True)  # noqa: SLF001 - the hook's own calls have no other way
            return {"Authorization": f"Bearer {token}", **hook._get_aad_headers()}  # noqa: SLF001
        except Exception as error:  # noqa: BLE001 - each way to log in has errors of its own
            said = f"{type(error).__name__}: {error}" if not isinstance(error, AirflowException) else error
            raise ComputeTargetException(
                f"connection {name!r} gives no token for Databricks: {said}"
            ) from None

    def renew() -> bool:
        known = bool(hook.oauth_tokens)
        hook.oauth_tokens.clear()
        return known

    try:
        return Login(hook._endpoint_url("").rstrip("/"), headers, renew)  # noqa: SLF001
    except AirflowException as error:
        raise WorkspaceError(f"connection {name!r}: {error}") from None
