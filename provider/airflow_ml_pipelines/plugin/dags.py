"""What Airflow knows of a published pipeline's DAG, and how it is made to look again."""

from __future__ import annotations

from typing import Literal

from airflow.models.dag import DagModel  # noqa: TID253 - in the API server it is there
from airflow.models.dagbag import DagPriorityParsingRequest  # noqa: TID253
from airflow.utils.session import create_session  # noqa: TID253
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from airflow_ml_pipelines.core.errors import WorkspaceError

__all__ = ["dag_state", "request_parsing"]


def dag_state(dag_id: str) -> Literal["unknown", "paused", "active"]:
    """Return whether Airflow knows a DAG, and whether its runs start."""
    with create_session() as session:
        paused = session.scalar(
            select(DagModel.is_paused).where(DagModel.dag_id == dag_id, ~DagModel.is_stale).limit(1)
        )
    return "unknown" if paused is None else "paused" if paused else "active"


def request_parsing(dag_id: str) -> None:
    """Have the bundle of published pipelines looked at now, and this pipeline's file read first.

    :raises WorkspaceError: where Airflow has no such bundle.
    """
    from airflow_ml_pipelines.bundles.published import find_published_bundle, published_file

    bundle = find_published_bundle()
    if bundle is None:
        raise WorkspaceError(
            "published pipelines are no DAGs of this Airflow: add "
            "airflow_ml_pipelines.bundles.published.PublishedPipelinesBundle to [dag_processor] dag_bundle_config_list"
        )
    try:
        with create_session() as session:
            session.add(
                DagPriorityParsingRequest(bundle_name=bundle, relative_fileloc=published_file(dag_id))
            )
    except IntegrityError:  # somebody else has asked
        return
