"""Where credentials come from in a task: Airflow's connections."""

from __future__ import annotations

from typing import Any

from airflow_ml_pipelines._airflow import AirflowException, get_connection
from airflow_ml_pipelines.core.databricks.login import set_login_source
from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.stores.connections import Connection, set_connection_source
from airflow_ml_pipelines.hooks.databricks import databricks_login

__all__ = ["use_airflow_connections"]


def use_airflow_connections() -> None:
    """Let datastores and compute targets of this process take their credentials from Airflow's connections.

    Airflow looks in its secrets backends, the variables ``AIRFLOW_CONN_<ID>`` and its database, and masks what it finds
    in the logs of tasks.
    """
    set_connection_source(_look_up)
    set_login_source(databricks_login)


def _look_up(name: str) -> Connection | None:
    try:
        found = get_connection(name)
    except (AirflowException, ValueError) as error:
        raise WorkspaceError(f"connection {name!r} can't be read: {type(error).__name__}") from None
    if found is None:
        return None
    return Connection(
        conn_type=found.conn_type or "",
        host=found.host,
        login=found.login,
        password=found.password,
        schema=found.schema,
        port=found.port,
        extra=_extra(name, found),
    )


def _extra(name: str, found: Any) -> dict[str, Any]:
    if not found.extra:
        return {}
    try:
        extra = found.extra_dejson
    except (AirflowException, ValueError):
        extra = None
    if not isinstance(extra, dict):
        raise WorkspaceError(f"connection {name!r}: its extra is no JSON object; correct it in Airflow")
    return extra
