"""Finds what each input of a step is in a run: where its data lies and what identifies it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from airflow_ml_pipelines.core.errors import DataError, StoreError, did_you_mean
from airflow_ml_pipelines.core.keeping.fresh import freshen
from airflow_ml_pipelines.core.keys.fingerprint import PENDING, Fingerprint, fingerprint_data
from airflow_ml_pipelines.core.layout import manifest_path
from airflow_ml_pipelines.core.parameters import read_data
from airflow_ml_pipelines.core.runs.folder import OutputDocument, RunFolder, StepDocument
from airflow_ml_pipelines.core.spec import (
    Data,
    DataParameter,
    InputSpec,
    Location,
    PipelineSpec,
    RegisteredDataset,
    StepOutput,
    StepSpec,
    TabularFormat,
)
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["ResolvedInput", "keep_input_manifests", "outside_data", "resolve_inputs", "resolve_step"]


@dataclass(frozen=True, kw_only=True)
class ResolvedInput:
    """An input of a step in a run.

    :param fingerprint: what the key document has for the data.
    :param data: where the data lies and in what form the script gets it.
    :param output: the output that it is, None for data from outside of the pipeline.
    :param read_stored: gives its manifest as it is stored, for data from outside whose files were looked at.
    """

    spec: InputSpec
    fingerprint: dict[str, Any]
    data: Data
    output: OutputDocument | None = None
    read_stored: Callable[[], bytes] | None = None

    @property
    def tabular(self) -> TabularFormat | None:
        """How the script reads it as a table."""
        return self.data.tabular


def outside_data(step: StepSpec, workspace: Workspace, values: Mapping[str, Any]) -> dict[str, Data]:
    """Return the data of each input that comes from outside, with parameters and dataset names resolved.

    :raises WorkspaceError: where there is no such dataset or datastore.
    :raises ParameterError: where a parameter's value is no data.
    """
    found: dict[str, Data] = {}
    for item in step.inputs:
        source = item.source
        if isinstance(source, StepOutput):
            continue
        resolved = read_data(values[source.parameter]) if isinstance(source, DataParameter) else source
        if isinstance(resolved, RegisteredDataset):
            resolved = workspace.dataset(resolved.dataset, resolved.version).data
        if resolved.query is not None:
            resolved = _asked(workspace, step, item, resolved)
        found[item.name] = resolved
    return found


def _asked(workspace: Workspace, step: StepSpec, item: InputSpec, data: Data) -> Data:
    from airflow_ml_pipelines.core.steps.queries import keep_answer

    try:
        return keep_answer(workspace, data)
    except (DataError, StoreError) as error:
        raise DataError(f"input {item.name!r} of step {step.name!r}: {error}") from None


def resolve_inputs(
    pipeline: PipelineSpec,
    step: StepSpec,
    workspace: Workspace,
    outside: Mapping[str, Data],
    upstream: Mapping[str, StepDocument],
) -> dict[str, ResolvedInput]:
    """Return a step's inputs.

    :param outside: see :func:`outside_data`.
    :param upstream: how each step went that this one reads from; of one that has not ended, the data is ``pending``.
    :raises DataError: where there is no data.
    """
    found: dict[str, ResolvedInput] = {}
    for item in step.inputs:
        if isinstance(item.source, StepOutput):
            document = upstream[item.source.step]
            if not document.ended_well:
                pending = {"kind": PENDING, "step": item.source.step}
                found[item.name] = ResolvedInput(spec=item, fingerprint=pending, data=Data(locations=()))
                continue
            output = _output(document.outputs, step, item.source)
            found[item.name] = ResolvedInput(
                spec=item,
                fingerprint={"kind": "content", "digest": output.digest},
                data=Data(
                    locations=(Location(datastore=output.datastore, path=output.path),),
                    form="file" if output.single else "folder",
                    tabular=_tabular(pipeline, item.source),
                ),
                output=output,
            )
            continue
        data = outside[item.name]
        fingerprint = _fingerprint(workspace, step, item, data)
        found[item.name] = ResolvedInput(
            spec=item, fingerprint=fingerprint.document, data=data, read_stored=fingerprint.read_stored
        )
    return found


def keep_input_manifests(store: Store, inputs: Mapping[str, ResolvedInput]) -> None:
    """Keep which files inputs have, so that a later run can say which of them changed."""
    for item in inputs.values():
        digest = item.fingerprint.get("digest")
        if item.read_stored is None or not isinstance(digest, str):
            continue
        with suppress(DataError, StoreError):  # it only serves explanations
            if not freshen(store, manifest_path(digest)):
                store.create(manifest_path(digest), item.read_stored())


def resolve_step(folder: RunFolder, step: str) -> StepDocument:
    """Return how a step of a run went whose outputs are needed.

    :raises DataError: where the step has not ended well.
    """
    document = folder.read_step(step)
    if document is None or not document.ended_well:
        status = "has not run" if document is None else f"is {document.status}"
        raise DataError(
            f"step {step!r} {status} in run {folder.run!r}, so its outputs are not there: clear it to run"
        )
    return document


def _output(outputs: Mapping[str, OutputDocument], step: StepSpec, source: StepOutput) -> OutputDocument:
    try:
        return outputs[source.output]
    except KeyError:
        raise DataError(
            f"step {step.name!r} reads output {source.output!r} of step {source.step!r}, which has none of that name."
            + did_you_mean(source.output, outputs)
        ) from None


def _tabular(pipeline: PipelineSpec, source: StepOutput) -> TabularFormat | None:
    with suppress(KeyError):  # a step of a hand-written DAG knows only itself
        for output in pipeline.step(source.step).outputs:
            if output.name == source.output:
                return output.tabular
    return None


def _fingerprint(workspace: Workspace, step: StepSpec, item: InputSpec, data: Data) -> Fingerprint:
    try:
        return fingerprint_data(
            data, workspace.datastore, item.fingerprint, workspace.stat_cache, open_url=workspace.open_url
        )
    except (DataError, StoreError) as error:
        raise DataError(f"input {item.name!r} of step {step.name!r}: {error}") from None
