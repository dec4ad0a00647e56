"""Starts runs of published pipelines."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from typing import Any

from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool

from airflow_ml_pipelines.core.errors import ParameterError, WorkspaceError
from airflow_ml_pipelines.core.parameters import check_parameters
from airflow_ml_pipelines.core.publishing.published import PublishedDocument, read_status
from airflow_ml_pipelines.core.workspaces.server import dag_path, run_path
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.links import task_url
from airflow_ml_pipelines.plugin.airflow_calls import call_airflow
from airflow_ml_pipelines.plugin.dags import dag_state, request_parsing
from airflow_ml_pipelines.plugin.models import Submission, Submitted

__all__ = ["submit"]

_PATIENCE = 30.0
_POLL = 0.25


async def submit(
    request: Request,
    workspace: Workspace,
    document: PublishedDocument,
    body: Submission,
    *,
    key: str | None = None,
    tags: dict[str, str] | None = None,
) -> Submitted:
    """Start a run of a published pipeline.

    :param key: a caller's own name of the request; one that comes again with it is answered with the same run.
    :param tags: of the run, besides those of the request.
    :raises ParameterError: where a parameter does not exist, or has no value of its type; names those that exist.
    """
    status = await run_in_threadpool(read_status, workspace.store, document)
    if status != "Active":
        raise WorkspaceError(f"published pipeline {document.id!r} is {status.lower()}")
    conf = _conf(document, body, tags or {})
    run_id = _run_id(document, key)
    await _wait_for_dag(document.id)
    code, answer = await call_airflow(
        request,
        "POST",
        f"{dag_path(document.id)}/dagRuns",
        {"dag_run_id": run_id, "logical_date": None, "conf": conf, "note": body.Description},
    )
    if code == 409 and key is not None:
        code, answer = await call_airflow(request, "GET", run_path(document.id, run_id))
        if code == 200 and answer["conf"] != json.loads(json.dumps(conf)):
            raise HTTPException(422, "this Idempotency-Key was used for a request that differs: take another")
    if code != 200:
        raise HTTPException(code, answer.get("detail", answer) if isinstance(answer, dict) else answer)
    place = {"dag_id": document.id, "run_id": answer["dag_run_id"], "tasks": {}}
    return Submitted(
        Id=answer["dag_run_id"],
        PipelineId=document.id,
        ExperimentName=conf["experiment_name"],
        Status="NotStarted" if answer["state"] == "queued" else str(answer["state"]).capitalize(),
        Url=str(request.url.replace(path=task_url(place, None), query="")),
    )


def _conf(document: PublishedDocument, body: Submission, tags: dict[str, str]) -> dict[str, Any]:
    """Return the configuration of the DAG run."""
    parts: tuple[dict[str, Any], ...] = (
        body.ParameterAssignments,
        {name: path.model_dump() for name, path in body.DataPathAssignments.items()},
        {
            name: _dataset(name, item.SavedDataSetReference.Id)
            for name, item in body.DataSetDefinitionValueAssignments.items()
        },
    )
    values: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if name in values:
                raise ParameterError(f"parameter {name!r} is given twice: give it one value")
            values[name] = value
    check_parameters(document.spec.parameters, values)
    conf: dict[str, Any] = {**values, "experiment_name": body.ExperimentName or document.name}
    if body.RegenerateOutputs:
        conf["regenerate_outputs"] = True
    if body.ContinueRunOnStepFailure is not None:
        conf["continue_on_step_failure"] = body.ContinueRunOnStepFailure
    labels = {**body.Tags, **tags}
    if body.ParentRunId is not None:
        labels["parent_run_id"] = body.ParentRunId
    if labels:
        conf["tags"] = labels
    return conf


def _dataset(name: str, identity: str) -> dict[str, Any]:
    """Return the registered dataset of an id, ``<name>`` or ``<name>:<version>``, as a parameter's value."""
    dataset, _, version = identity.rpartition(":")
    if not dataset:
        return {"dataset": identity}
    if not (version.isascii() and version.isdecimal()):
        raise ParameterError(
            f"parameter {name!r}: expected a dataset's id, <name> or <name>:<version>, found {identity!r}"
        )
    return {"dataset": dataset, "version": int(version)}


def _run_id(document: PublishedDocument, key: str | None) -> str:
    if key is None:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        return f"rest__{stamp}-{secrets.token_hex(6)}"
    return f"rest__{hashlib.sha256(f'{document.id} {key}'.encode()).hexdigest()[:32]}"


async def _wait_for_dag(dag_id: str) -> None:
    """Return when Airflow knows the DAG, after having it read if need be."""
    deadline = time.monotonic() + _PATIENCE
    asked = False
    while (state := await run_in_threadpool(dag_state, dag_id)) == "unknown":
        if not asked:
            await run_in_threadpool(request_parsing, dag_id)
            asked = True
        if time.monotonic() > deadline:
            raise HTTPException(
                503,
                f"Airflow has not read published pipeline {dag_id!r} yet: is its DAG processor running? Try again",
                {"Retry-After": "10"},
            )
        await asyncio.sleep(_POLL)
    if state == "paused":
        raise WorkspaceError(f"DAG {dag_id!r} is paused, a run of it would wait for ever: unpause it first")
