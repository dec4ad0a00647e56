"""Starts runs of published pipelines."""

from __future__ import annotations

import asyncio
import functools
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
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.links import task_url
from airflow_ml_pipelines.plugin.access import Access
from airflow_ml_pipelines.plugin.dags import request_parsing
from airflow_ml_pipelines.plugin.models import Submission, Submitted
from airflow_ml_pipelines.plugin.trigger import UnknownDagError, start_run

__all__ = ["submit"]

_PATIENCE = 30.0
_POLL = 0.25


async def submit(
    request: Request,
    workspace: Workspace,
    access: Access,
    document: PublishedDocument,
    body: Submission,
    *,
    key: str | None = None,
    tags: dict[str, str] | None = None,
) -> Submitted:
    """Start a run of a published pipeline; one that Airflow has not read yet is read at once.

    :param key: a caller's own name of the request; one that comes again with it is answered with the same run.
    :param tags: of the run, besides those of the request.
    :raises ParameterError: where a parameter does not exist, or has no value of its type; names those that exist.
    """
    start = functools.partial(_start, request, workspace, access, document, body, key, tags or {})
    deadline = time.monotonic() + _PATIENCE
    asked = False
    while True:
        try:
            return await run_in_threadpool(start)
        except UnknownDagError:
            if not asked:
                await run_in_threadpool(request_parsing, document.id)
                asked = True
            if time.monotonic() > deadline:
                raise HTTPException(
                    503,
                    f"Airflow has not read published pipeline {document.id!r} yet: is its DAG processor running? Try again",
                    {"Retry-After": "10"},
                ) from None
            await asyncio.sleep(_POLL)


def _start(
    request: Request,
    workspace: Workspace,
    access: Access,
    document: PublishedDocument,
    body: Submission,
    key: str | None,
    tags: dict[str, str],
) -> Submitted:
    status = read_status(workspace.store, document)
    if status != "Active":
        raise WorkspaceError(f"published pipeline {document.id!r} is {status.lower()}")
    conf = _conf(document, body, tags)
    run_id = _run_id(document, key)
    run = start_run(request, access, document.id, run_id, conf, body.Description)
    if not run.is_new:
        access.require("GET", document.id, runs=True)
        if run.conf != json.loads(json.dumps(conf)):
            raise HTTPException(422, "this Idempotency-Key was used for a request that differs: take another")
    place = {"dag_id": document.id, "run_id": run_id, "tasks": {}}
    return Submitted(
        Id=run_id,
        PipelineId=document.id,
        ExperimentName=conf["experiment_name"],
        Status="NotStarted" if run.state == "queued" else run.state.capitalize(),
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
