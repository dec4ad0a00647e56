"""Starts runs: what a run is, before anything of it is decided."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from airflow_ml_pipelines.core.files.git import git_facts
from airflow_ml_pipelines.core.parameters import check_parameters
from airflow_ml_pipelines.core.runs.folder import RunDocument
from airflow_ml_pipelines.core.spec import PipelineSpec

__all__ = ["new_run", "refused_run"]


def new_run(
    spec: PipelineSpec,
    *,
    parameters: Mapping[str, Any] | None = None,
    experiment: str | None = None,
    run_id: str | None = None,
    regenerate_outputs: bool = False,
    continue_on_step_failure: bool | None = None,
    tags: Mapping[str, str] | None = None,
) -> RunDocument:
    """Return what a run of a pipeline is started with.

    :param run_id: unique among the pipeline's runs; None for a new one.
    :raises ParameterError: where a parameter does not exist, has no value, or not one of its type.
    """
    return _document(
        spec,
        check_parameters(spec.parameters, parameters or {}),
        experiment=experiment,
        run_id=run_id,
        regenerate_outputs=regenerate_outputs,
        continue_on_step_failure=continue_on_step_failure,
        tags=tags,
    )


def refused_run(
    spec: PipelineSpec, *, run_id: str, parameters: Mapping[str, Any], experiment: str | None = None
) -> RunDocument:
    """Return what a run was started with that can't begin, such as one with a wrong parameter: only to be told of.

    :param parameters: as they were given.
    """
    return _document(spec, dict(parameters), run_id=run_id, experiment=experiment)


def _document(
    spec: PipelineSpec,
    parameters: dict[str, Any],
    *,
    experiment: str | None,
    run_id: str | None,
    regenerate_outputs: bool = False,
    continue_on_step_failure: bool | None = None,
    tags: Mapping[str, str] | None = None,
) -> RunDocument:
    go_on = spec.continue_on_step_failure if continue_on_step_failure is None else continue_on_step_failure
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
    return RunDocument(
        pipeline=spec.name,
        run=run_id or f"local-{stamp}-{secrets.token_hex(3)}",
        experiment=experiment or spec.name,
        parameters=parameters,
        regenerate_outputs=regenerate_outputs,
        continue_on_step_failure=go_on,
        tags=dict(tags or {}),
        git=spec.publication.git if spec.publication else git_facts(spec.base_directory or "."),
        spec=spec,
        digest=spec.digest,
        started=now,
    )
