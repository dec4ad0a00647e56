"""Looks at Airflow's own configuration on this machine: workspace, DAG bundles, pools.

It is done in a process of its own (``python -m airflow_ml_pipelines.doctor.airflow_here <workspace file>``), which prints a
finding a line: importing Airflow takes seconds, and a database that does not answer must not hold up what else is looked at.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from airflow_ml_pipelines.core.amounts import seconds_text
from airflow_ml_pipelines.core.stores.credentials import mask_url
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.doctor.findings import Finding
from airflow_ml_pipelines.doctor.machine import installed
from airflow_ml_pipelines.execution.targets.pools import pool_of

__all__ = ["examine_airflow", "is_configured", "main"]

_WHAT = "Airflow here"


def is_configured() -> bool:
    """Return whether Airflow is installed and has a configuration here: to ask it otherwise would make one."""
    if installed("apache-airflow-core") is None and installed("apache-airflow") is None:
        return False
    home = os.path.expanduser(os.environ.get("AIRFLOW_HOME") or "~/airflow")
    file = os.path.expanduser(os.environ.get("AIRFLOW_CONFIG") or os.path.join(home, "airflow.cfg"))
    return os.path.isfile(file) or any(name.startswith("AIRFLOW__") for name in os.environ)


def examine_airflow(workspace: Workspace | None, seconds: float) -> Iterator[Finding]:
    """Yield what is found of Airflow's configuration.

    :param seconds: how long it may take.
    """
    file = "" if workspace is None or workspace.file is None else str(workspace.file)
    command = [sys.executable, "-m", __name__, file]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        text = f"no answer within {seconds_text(seconds)}"
        yield Finding(_WHAT, "error", text, "see whether its database answers (airflow db check)")
        return
    for line in done.stdout.splitlines():
        if line.startswith(b"{"):
            yield msgspec.json.decode(line, type=Finding)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        yield Finding(_WHAT, "error", mask_url("".join(last)) or f"it ended with {done.returncode}")


def main(arguments: list[str]) -> None:
    """Print what is found."""
    from airflow_ml_pipelines.workspace_file import load_workspace

    workspace = load_workspace(arguments[0]) if arguments and arguments[0] else None
    for finding in _look(workspace):
        sys.stdout.write(msgspec.json.encode(finding).decode() + "\n")
        sys.stdout.flush()


def _look(workspace: Workspace | None) -> Iterator[Finding]:
    from airflow_ml_pipelines._airflow import conf

    yield _workspace(conf, workspace)
    yield from _bundles(conf)
    if workspace is not None:
        yield from _pools(workspace)


def _workspace(conf: Any, workspace: Workspace | None) -> Finding:
    what = "[ml_pipelines] workspace"
    named = conf.get("ml_pipelines", "workspace", fallback=None)
    origin = named or os.environ.get("ML_PIPELINES_WORKSPACE")
    if not origin:
        text = "it is not set: each task takes the workspace nearest to its definition"
        return Finding(what, "ok" if workspace is not None else "warning", text)
    path = Path(origin).expanduser()
    file = path / "workspace.yaml" if path.is_dir() else path
    if not file.is_file():
        return Finding(what, "error", f"there is no workspace file {file}", "name one that is there")
    if workspace is not None and workspace.file is not None and not file.samefile(workspace.file):
        text = f"{file}, which is not the one that is looked at here, {workspace.file}"
        return Finding(what, "warning", text, "set both to the same, so that results are shared")
    return Finding(what, "ok", str(file))


def _bundles(conf: Any) -> Iterator[Finding]:
    try:
        configured = conf.getjson("dag_processor", "dag_bundle_config_list") or []
    except Exception as error:  # noqa: BLE001 - Airflow's own exception, which differs between versions
        text = " ".join(str(error).split())
        yield Finding("DAG bundles", "error", text, "see [dag_processor] dag_bundle_config_list")
        return
    for item in configured:
        what = f"DAG bundle {item.get('name')}"
        try:
            module, _, name = item["classpath"].rpartition(".")
            bundle = getattr(importlib.import_module(module), name)(
                name=item["name"], version=None, **item.get("kwargs", {})
            )
            folder = _folder(bundle)
        except Exception as error:  # noqa: BLE001 - a bundle of anybody's
            text = f"it can't be made: {type(error).__name__}: {' '.join(str(error).split())}"
            yield Finding(what, "error", mask_url(text), "correct [dag_processor] dag_bundle_config_list")
            continue
        if folder is not None and not folder.is_dir():
            yield Finding(what, "error", f"there is no folder {folder}", "make it, or name another")
        else:
            yield Finding(what, "ok", type(bundle).__name__ + (f" of {folder}" if folder else ""))


def _folder(bundle: Any) -> Path | None:
    """Return the local folder of a bundle, None for one that fetches its own."""
    from airflow.dag_processing.bundles.local import LocalDagBundle

    inner = getattr(bundle, "wrapped", bundle)
    return Path(inner.path) if isinstance(inner, LocalDagBundle) else None


def _pools(workspace: Workspace) -> Iterator[Finding]:
    wanted = {
        name: pool
        for name, spec in workspace.declared_compute_targets.items()
        if (pool := pool_of(workspace.name, spec)) is not None
    }
    if not wanted:
        return
    from airflow.models.pool import Pool
    from sqlalchemy.exc import SQLAlchemyError

    for name, pool in wanted.items():
        what = f"pool of compute target {name}"
        try:
            found = Pool.get_pool(pool.name)
        except SQLAlchemyError as error:
            text = mask_url(str(error).splitlines()[0])
            yield Finding(
                what, "error", f"Airflow's database can't be used: {text}", "see `airflow db check`"
            )
            return
        if found is None:
            text = f"there is no pool {pool.name}, so tasks of its steps don't start"
            yield Finding(what, "error", text, "run `ml-pipelines pools`")
        elif found.slots != pool.slots:
            text = f"pool {pool.name} has {found.slots} slots, and max_nodes is {pool.slots}"
            yield Finding(what, "warning", text, "run `ml-pipelines pools`")
        else:
            yield Finding(what, "ok", f"{pool.name} with {pool.slots} slots")


if __name__ == "__main__":
    main(sys.argv[1:])
