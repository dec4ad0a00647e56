"""Makes the DAG of a published pipeline, for the DAG files of its bundle."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

__all__ = ["load_published"]

_TAG = "published"


def load_published(
    namespace: MutableMapping[str, Any],
    dag_id: str,
    pipeline: str,
    *,
    label: str | None = None,
    workspace: str | None = None,
) -> None:
    """Make the DAG of a published pipeline, unless another is asked for.

    :param namespace: where Airflow looks for DAGs: the variables of the DAG file.
    :param pipeline: the id of the published pipeline.
    :param label: the version's label, which becomes a tag.
    :param workspace: the workspace's file or folder; None for the one that Airflow's configuration names.
    :raises WorkspaceError: where it is no longer there.
    """
    from airflow.sdk import get_parsing_context

    from airflow_ml_pipelines._tasks import open_workspace
    from airflow_ml_pipelines.core.published import read_published
    from dag_factory.compile import build_dag

    wanted = get_parsing_context()
    if wanted.dag_id not in (None, dag_id):
        return
    document = read_published(open_workspace(workspace).store, pipeline, deleted=True)
    dag = build_dag(
        document.spec, workspace=workspace, dag_id=dag_id, task_id=wanted.task_id if wanted.dag_id else None
    )
    dag.tags.update({_TAG, document.name, *([label] if label else [])})
    dag.is_paused_upon_creation = False
    namespace[dag_id] = dag
