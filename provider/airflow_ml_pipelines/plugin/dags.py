"""Makes Airflow look at once for a published pipeline's DAG."""

from __future__ import annotations

from airflow.models.dagbag import DagPriorityParsingRequest  # noqa: TID253 - in the API server it is there
from airflow.utils.session import create_session  # noqa: TID253
from sqlalchemy.exc import IntegrityError

from airflow_ml_pipelines.core.errors import WorkspaceError

__all__ = ["request_parsing"]


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
