"""Makes the job of a step: everything open filled in, every place a URL."""

from __future__ import annotations

from typing import Any

import msgspec

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.core.keys.key import resolve_arguments, resolve_parameters
from airflow_ml_pipelines.core.layout import segment, step_run_id
from airflow_ml_pipelines.core.spec import OutputSpec
from airflow_ml_pipelines.core.steps.decide import StepContext
from airflow_ml_pipelines.core.steps.inputs import ResolvedInput
from airflow_ml_pipelines.core.stores.credentials import resolve_variables, secret_variables
from airflow_ml_pipelines.core.stores.locations import split_url
from airflow_ml_pipelines.core.stores.store import check_path, join
from airflow_ml_pipelines.runtime.job import Job, JobInput, JobOutput, JobSource, JobWorkspace, RunIds

__all__ = ["make_job", "output_destination"]


def make_job(context: StepContext, attempt: int, interpreter: str) -> Job:
    """Return the job of an attempt at a step."""
    workspace, run, step, plan = context.workspace, context.run, context.step, context.plan
    root = workspace.store.url
    run_id = step_run_id(run.pipeline, run.run, step.id, attempt)
    values = {name: value for name, value in run.parameters.items() if not isinstance(value, dict)}
    return Job(
        run=RunIds(
            workspace=workspace.name,
            experiment=run.experiment,
            pipeline=run.pipeline,
            run=run.run,
            step=step.id,
            step_name=step.name,
            attempt=attempt,
            id=run_id,
        ),
        folder=f"{root}/{context.folder.attempt_folder(step.id, attempt)}",
        parent_folder=f"{root}/{context.folder.path}",
        workspace=JobWorkspace(
            name=workspace.name,
            root=root,
            datastores={name: workspace.datastore_url(name) for name in workspace.datastores()},
            default_datastore=workspace.default_datastore,
        ),
        source=JobSource(archive=f"{root}/{plan.archive}", digest=plan.snapshot, script=step.script),
        interpreter=interpreter,
        variables=resolve_variables(plan.environment.variables, f"environment of step {step.name!r}"),
        secrets=tuple(sorted({*secret_variables(plan.environment.variables), *context.secrets})),
        parameters=resolve_parameters(step, run.parameters),
        pipeline_parameters=values,
        arguments=tuple(
            tuple(_segment(part) for part in argument)
            for argument in resolve_arguments(step.arguments, run.parameters)
        ),
        inputs={name: _input(context, item) for name, item in context.inputs.items()},
        outputs={spec.name: _output(context, spec, attempt) for spec in step.outputs},
        tags=dict(run.tags),
        timeout=step.timeout,
        git=dict(run.git),
    )


def output_destination(context: StepContext, spec: OutputSpec, attempt: int) -> tuple[str, str]:
    """Return the datastore and the path where an output is to lie.

    :raises DefinitionError: where the destination has a placeholder that does not exist.
    """
    run, step = context.run, context.step
    datastore = spec.datastore or run.spec.default_datastore or context.workspace.default_datastore
    if spec.path is None:  # a folder that belongs to the attempt
        owned = (segment(run.pipeline), segment(run.run), segment(step.id), str(attempt), segment(spec.name))
        return datastore, join(context.workspace.outputs_folder(datastore), *owned)
    run_id = step_run_id(run.pipeline, run.run, step.id, attempt)
    path = spec.path.replace("{run-id}", run_id).replace("{output-name}", spec.name)
    if "{" in path:
        raise DefinitionError(
            f"output {spec.name!r} of step {step.name!r}: its destination {spec.path!r} has a placeholder that does "
            "not exist. There are: {run-id}, {output-name}."
        )
    return datastore, check_path(path.lstrip("/"))


def _segment(part: Any) -> dict[str, str]:
    document: dict[str, str] = msgspec.to_builtins(part)
    document.pop("type", None)
    return document


def _input(context: StepContext, item: ResolvedInput) -> JobInput:
    locations = []
    for location in item.data.locations:
        if location.is_url:
            store_url, path = split_url(location.path)
            locations.append({"store": store_url, "path": path})
        else:
            url = context.workspace.datastore_url(location.datastore)
            locations.append({"store": url, "path": location.path})
    return JobInput(
        mode=item.spec.mode,
        form=item.data.form,
        locations=tuple(locations),
        tabular=None if item.tabular is None else _complete(item.tabular),
        path_on_compute=item.spec.path_on_compute,
        overwrite=item.spec.overwrite,
    )


def _complete(value: msgspec.Struct) -> dict[str, Any]:
    """Return all fields of a struct, defaults too: the reader may not know them."""
    return {name: getattr(value, name) for name in value.__struct_fields__}


def _output(context: StepContext, spec: OutputSpec, attempt: int) -> JobOutput:
    datastore, path = output_destination(context, spec, attempt)
    return JobOutput(
        mode=spec.mode,
        store=context.workspace.datastore_url(datastore),
        path=path,
        source=spec.source,
        create=spec.create,
        overwrite=spec.overwrite,
        globs=spec.globs,
    )
