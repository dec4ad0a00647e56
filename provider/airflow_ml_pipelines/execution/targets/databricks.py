"""The compute target ``databricks``: a Databricks workspace, on whose clusters steps run."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow_ml_pipelines.core.databricks.client import DatabricksClient, open_client
from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec
from airflow_ml_pipelines.execution.targets.options import TargetOptions
from airflow_ml_pipelines.execution.targets.refusing import RefusingTarget
from airflow_ml_pipelines.execution.targets.registry import read_options

__all__ = ["DatabricksOptions", "DatabricksTarget"]


class DatabricksOptions(TargetOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the workspace file may say of a target of type ``databricks``.

    :param connection: an Airflow connection of type ``databricks``.
    :param host: the address of the Databricks workspace, where there is no connection; ``DATABRICKS_HOST`` if left out.
    :param token_variable: the environment variable that has its token; ``DATABRICKS_TOKEN`` if left out.
    :param existing_cluster_id: of steps that say nothing of a cluster.
    :param cluster: what new clusters have besides what steps say, with fields as in Databricks' API.
    :param spark_version: of steps that say none; so is ``node_type``.
    :param upload_to: the folder, of the workspace or a volume, that snapshots of source directories are put into.
    :param poll_interval: seconds between two looks at a run.
    :param shared_paths: whether clusters see this machine's folders at the same paths; where it is left out, only those
        of a server on this machine.
    :param resource_group: kept, as the reference has it; so is ``workspace_name``.
    """

    connection: str | None = None
    host: str | None = None
    token_variable: str | None = None
    existing_cluster_id: str | None = None
    cluster: dict[str, Any] | None = None
    spark_version: str | None = None
    node_type: str | None = None
    upload_to: str = "/Workspace/Shared/ml-pipelines"
    poll_interval: float = 10.0
    shared_paths: bool | None = None
    resource_group: str | None = None
    workspace_name: str | None = None
    resource_id: str | None = None


class DatabricksTarget(RefusingTarget):
    """Knows a Databricks workspace. Steps that run there are handed over by their kind, not as a launcher's job."""

    def __init__(self, spec: ComputeTargetSpec) -> None:
        self.name = spec.name
        self.options = read_options(spec, DatabricksOptions)
        self._spec = spec
        where = f"compute target {spec.name!r}"
        super().__init__(
            f"{where} is a Databricks workspace, and a PythonScriptStep does not run on a Spark cluster: make it a "
            "DatabricksStep (python_script_name, source_directory), or give it another compute target"
        )
        if self.options.poll_interval <= 0:
            raise ComputeTargetException(f"{where}: poll_interval: expected seconds above 0")
        if not self.options.upload_to.startswith(("/Workspace/", "/Volumes/", "/Shared/", "/Users/")):
            raise ComputeTargetException(
                f"{where}: upload_to: expected a folder below /Workspace or /Volumes, found {self.options.upload_to!r}"
            )

    def client(self) -> DatabricksClient:
        """Return the Databricks workspace. :raises ComputeTargetException: where nothing says which it is."""
        return open_client(self._spec)

    def is_shared(self, client: DatabricksClient) -> bool:
        """Return whether clusters see this machine's folders at the same paths."""
        if self.options.shared_paths is not None:
            return self.options.shared_paths
        return urlsplit(client.url).hostname in ("localhost", "127.0.0.1", "::1")

    def check(self) -> None:
        """Ask who we are there."""
        self.client().user()
