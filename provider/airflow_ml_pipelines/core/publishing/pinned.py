"""Pins pipelines to the files and environments that they have now, or that a run had: so they can be run ever after."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.files.git import git_facts
from airflow_ml_pipelines.core.runs.folder import PlanDocument, RunFolder
from airflow_ml_pipelines.core.spec import PinnedSource, PipelineSpec, Publication, StepSpec
from airflow_ml_pipelines.core.steps.snapshot import StoredSnapshot
from airflow_ml_pipelines.core.steps.sources import Sources
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["pin_pipeline", "pin_run"]


def pin_pipeline(workspace: Workspace, spec: PipelineSpec) -> PipelineSpec:
    """Return a pipeline with its source directories stored as they are now, and its environments resolved.

    :raises MlPipelinesError: where a source directory, a script or an environment is missing.
    """
    sources = Sources(workspace, spec.base_directory)
    git = spec.publication.git if spec.publication else git_facts(spec.base_directory or ".")

    def pin(step: StepSpec) -> StepSpec:
        snapshot = sources.snapshot(step)
        sources.archive(snapshot)
        return msgspec.structs.replace(
            step,
            pinned=PinnedSource(snapshot=snapshot.digest, hash_paths=sources.hash_paths(step)),
            environment=sources.environment(step),
        )

    return _pinned(spec, {step.id: pin(step) for step in spec.steps}, git)


def pin_run(workspace: Workspace, folder: RunFolder) -> PipelineSpec:
    """Return the pipeline of a run, pinned to what the run was made of.

    :raises WorkspaceError: where the run has no plan.
    :raises SnapshotError: where a snapshot of the run is no longer stored.
    """
    run, plan = folder.read_run(), folder.read_plan()
    if plan is None or not plan.steps:
        raise WorkspaceError(f"run {run.run} of {run.pipeline} has no plan: it can't be published")
    steps = {step.id: _pin_as_planned(workspace.store, step, plan) for step in run.spec.steps}
    return _pinned(run.spec, steps, run.git)


def _pin_as_planned(store: Store, step: StepSpec, plan: PlanDocument) -> StepSpec:
    found = plan.step(step.id)
    if step.has_source:
        StoredSnapshot(found.snapshot, store).publish(store)
    pinned = PinnedSource(snapshot=found.snapshot, hash_paths=found.hash_paths)
    return msgspec.structs.replace(step, pinned=pinned, environment=found.environment)


def _pinned(spec: PipelineSpec, steps: Mapping[str, StepSpec], git: dict[str, str]) -> PipelineSpec:
    return msgspec.structs.replace(
        spec,
        steps=tuple(steps[step.id] for step in spec.steps),
        base_directory="",
        publication=Publication(id="", name=spec.family, git=git),
    )
