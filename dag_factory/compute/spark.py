"""Compute targets of other services: Databricks, and Azure Data Lake Analytics, which is no more."""

from __future__ import annotations

import os
from typing import Any

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import checked, expect, warn
from dag_factory.compute.target import ComputeTarget, ComputeTargetConfiguration

__all__ = ["AdlaCompute", "DatabricksCompute"]

_TOKEN = "DATABRICKS_TOKEN"  # noqa: S105 - a variable's name


class DatabricksCompute(ComputeTarget):
    """A Databricks workspace, on whose clusters steps run."""

    @staticmethod
    @checked
    def attach_configuration(  # type: ignore[override]
        resource_group: str | None = None,
        workspace_name: str | None = None,
        resource_id: str | None = None,
        access_token: str = "",
        *,
        connection: str | None = None,
        host: str | None = None,
        **options: Any,
    ) -> ComputeTargetConfiguration:
        """Return what a Databricks workspace is attached by.

        A token is never kept: where an environment variable has it, that variable's name is; else ``DATABRICKS_TOKEN``
        is asked for when a step runs.

        :param resource_group: kept; so are ``workspace_name`` and ``resource_id``.
        :param access_token: a token of Databricks, or ``env:NAME``.
        :param connection: an Airflow connection of type ``databricks``, instead of ``host`` and the token.
        :param host: the address of the workspace; the variable ``DATABRICKS_HOST`` if left out.
        :param options: as in the workspace file.
        :raises DefinitionError: where a connection and a host are given.
        """
        where = "DatabricksCompute.attach_configuration"
        expect(f"{where}(access_token=…)", access_token, str, what="a token of Databricks")
        if connection is not None and (host is not None or access_token):
            raise DefinitionError(
                f"{where}: connection has the address and the token: leave out host and access_token"
            )
        fields = {
            "created_as": "DatabricksCompute",
            "resource_group": resource_group,
            "workspace_name": workspace_name,
            "resource_id": resource_id,
            "connection": connection,
            "host": host,
            "token_variable": _variable_with(access_token, where) if access_token else None,
            **options,
        }
        return ComputeTargetConfiguration(
            "databricks", {name: value for name, value in fields.items() if value is not None}
        )


class AdlaCompute(ComputeTarget):
    """An account of Azure Data Lake Analytics, which was retired on 29 February 2024."""

    @staticmethod
    @checked
    def attach_configuration(  # type: ignore[override]
        resource_group: str | None = None, account_name: str | None = None, resource_id: str | None = None
    ) -> ComputeTargetConfiguration:
        """Return what an account is attached by; it is kept, and no step runs there."""
        fields = {
            "created_as": "AdlaCompute",
            "resource_group": resource_group,
            "account_name": account_name,
            "resource_id": resource_id,
        }
        return ComputeTargetConfiguration(
            "adla", {name: value for name, value in fields.items() if value is not None}
        )


def _variable_with(token: str, where: str) -> str:
    """Return the name of the variable that has a token."""
    if token.startswith("env:"):
        return token.removeprefix("env:")
    names = sorted(name for name, value in os.environ.items() if value == token)
    if names:
        return names[0]
    warn(
        f"{where}: the access_token is not kept, since secrets are never stored: set {_TOKEN} where steps run"
    )
    return _TOKEN
