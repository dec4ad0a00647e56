"""Registers outputs as datasets of the workspace, for the steps that ask for it."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_ml_pipelines.core.runs.folder import Origin, OutputDocument
from airflow_ml_pipelines.core.spec import Data, Location, StepSpec
from airflow_ml_pipelines.core.workspaces.workspace import DatasetRecord, Workspace

__all__ = ["register_outputs"]


def register_outputs(
    workspace: Workspace, step: StepSpec, outputs: Mapping[str, OutputDocument], origin: Origin | None
) -> dict[str, DatasetRecord]:
    """Register each output that asks for it; return the dataset that each became.

    A reused output is registered as well: the same data as the latest version's makes no new version.

    :param origin: the attempt that made them.
    """
    registered = {}
    for spec in step.outputs:
        if spec.register is None:
            continue
        output = outputs[spec.name]
        data = Data(
            locations=(Location(datastore=output.datastore, path=output.path),),
            form="file" if output.single else "folder",
            tabular=spec.tabular,
            partition_format=spec.partition_format if spec.tabular is None else None,
        )
        registered[spec.name] = workspace.register_dataset(
            spec.register.name,
            data,
            manifest_digest=output.digest,
            description=spec.register.description,
            tags=spec.register.tags,
            files=output.files,
            size=output.size,
            origin=origin,
        )
    return registered
