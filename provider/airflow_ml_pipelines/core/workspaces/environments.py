"""The environments of a workspace: those that its file has, and the versions that code registers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import msgspec

from airflow_ml_pipelines.core.errors import WorkspaceError, did_you_mean
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.core.stores.credentials import check_environment
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces.registry import (
    EnvironmentDocument,
    add_version,
    find_latest,
    read_version,
)

__all__ = ["Environments"]

_CURATED = "AzureML-"


class Environments:
    """Environments by their names.

    :param fixed: those that the workspace's file has; they have no versions and can't be replaced by registering.
    :param where: how an error calls the workspace.
    """

    def __init__(self, fixed: Iterable[EnvironmentSpec], store: Callable[[], Store], where: str) -> None:
        self.fixed: Mapping[str, EnvironmentSpec] = MappingProxyType({spec.name: spec for spec in fixed})
        self._store = store
        self._where = where

    def all(self) -> Mapping[str, EnvironmentSpec]:
        """Return the latest version of each."""
        found = find_latest(self._store(), EnvironmentDocument)
        registered = {document.environment.name: document.environment for document in found}
        return MappingProxyType({**registered, **self.fixed})

    def get(self, name: str, version: str | int | None = None) -> EnvironmentSpec:
        """Return one; see :meth:`~airflow_ml_pipelines.core.workspaces.workspace.Workspace.environment`."""
        if version is None and ":" in name:
            name, _, version = name.rpartition(":")
        fixed = self.fixed.get(name)
        if fixed is not None:
            if version not in (None, "latest"):
                raise WorkspaceError(
                    f"environment {name!r} has no version {version}: {self._where} has it, without versions"
                )
            return fixed
        found = read_version(self._store(), EnvironmentDocument, name, version, self._where)
        if found is not None:
            return found.environment
        if name.startswith(_CURATED):
            return EnvironmentSpec(name=name)
        raise WorkspaceError(
            f"there is no environment {name!r} in {self._where}.{did_you_mean(name, self.all())}"
        )

    def register(self, spec: EnvironmentSpec) -> EnvironmentSpec:
        """Register one; return it with its version, which is the latest one where that equals it.

        :raises WorkspaceError: where it has a secret in it, or the name is fixed.
        """
        if not spec.name or ":" in spec.name:
            raise WorkspaceError(
                f"an environment needs a name without ':' to be registered, not {spec.name!r}"
            )
        check_environment(spec, f"environment {spec.name!r}")
        if spec.name in self.fixed:
            raise WorkspaceError(
                f"environment {spec.name!r} can't be registered: {self._where} has one of that name; "
                "take another name, or change it there"
            )
        return add_version(
            self._store(),
            EnvironmentDocument,
            spec.name,
            same=lambda known: known.environment.digest == spec.digest,
            make=lambda number: EnvironmentDocument(
                environment=msgspec.structs.replace(spec, version=str(number)), created=time.time()
            ),
        ).environment
