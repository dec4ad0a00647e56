"""The compute target ``local``: the machine of the process that runs the step."""

from __future__ import annotations

from collections.abc import Callable

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec, Workspace
from airflow_ml_pipelines.execution.environments import ensure_environment
from airflow_ml_pipelines.execution.targets.port import Log, OnLine, Owner, Place, Prepared, Reaped, Work
from airflow_ml_pipelines.runtime.job import Job
from airflow_ml_pipelines.runtime.launcher import launch
from airflow_ml_pipelines.runtime.result import JobResult

__all__ = ["LocalTarget"]


class LocalTarget:
    """Runs scripts as processes of this machine, which end with the process that started them."""

    def __init__(self, spec: ComputeTargetSpec) -> None:
        self.name = spec.name

    def check(self) -> None:
        """Return: this machine is there."""

    def identify_image(self, image: str) -> str:  # noqa: ARG002
        """Refuse: scripts run without images here."""
        raise ComputeTargetException(f"compute target {self.name!r} runs scripts without images")

    def prepare(self, environment: EnvironmentSpec, workspace: Workspace, *, log: Log) -> Prepared:
        """Make a virtual environment, where packages are asked for. Images are for targets that run containers."""
        image = "the image of its Dockerfile" if environment.dockerfile else environment.image
        lacks = f"the environment names {image}, and this machine runs the script without" if image else ""
        if lacks:
            log(f"warning: {lacks}: take a compute target that runs containers")
        return Prepared(str(ensure_environment(environment, workspace.cache_directory, log=log)), lacks=lacks)

    def place(self, work: Work) -> None:
        """Return None: the script ends with this process."""

    def start(self, work: Work, *, log: Log) -> _LocalJob:  # noqa: ARG002
        """Return the job, which begins when it is followed."""
        return _LocalJob(work)

    def find(self, place: Place, job: Job, workspace: Workspace) -> None:
        """Return None: no job outlives the process that started it."""

    def reap(self, workspace: Workspace, why: Callable[[Owner], str | None]) -> list[Reaped]:  # noqa: ARG002
        """Return nothing: no job outlives the process that started it."""
        return []


class _LocalJob:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._over = False

    def follow(self, *, on_line: OnLine, canceled: Callable[[], str | None]) -> JobResult:
        try:
            return launch(
                self._work.job,
                open_store=self._work.workspace.open_url,
                on_line=on_line,
                canceled=canceled,
            )
        finally:
            self._over = True

    def is_over(self) -> bool:
        return self._over

    def remove(self) -> None:
        pass
