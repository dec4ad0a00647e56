"""What steps are made of outside of the definition: their source directories, further paths and environments."""

from __future__ import annotations

from pathlib import Path

from airflow_ml_pipelines.core.errors import DefinitionError, SnapshotError
from airflow_ml_pipelines.core.progress import measured
from airflow_ml_pipelines.core.spec import EnvironmentSpec, StepSpec
from airflow_ml_pipelines.core.steps.snapshot import (
    NoSnapshot,
    Snapshot,
    StoredSnapshot,
    digest_paths,
    take_snapshot,
)
from airflow_ml_pipelines.core.stores.credentials import check_environment
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["Sources"]


class Sources:
    """The source directories of a pipeline's steps, each looked at once.

    :param base_directory: what relative source directories are relative to.
    """

    def __init__(self, workspace: Workspace, base_directory: str) -> None:
        self._workspace = workspace
        self._base = base_directory
        self._snapshots: dict[tuple[Path, tuple[str, ...]], Snapshot] = {}
        self._archives: dict[str, str] = {}

    def snapshot(self, step: StepSpec) -> Snapshot | StoredSnapshot | NoSnapshot:
        """Return a step's source directory as it is now, or as it was pinned.

        :raises MlPipelinesError: where there is no such directory, or no script in it.
        """
        if not step.has_source:
            return NoSnapshot()
        if step.pinned is not None:
            return StoredSnapshot(step.pinned.snapshot, self._workspace.store)
        source = self._directory(step)
        known = self._snapshots.get((source, step.ignore))
        if known is None:
            try:
                with measured(f"looking at {source}"):
                    known = take_snapshot(source, ignore=step.ignore, cache=self._workspace.stat_cache)
            except SnapshotError as error:
                raise SnapshotError(f"step {step.name!r}: {error}") from None
            self._snapshots[source, step.ignore] = known
        if not (source / step.script).is_file():
            raise DefinitionError(
                f"step {step.name!r}: there is no script {step.script!r} in {source}: "
                "give a path relative to source_directory"
            )
        return known

    def archive(self, snapshot: Snapshot | StoredSnapshot | NoSnapshot) -> str:
        """Return where a snapshot is stored, after it is.

        :raises SnapshotError: where its files have changed meanwhile, or what was stored is gone.
        """
        if snapshot.digest not in self._archives:
            self._archives[snapshot.digest] = snapshot.publish(self._workspace.store)
        return self._archives[snapshot.digest]

    def hash_paths(self, step: StepSpec) -> dict[str, str]:
        """Return the digest of each of a step's ``hash_paths``. :raises SnapshotError: where one is missing."""
        if step.pinned is not None:
            return step.pinned.hash_paths
        if not step.hash_paths:
            return {}
        return digest_paths(self._directory(step), step.hash_paths, self._workspace.stat_cache)

    def code(self, step: StepSpec) -> dict[str, str]:
        """Return the digest of what a step runs that lies elsewhere. :raises MlPipelinesError: where it is missing."""
        if step.databricks is None:
            return {}
        from airflow_ml_pipelines.core.databricks.code import digest_code

        return digest_code(self._workspace, step)

    def environment(self, step: StepSpec) -> EnvironmentSpec:
        """Return a step's environment, with its name resolved. :raises WorkspaceError: where there is none."""
        if isinstance(step.environment, EnvironmentSpec):
            check_environment(step.environment, f"environment of step {step.name!r}")
            return step.environment
        name, _, version = step.environment.partition(":")
        return self._workspace.environment(name, version or None)

    def _directory(self, step: StepSpec) -> Path:
        return Path(self._base, step.source_directory)
