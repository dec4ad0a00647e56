"""What a step of a run read and wrote, by the places of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_ml_pipelines.core.errors import DataError, MlPipelinesError
from airflow_ml_pipelines.core.parameters import read_data
from airflow_ml_pipelines.core.runs.folder import (
    Origin,
    OutputDocument,
    PlanDocument,
    RunDocument,
    RunFolder,
    StepDocument,
    StepPlan,
)
from airflow_ml_pipelines.core.spec import (
    Data,
    DataParameter,
    Location,
    RegisteredDataset,
    StepOutput,
    StepSpec,
)
from airflow_ml_pipelines.core.steps.decide import StepContext, open_step
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["StepLineage", "Trace", "trace_reused", "trace_step"]


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Data that a step read or wrote.

    :param port: the input's or output's name.
    :param urls: where it lies, without credentials.
    :param output: what is known of it where a step made it.
    :param dataset: the name that it is registered under.
    :param version: of the dataset, where the step named one.
    """

    port: str
    urls: tuple[str, ...]
    data: Data
    output: OutputDocument | None = None
    dataset: str | None = None
    version: int | None = None


@dataclass(frozen=True, kw_only=True)
class StepLineage:
    """What a step read and wrote; of a reused one what the original did.

    :param script: relative to its source directory.
    :param git: where the original came from.
    """

    script: str
    document: StepDocument
    inputs: tuple[Trace, ...]
    outputs: tuple[Trace, ...]
    git: Mapping[str, str]


def trace_step(context: StepContext, document: StepDocument) -> StepLineage:
    """Return what a step read and wrote.

    Where the run that a reused step's result comes from is gone, its own inputs stand for the original's: they are equal.

    :raises DataError: where a step before it has no outputs.
    """
    origin = document.reused_from
    original = None if origin is None else _open_original(context.workspace, origin)
    return _trace(original or context, document)


def trace_reused(workspace: Workspace, run: RunDocument, plan: PlanDocument) -> list[StepLineage]:
    """Return what the originals of the steps read and wrote that a plan reuses."""
    folder = RunFolder(workspace.store, run.pipeline, run.run)
    documents = {item.step: _reused(item) for item in plan.steps if item.decision == "reuse"}
    return [
        trace_step(
            StepContext(workspace, folder, run, run.spec.step(name), plan.step(name), upstream=documents),
            document,
        )
        for name, document in documents.items()
    ]


def _reused(plan: StepPlan) -> StepDocument:
    return StepDocument(
        step=plan.step,
        status="reused",
        reasons=plan.reasons,
        key=plan.key,
        folder=plan.folder,
        outputs=plan.outputs,
        reused_from=plan.reused_from,
        saved=plan.saved,
    )


def _open_original(workspace: Workspace, origin: Origin) -> StepContext | None:
    folder = RunFolder(workspace.store, origin.pipeline, origin.run)
    try:
        context = open_step(workspace, folder, origin.step)
        _ = context.before  # what it read from is there too
    except (MlPipelinesError, KeyError):
        return None
    return context


def _trace(context: StepContext, document: StepDocument) -> StepLineage:
    return StepLineage(
        script=context.step.script,
        document=document,
        inputs=tuple(_inputs(context)),
        outputs=tuple(_outputs(context.workspace, context.step, document)),
        git=context.run.git,
    )


def _inputs(context: StepContext) -> list[Trace]:
    workspace = context.workspace
    found = []
    for item in context.step.inputs:
        source = item.source
        if isinstance(source, StepOutput):
            output = context.before[source.step].outputs.get(source.output)
            if output is None:
                raise DataError(f"step {source.step!r} has no output {source.output!r}")
            found.append(_output(workspace, item.name, output, None))
            continue
        data = context.plan.data[item.name]
        if isinstance(source, DataParameter):
            source = read_data(context.run.parameters[source.parameter])
        named = source if isinstance(source, RegisteredDataset) else None
        found.append(
            Trace(
                port=item.name,
                urls=tuple(_url(workspace, location) for location in data.locations),
                data=data,
                dataset=None if named is None else named.dataset,
                version=None if named is None else named.version,
            )
        )
    return found


def _outputs(workspace: Workspace, step: StepSpec, document: StepDocument) -> list[Trace]:
    return [
        _output(
            workspace,
            item.name,
            document.outputs[item.name],
            None if item.register is None else item.register.name,
        )
        for item in step.outputs
        if item.name in document.outputs
    ]


def _output(workspace: Workspace, port: str, output: OutputDocument, dataset: str | None) -> Trace:
    location = Location(datastore=output.datastore, path=output.path)
    data = Data(locations=(location,), form="file" if output.single else "folder")
    return Trace(
        port=port,
        urls=(_url(workspace, location),),
        data=data,
        output=output,
        dataset=dataset,
    )


def _url(workspace: Workspace, location: Location) -> str:
    if location.is_url:
        return location.path
    return f"{workspace.datastore_url(location.datastore).rstrip('/')}/{location.path.lstrip('/')}"
