"""Starts DAG runs as a POST to Airflow's own REST API does, for a user whom a request has authenticated already.

It is Airflow's own function that starts them, with the same permissions, checks and audit log. What was done for the
request before is not done again: the way through Airflow's application and the token. A version of a DAG is read once.
"""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Any, Final, NamedTuple
from uuid import UUID

from airflow.api_fastapi.core_api.datamodels.dag_run import (  # noqa: TID253 - in the API server it is there
    TriggerDAGRunPostBody,
)
from airflow.api_fastapi.core_api.routes.public.dag_run import trigger_dag_run  # noqa: TID253
from airflow.api_fastapi.logging.decorators import action_logging  # noqa: TID253
from airflow.models.dag import DagModel  # noqa: TID253
from airflow.models.dag_version import DagVersion  # noqa: TID253
from airflow.models.dagrun import DagRun  # noqa: TID253
from airflow.models.serialized_dag import SerializedDagModel  # noqa: TID253
from airflow.utils.session import create_session  # noqa: TID253
from fastapi import Request
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.plugin.access import Access

__all__ = ["StartedRun", "UnknownDagError", "start_run"]

_DAGS = 64
_EVENT: Final = "trigger_dag_run"
_log_action: Final = action_logging(_EVENT)


class UnknownDagError(Exception):
    """A DAG that Airflow has not read yet."""


class StartedRun(NamedTuple):
    """A run of a DAG.

    :param is_new: whether it was started now, not before.
    """

    state: str
    conf: dict[str, Any]
    is_new: bool


def start_run(
    request: Request, access: Access, dag_id: str, run_id: str, conf: dict[str, Any], note: str | None
) -> StartedRun:
    """Start a run of a DAG, or return the one that has the id already.

    :raises UnknownDagError: where Airflow has not read the DAG yet.
    :raises WorkspaceError: where the DAG is paused.
    :raises HTTPException: where Airflow refuses it, as its own call does.
    """
    body = {"dag_run_id": run_id, "logical_date": None, "conf": conf, "note": note}
    try:
        with create_session(scoped=False) as session:
            _check_dag(session, dag_id)
            access.require("POST", dag_id, runs=True)
            asyncio.run(_log_action(_as_received(dag_id, body), session, access.user))
            run = trigger_dag_run(
                dag_id=dag_id,
                body=TriggerDAGRunPostBody.model_validate(body),
                dag_bag=_Dags(),
                user=access.user,
                session=session,
                request=request,
            )
            return StartedRun(str(run.state), conf, is_new=True)
    except IntegrityError:
        with create_session(scoped=False) as session:
            found = session.execute(
                select(DagRun.state, DagRun.conf).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
            ).first()
        if found is None:
            raise
        return StartedRun(str(found.state), found.conf or {}, is_new=False)


def _check_dag(session: Session, dag_id: str) -> None:
    paused = session.scalar(
        select(DagModel.is_paused).where(DagModel.dag_id == dag_id, ~DagModel.is_stale).limit(1)
    )
    if paused is None:
        raise UnknownDagError(dag_id)
    if paused:
        raise WorkspaceError(f"DAG {dag_id!r} is paused, a run of it would wait for ever: unpause it first")


def _as_received(dag_id: str, body: dict[str, Any]) -> Request:
    """Return the request of Airflow's own call, for its audit log."""
    data = json.dumps(body).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": data, "more_body": False}

    return Request(
        {
            "type": "http",
            "method": "POST",
            "path": "",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
            "path_params": {"dag_id": dag_id},
        },
        receive,
    )


class _Dags:
    """Where Airflow's function finds the DAG."""

    def get_latest_version_of_dag(self, dag_id: str, *, session: Session) -> Any:
        """Return the DAG as it is at present, None where there is none."""
        latest = session.execute(
            select(SerializedDagModel.dag_version_id, SerializedDagModel.dag_hash)
            .join(DagVersion, SerializedDagModel.dag_version_id == DagVersion.id)
            .where(SerializedDagModel.dag_id == dag_id)
            .order_by(DagVersion.version_number.desc())
            .limit(1)
        ).first()
        return None if latest is None else _read_dag(*latest)


@functools.lru_cache(maxsize=_DAGS)
def _read_dag(version: UUID, digest: str) -> Any:  # noqa: ARG001
    """Return a version of a DAG.

    :param digest: another one where the same version was written anew, which Airflow does while it has no runs.
    """
    with create_session(scoped=False) as session:
        found = session.scalar(select(SerializedDagModel).where(SerializedDagModel.dag_version_id == version))
        return None if found is None else found.dag
