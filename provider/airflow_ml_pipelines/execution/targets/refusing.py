"""A compute target that takes no launcher's jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.targets.port import Log, Owner, Place, Prepared, Reaped, Work
from airflow_ml_pipelines.runtime.job import Job

__all__ = ["RefusingTarget"]


class RefusingTarget:
    """Says why it runs no scripts.

    :param refusal: what is said.
    """

    def __init__(self, refusal: str) -> None:
        self._refusal = refusal

    def check(self) -> None:
        """Refuse."""
        self._refuse()

    def prepare(self, environment: EnvironmentSpec, workspace: Workspace, *, log: Log) -> Prepared:  # noqa: ARG002
        """Refuse."""
        self._refuse()

    def place(self, work: Work) -> None:  # noqa: ARG002
        """Refuse."""
        self._refuse()

    def start(self, work: Work, *, log: Log) -> NoReturn:  # noqa: ARG002
        """Refuse."""
        self._refuse()

    def find(self, place: Place, job: Job, workspace: Workspace) -> None:
        """Return None: there is no job."""

    def reap(self, workspace: Workspace, why: Callable[[Owner], str | None]) -> list[Reaped]:  # noqa: ARG002
        """Return nothing: there is nothing that could be removed."""
        return []

    def _refuse(self) -> NoReturn:
        raise ComputeTargetException(self._refusal)
