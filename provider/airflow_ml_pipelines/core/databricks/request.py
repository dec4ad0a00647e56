"""Makes the request that submits a step to Databricks (``jobs/runs/submit``)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_ml_pipelines.core.databricks.rules import MACHINES
from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.spec import DatabricksSpec, StepSpec
from airflow_ml_pipelines.core.stores.credentials import resolve_variables

__all__ = ["NODE_TYPE", "SPARK_VERSION", "existing_cluster", "submit_request", "token_of"]

SPARK_VERSION = "15.4.x-scala2.12"
"""Of new clusters of which nobody says it."""

NODE_TYPE = "Standard_D3_v2"
"""Of new clusters of which nobody says it; that of the reference."""

_PYTHON = {"PYSPARK_PYTHON": "/databricks/python3/bin/python3"}
_TASK = "step"
_LONGEST_NAME = 4096


def token_of(*parts: str | None) -> str:
    """Return an idempotency token: of all submissions with one token, Databricks runs the first."""
    return hashlib.sha256("\0".join(part or "" for part in parts).encode()).hexdigest()


def submit_request(
    step: StepSpec,
    *,
    code: str,
    widgets: Mapping[str, str],
    arguments: Sequence[str],
    token: str,
    run_name: str,
    defaults: Mapping[str, Any],
    where: str,
) -> dict[str, Any]:
    """Return the request of a step, with fields as in Databricks' public API.

    :param code: where the notebook or the script lies on Databricks.
    :param widgets: what a notebook is given.
    :param arguments: what a script or a main class is given.
    :param defaults: ``spark_version``, ``node_type`` and ``existing_cluster_id`` of the compute target, and its
        ``cluster``, what else new clusters have.
    :raises ComputeTargetException: where nothing says which cluster it runs on.
    """
    databricks = step.databricks
    assert databricks is not None
    task: dict[str, Any] = {"task_key": _TASK, **_code(databricks, code, widgets, arguments)}
    request: dict[str, Any] = {
        "run_name": (databricks.run_name or run_name)[:_LONGEST_NAME],
        "idempotency_token": token,
        "tasks": [task],
    }
    if step.timeout:
        request["timeout_seconds"] = max(1, round(step.timeout))
    if databricks.serverless:
        _add_serverless(request, task, databricks)
        return request
    existing = existing_cluster(databricks, defaults)
    if existing is None and not _has_workers(databricks) and not defaults.get("cluster"):
        raise ComputeTargetException(
            f"step {step.name!r}: nothing says which cluster it runs on: give it num_workers, min_workers and "
            f"max_workers, existing_cluster_id or serverless, or give {where} `existing_cluster_id` or `cluster`"
        )
    if existing is not None:
        _check_described(step, databricks, existing, where)
        task["existing_cluster_id"] = existing
    else:
        task["new_cluster"] = _cluster(step, databricks, defaults)
    if databricks.libraries:
        task["libraries"] = [dict(item) for item in databricks.libraries]
    return request


def existing_cluster(databricks: DatabricksSpec, defaults: Mapping[str, Any]) -> str | None:
    """Return the cluster that is there already and that a step runs on; None where it gets a new one, or none."""
    if databricks.existing_cluster_id is not None:
        return databricks.existing_cluster_id
    if databricks.serverless or _has_workers(databricks) or defaults.get("cluster"):
        return None
    found = defaults.get("existing_cluster_id")
    return None if found is None else str(found)


def _check_described(step: StepSpec, databricks: DatabricksSpec, existing: str, where: str) -> None:
    """Refuse what describes a new cluster where the step gets one that is there.

    :raises ComputeTargetException: that names it.
    """
    described = [name for name in MACHINES if getattr(databricks, name)]
    if described and databricks.existing_cluster_id is None:
        raise ComputeTargetException(
            f"step {step.name!r}: {', '.join(described)} describe a new cluster, and the step runs on {existing}, the cluster "
            f"of {where}: say how many workers the new one has (num_workers), or leave them out"
        )


def _code(
    databricks: DatabricksSpec, code: str, widgets: Mapping[str, str], arguments: Sequence[str]
) -> dict[str, Any]:
    if databricks.form == "notebook":
        return {
            "notebook_task": {"notebook_path": code, "base_parameters": dict(widgets), "source": "WORKSPACE"}
        }
    if databricks.form == "jar":
        return {"spark_jar_task": {"main_class_name": databricks.main_class, "parameters": list(arguments)}}
    return {"spark_python_task": {"python_file": code, "parameters": list(arguments)}}


def _has_workers(databricks: DatabricksSpec) -> bool:
    return databricks.num_workers is not None or databricks.max_workers is not None


def _cluster(step: StepSpec, databricks: DatabricksSpec, defaults: Mapping[str, Any]) -> dict[str, Any]:
    cluster: dict[str, Any] = dict(defaults.get("cluster") or {})
    cluster["spark_version"] = (
        databricks.spark_version
        or defaults.get("spark_version")
        or cluster.get("spark_version")
        or SPARK_VERSION
    )
    if databricks.instance_pool_id is not None:
        cluster["instance_pool_id"] = databricks.instance_pool_id
        cluster.pop("node_type_id", None)
    elif databricks.node_type is not None or "instance_pool_id" not in cluster:
        cluster["node_type_id"] = (
            databricks.node_type or defaults.get("node_type") or cluster.get("node_type_id") or NODE_TYPE
        )
        cluster.pop("instance_pool_id", None)
    if databricks.max_workers is not None:
        cluster["autoscale"] = {
            "min_workers": databricks.min_workers or 0,
            "max_workers": databricks.max_workers,
        }
        cluster.pop("num_workers", None)
    elif databricks.num_workers is not None:
        cluster["num_workers"] = databricks.num_workers
        cluster.pop("autoscale", None)
    if databricks.spark_conf:
        conf = resolve_variables(databricks.spark_conf, f"step {step.name!r}, spark_conf")
        cluster["spark_conf"] = {**cluster.get("spark_conf", {}), **conf}
    variables = resolve_variables(databricks.spark_env_variables, f"step {step.name!r}, spark_env_variables")
    cluster["spark_env_vars"] = {**_PYTHON, **cluster.get("spark_env_vars", {}), **variables}
    if databricks.init_scripts:
        cluster["init_scripts"] = [_place(path) for path in databricks.init_scripts]
    if databricks.cluster_log_dbfs_path is not None:
        cluster["cluster_log_conf"] = {"dbfs": {"destination": databricks.cluster_log_dbfs_path}}
    return cluster


def _place(path: str) -> dict[str, Any]:
    """Return where an init script lies, as the API has it."""
    scheme = (
        path.partition(":")[0] if ":" in path else "volumes" if path.startswith("/Volumes/") else "workspace"
    )
    name = {"abfss": "abfss", "dbfs": "dbfs", "gs": "gcs", "s3": "s3", "file": "file"}.get(scheme, scheme)
    return {name: {"destination": path}}


def _add_serverless(request: dict[str, Any], task: dict[str, Any], databricks: DatabricksSpec) -> None:
    """Ask for serverless compute: what a script needs is an environment; a notebook has its own."""
    if databricks.form == "notebook":
        return
    packages = [item["pypi"]["package"] for item in databricks.libraries if "pypi" in item]
    packages += [str(item["whl"]) for item in databricks.libraries if "whl" in item]
    request["environments"] = [{"environment_key": _TASK, "spec": {"client": "2", "dependencies": packages}}]
    task["environment_key"] = _TASK
