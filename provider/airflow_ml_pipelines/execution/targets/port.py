"""What a compute target is, for those that run steps on it and for those that write one.

A step is run in three moves. ``prepare`` makes the environment. ``start`` hands the job over. ``follow`` waits for its
end. Between the last two the process that started it may be lost, or leave the job to Airflow's triggerer: where the
target keeps a job alive without it, the job's *place* was written into the folder of the attempt before the job was
started, and another process finds the job there and follows it on.

A target of one's own is a class that takes a :class:`~airflow_ml_pipelines.core.workspaces.workspace.ComputeTargetSpec`, named by
an entry point of the group ``airflow_ml_pipelines.compute_targets``; the entry point's name is the ``type`` in the
workspace file. ``airflow_ml_pipelines.testing.ComputeTargetContract`` tests it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.runtime.job import Job
from airflow_ml_pipelines.runtime.result import JobResult

__all__ = [
    "SCHEMA",
    "ComputeTarget",
    "Found",
    "Log",
    "OnLine",
    "Owner",
    "Place",
    "Prepared",
    "Reaped",
    "Running",
    "Tidy",
    "Watchable",
    "Work",
]

SCHEMA = 1

Log = Callable[[str], None]
"""Is told what happens, a line at a time."""

OnLine = Callable[[str, str], None]
"""Is told each line that a script writes, with ``stdout`` or ``stderr``."""


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a job runs, as the attempt's folder keeps it (``place.json``). There is no secret in it.

    :param target: the name of the compute target.
    :param id: what the target calls the job: a container's id, a pod's name.
    :param details: what else the target needs to find it.
    """

    schema: int = SCHEMA
    target: str
    id: str
    details: dict[str, str] = {}


@dataclass(frozen=True)
class Prepared:
    """An environment that is ready.

    :param interpreter: what runs the script there: a path, or a command on the ``PATH``.
    :param image: the image that has it, by its digest; "" where there is none.
    :param lacks: what of the environment is not there, so that no other run may take the result; "" for nothing.
    """

    interpreter: str
    image: str = ""
    lacks: str = ""


@dataclass(frozen=True)
class Work:
    """A job that is to be run.

    :param job: complete; the values of its variables may be secret.
    :param prepared: what :meth:`ComputeTarget.prepare` returned for the environment.
    """

    workspace: Workspace
    job: Job
    environment: EnvironmentSpec
    prepared: Prepared


class Found(Protocol):
    """A job that was found again: it can be looked at and removed."""

    def is_over(self) -> bool:
        """Return whether it has ended, without waiting. :raises ComputeTargetException: where that can't be known."""

    def remove(self) -> None:
        """Leave nothing of it behind, within seconds; end it where it runs. What is gone already is no error."""


class Running(Found, Protocol):
    """A job that was handed over."""

    def follow(self, *, on_line: OnLine, canceled: Callable[[], str | None]) -> JobResult:
        """Wait for its end and return how it ended. Where it is found again, lines come from the first one on.

        :param canceled: asked several times a second; a reason ends the job, within seconds.
        :raises MlPipelinesError: where that can't be known.
        """


@runtime_checkable
class Watchable(Running, Protocol):
    """A job whose log can be told while nobody follows it. A target's jobs need not be like that."""

    def watch(self, on_line: OnLine) -> Callable[[], bool]:
        """Return what looks at the job each time it is called, without waiting for anything.

        A look tells the lines that have come since the one before, the first look all of them, and returns whether
        somebody should follow the job now: it has ended, or can't begin.
        A line that has not come whole yet is left to a later look; the last one, where it has no line break, to
        :meth:`follow`.

        :raises ComputeTargetException: where that can't be known; the next look goes on from there.
        """


class Owner(NamedTuple):
    """Which attempt at which step something belongs to."""

    pipeline: str
    run: str
    step: str
    attempt: int

    def __str__(self) -> str:
        """Return it as people call it."""
        return f"attempt {self.attempt} at {self.pipeline}/{self.run}/{self.step}"


class Reaped(NamedTuple):
    """What was removed since nobody needed it any more."""

    id: str
    owner: Owner
    reason: str


class ComputeTarget(Protocol):
    """Where steps run. Every compute target passes the same contract tests."""

    def check(self) -> None:
        """Return where it can be used. :raises ComputeTargetException: where it can't; says what to do."""

    def identify_image(self, image: str) -> str:
        """Return the name by digest of the image that a name stands for now, which the reuse key has.

        It may be ``repository@sha256:…``, or ``sha256:…`` alone; steps are run with it.

        :raises ComputeTargetException: where that can't be told: the step runs, and no other run takes its result.
        """

    def prepare(self, environment: EnvironmentSpec, workspace: Workspace, *, log: Log) -> Prepared:
        """Make an environment ready; at once where it was ready before.

        :raises EnvironmentBuildError: where it can't be made.
        :raises ComputeTargetException: where the target can't be used.
        """

    def place(self, work: Work) -> Place | None:
        """Return where a job will run, before it is started; None where it ends with this process."""

    def start(self, work: Work, *, log: Log) -> Running:
        """Hand a job over. :raises ComputeTargetException: where the target can't take it; nothing is left then."""

    def find(self, place: Place, job: Job, workspace: Workspace) -> Running | None:
        """Find a job again that another process handed over; None where it is gone.

        :param job: as it was kept, so without the values of its variables.
        """

    def reap(self, workspace: Workspace, why: Callable[[Owner], str | None]) -> Iterable[Reaped]:
        """Remove what is left of the workspace's jobs and return it.

        :param why: returns why nobody needs what belongs to an owner; None to leave it.
        """


@runtime_checkable
class Tidy(Protocol):
    """A compute target whose jobs share something that stays when they are gone. A target need not be like that."""

    def tidy(self) -> None:
        """Remove what no job has any more."""
