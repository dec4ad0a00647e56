"""A compute target for tests of pipelines: it runs no script, the test says how each step ends.

::

    with FakeComputeTarget({"train": FakeStep(outputs={"model": {"model.txt": b"weights"}})}) as fake:
        run = Experiment(ws, "test").submit(pipeline)
        run.wait_for_completion()
    assert fake.ran == ["prepare", "train"]
    assert fake.arguments("train")[:2] == ["--depth", "8"]

Everything else is real: plan, keys, records, reuse, leases, datasets, the run's folder.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

from airflow_ml_pipelines.core.errors import ComputeTargetException, DefinitionError, did_you_mean
from airflow_ml_pipelines.core.files.digest import digest_bytes
from airflow_ml_pipelines.core.files.manifest import Entry, Manifest
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.core.stores.store import join
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.targets.port import Log, OnLine, Owner, Place, Prepared, Reaped, Work
from airflow_ml_pipelines.execution.targets.registry import using_target
from airflow_ml_pipelines.runtime.job import Job
from airflow_ml_pipelines.runtime.launcher import launch
from airflow_ml_pipelines.runtime.result import JobResult

__all__ = ["FakeComputeTarget", "FakeStep"]


@dataclass(frozen=True)
class FakeStep:
    """How a step ends.

    :param outputs: for each output its files, by their paths; an output that is left out gets no files.
    :param lines: what the script writes to its standard output.
    :param error: why it fails; None where it ends well.
    :param seconds: how long it takes; longer, where its script runs and takes longer.
    :param lost: whether the compute target loses it on the way.
    """

    outputs: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    lines: Sequence[str] = ()
    error: str | None = None
    seconds: float = 0.0
    lost: bool = False


class FakeComputeTarget:
    """Stands for every compute target of this process while its ``with`` block runs.

    :param steps: how steps end, by their ids or names; those that are left out end well at once.
    :param scripts: whether scripts run here, with this interpreter, except of steps that are given ``outputs``.
    :param outlives: whether jobs go on where nobody follows them, as containers do, and can be found again: so a task
        can be deferred, or its worker lost.
    :ivar jobs: the job of each step that ran, in their order.
    :ivar environments: the environment of each step that ran.
    """

    def __init__(
        self,
        steps: Mapping[str, FakeStep] | None = None,
        *,
        scripts: bool = False,
        outlives: bool = False,
    ) -> None:
        self.steps = dict(steps or {})
        self.scripts = scripts
        self.outlives = outlives
        self.jobs: list[Job] = []
        self.environments: list[EnvironmentSpec] = []
        self._running: dict[str, _FakeJob] = {}
        self._lock = threading.Lock()
        self._stack = ExitStack()

    @property
    def ran(self) -> list[str]:
        """The names of the steps that ran, in the order in which they began."""
        return [job.run.step_name for job in self.jobs]

    def job(self, step: str) -> Job:
        """Return the latest job of a step, by its id or name. :raises DefinitionError: where it did not run."""
        for job in reversed(self.jobs):
            if step in (job.run.step, job.run.step_name):
                return job
        raise DefinitionError(f"step {step!r} did not run.{did_you_mean(step, self.ran)}")

    def arguments(self, step: str) -> list[str]:
        """Return the arguments of a step's script; inputs and outputs stand as ``<name>``."""
        return [
            "".join(
                text if kind == "text" else f"<{text}>" for part in argument for kind, text in part.items()
            )
            for argument in self.job(step).arguments
        ]

    @property
    def left(self) -> list[str]:
        """The names of the steps whose jobs are there, running or ended, and not removed."""
        return [job.run.step_name for job in self.jobs if job.folder in self._running]

    def write(self, step: str, *lines: str) -> None:
        """Let the running script of a step, by its id or name, write lines to its standard output."""
        self._running[self.job(step).folder].lines.extend(lines)

    def end(self, step: str) -> None:
        """Let the running script of a step end now."""
        self._running[self.job(step).folder].until = 0.0

    def __enter__(self) -> Self:
        """Take the place of every compute target."""
        self._stack.enter_context(using_target(self))
        return self

    def __exit__(self, *_: object) -> None:
        """Give the place back."""
        self._stack.close()

    # --- as a compute target -------------------------------------------------------------------------------------

    def check(self) -> None:
        """Return: it can always be used."""

    def identify_image(self, image: str) -> str:
        """Return a digest of the name alone: what it stands for never changes."""
        return f"{image.partition('@')[0]}@sha256:{digest_bytes(image.encode())}"

    def prepare(self, environment: EnvironmentSpec, workspace: Workspace, *, log: Log) -> Prepared:  # noqa: ARG002
        """Note the environment; nothing is made."""
        with self._lock:
            self.environments.append(environment)
        return Prepared(sys.executable if self.scripts else "python")

    def place(self, work: Work) -> Place | None:
        """Return the attempt's folder where jobs outlive who follows them, else None."""
        return Place(target="fake", id=work.job.folder) if self.outlives else None

    def start(self, work: Work, *, log: Log) -> _FakeJob:  # noqa: ARG002
        """Note the job and return it."""
        ids = work.job.run
        with self._lock:
            self.jobs.append(work.job)
        step = self.steps.get(ids.step) or self.steps.get(ids.step_name) or FakeStep()
        job = _FakeJob(work, step, self._running, script=self.scripts and not step.outputs)
        self._running[work.job.folder] = job
        return job

    def find(self, place: Place, job: Job, workspace: Workspace) -> _FakeJob | None:  # noqa: ARG002
        """Return the job that was started before, where it was not removed."""
        return self._running.get(place.id)

    def reap(self, workspace: Workspace, why: Callable[[Owner], str | None]) -> list[Reaped]:  # noqa: ARG002
        """Return nothing: no job outlives the process that started it."""
        return []


class _FakeJob:
    def __init__(self, work: Work, step: FakeStep, running: dict[str, _FakeJob], *, script: bool) -> None:
        self.lines = list(step.lines)
        self.until = time.time() + step.seconds
        self._work = work
        self._step = step
        self._running = running
        self._script = script

    def follow(self, *, on_line: OnLine, canceled: Callable[[], str | None]) -> JobResult:
        started = time.time()
        look = self.watch(on_line)
        while (reason := canceled()) is None and not look():
            time.sleep(0.01)
        self.until = 0.0
        look()
        if self._step.lost and reason is None:
            raise ComputeTargetException(f"the job of step {self._work.job.run.step_name!r} is lost")
        error = reason or self._step.error
        if self._script and error is None:
            return launch(
                self._work.job, open_store=self._work.workspace.open_url, on_line=on_line, canceled=canceled
            )
        status = "canceled" if reason else "failed" if error else "finished"
        return JobResult(
            status=status,  # type: ignore[arg-type]
            exit_code=None if reason else int(error is not None),
            error=error,
            started=started,
            finished=time.time(),
            outputs={} if error else {name: self._publish(name) for name in self._work.job.outputs},
        )

    def watch(self, on_line: OnLine) -> Callable[[], bool]:
        told = 0

        def look() -> bool:
            nonlocal told
            over = self.is_over()
            for line in self.lines[told:]:
                on_line("stdout", line)
                told += 1
            return over

        return look

    def is_over(self) -> bool:
        return time.time() >= self.until

    def remove(self) -> None:
        self.until = 0.0
        self._running.pop(self._work.job.folder, None)

    def _publish(self, name: str) -> Manifest:
        output = self._work.job.outputs[name]
        store = self._work.workspace.open_url(output.store)
        entries = []
        for path, data in self._step.outputs.get(name, {}).items():
            target = join(output.path, path)
            store.put(target, data)
            info = store.info(target)
            version = "" if info is None else info.version
            entries.append(Entry(path, len(data), digest_bytes(data), version=version))
        return Manifest.of(entries)
