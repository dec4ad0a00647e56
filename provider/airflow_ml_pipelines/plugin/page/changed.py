"""What Airflow knows of DAG runs: which changed lately, so that one that was cleared is read again, and which ended."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.models.dagrun import DagRun  # noqa: TID253 - in the API server it is there
from airflow.utils.session import create_session  # noqa: TID253
from airflow.utils.state import State  # noqa: TID253
from sqlalchemy import select

from airflow_ml_pipelines.core.run_index import Seen

__all__ = ["changed_dag_runs", "has_ended"]

_OVERLAP = 30.0
_MOST = 10_000


def changed_dag_runs(since: float) -> Seen:
    """Return the DAG runs that were changed since a moment, and the moment to ask about next.

    :param since: seconds since the epoch; what was written shortly before may show only now, so it is looked at again.
    """
    now = datetime.now(UTC).timestamp()
    query = (
        select(DagRun.dag_id, DagRun.run_id)
        .where(DagRun.updated_at >= datetime.fromtimestamp(since - _OVERLAP, UTC))
        .limit(_MOST)
    )
    with create_session() as session:
        return Seen(frozenset((dag_id, run_id) for dag_id, run_id in session.execute(query)), now)


def has_ended(dag_id: str, run_id: str) -> bool:
    """Return whether Airflow has a DAG run that has ended."""
    query = select(DagRun.state).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id).limit(1)
    with create_session() as session:
        return session.scalar(query) in State.finished_dr_states
