"""Logs in to Databricks by the hook of its own provider, in every way that its connections know."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from airflow_ml_pipelines.core.databricks.client import Login
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
        except AirflowException as error:
            raise ComputeTargetException(
                f"connection {name!r} gives no token for Databricks: {error}"
            ) from None

    try:
        return Login(hook._endpoint_url("").rstrip("/"), headers)  # noqa: SLF001
    except AirflowException as error:
        raise WorkspaceError(f"connection {name!r}: {error}") from None
