"""Jobs that are left alone for a while: found again by the run's folder, taken up by one, ended by another.

A worker that leaves a job writes ``left.json`` into the attempt's folder: a time of its own, and how much of the log was
told. Who takes the job up, who ends it since its task was killed, and who finds it there though its task was run anew,
says so by creating one document; the first one counts, so that a job is never ended that a task has just taken up.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import DocumentError, NotFoundError
from airflow_ml_pipelines.core.reuse.lease import release_lease
from airflow_ml_pipelines.core.runs.folder import RunFolder, StepDocument
from airflow_ml_pipelines.core.steps.decide import StepContext
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.places import remove_job
from airflow_ml_pipelines.execution.targets.port import SCHEMA, OnLine

__all__ = [
    "Left",
    "LeftJob",
    "Told",
    "canceled_step",
    "end_left",
    "leave_job",
    "read_left",
    "settle",
    "settled",
    "wait_until_ended",
    "write_left",
]

_PATIENCE = 10.0

How = Literal["taken up", "killed", "run anew"]


class Word(NamedTuple):
    """How a time ends in which a job is left alone.

    :param is_mine: whether who asks has said so.
    """

    how: How
    is_mine: bool


class _WordDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    schema: int = SCHEMA
    how: How
    done: bool = False


class Left(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A time in which a job is left alone, and how much of its log was told.

    :param id: of this time.
    :param stdout: how many lines of its standard output were told; so is ``stderr``.
    """

    schema: int = SCHEMA
    id: str
    stdout: int = 0
    stderr: int = 0


class LeftJob(NamedTuple):
    """A job that was left alone.

    :param id: of the time.
    :param lease_key: of the lease that is kept meanwhile.
    :param owner: of the lease.
    """

    pipeline: str
    run: str
    step: str
    attempt: int
    id: str
    lease_key: str
    owner: str

    def run_folder(self, store: Store) -> RunFolder:
        """Return the folder of its run."""
        return RunFolder(store, self.pipeline, self.run)

    def folder(self, store: Store) -> str:
        """Return the folder of its attempt, under the workspace's root."""
        return self.run_folder(store).attempt_folder(self.step, self.attempt)


@dataclass
class Told:
    """Tells the lines of a log from where another has stopped; counts what was told since its beginning.

    :param skip: how many lines of each stream were told before; what is told comes from the first one on.
    """

    on_line: OnLine
    stdout: int = 0
    stderr: int = 0

    def __post_init__(self) -> None:
        self._skip = {"stdout": self.stdout, "stderr": self.stderr}

    def __call__(self, stream: str, line: str) -> None:
        """Take a line."""
        if self._skip[stream]:
            self._skip[stream] -= 1
            return
        self.on_line(stream, line)
        if stream == "stderr":
            self.stderr += 1
        else:
            self.stdout += 1


def leave_job(context: StepContext, document: StepDocument, told: Told, lease_key: str) -> LeftJob:
    """Write that the job of an attempt is left alone from now on."""
    left = Left(id=secrets.token_hex(8), stdout=told.stdout, stderr=told.stderr)
    write_left(context.workspace.store, document.folder, left)
    run = context.run
    return LeftJob(run.pipeline, run.run, document.step, document.attempt, left.id, lease_key, context.owner)


def write_left(store: Store, folder: str, left: Left) -> None:
    """Write how much of a job's log was told."""
    store.put(f"{folder}/left.json", write_document(left))


def read_left(store: Store, folder: str) -> Left | None:
    """Return the latest time in which an attempt's job was left alone, None where it never was."""
    path = f"{folder}/left.json"
    try:
        return read_document(store.get(path), Left, what=path, schema=SCHEMA)
    except (NotFoundError, DocumentError):
        return None


def settle(store: Store, folder: str, left_id: str, how: How) -> Word:
    """Say how such a time ends, and return how it does: as who came first has said."""
    path = _word_path(folder, left_id)
    if store.create(path, write_document(_WordDocument(how=how))):
        return Word(how, is_mine=True)
    kept = _read_word(store, path)
    return Word(how if kept is None else kept.how, is_mine=False)


def settled(store: Store, folder: str, left_id: str) -> How | None:
    """Return how such a time has ended, None where it goes on."""
    kept = _read_word(store, _word_path(folder, left_id))
    return None if kept is None else kept.how


def wait_until_ended(store: Store, folder: str, left_id: str) -> None:
    """Wait until who has said that a job was killed has ended it; not for long, where that process was lost."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        kept = _read_word(store, _word_path(folder, left_id))
        if kept is None or kept.how != "killed" or kept.done:
            return
        time.sleep(0.1)


def _word_path(folder: str, left_id: str) -> str:
    return f"{folder}/left-{left_id}.json"


def _read_word(store: Store, path: str) -> _WordDocument | None:
    try:
        return read_document(store.get(path), _WordDocument, what=path, schema=SCHEMA)
    except NotFoundError:
        return None


def end_left(
    workspace: Workspace, job: LeftJob, reason: str, *, log: Callable[[str], None] = lambda _: None
) -> bool:
    """End a job whose task was killed, and return whether it was still left alone.

    Whoever comes next finds the attempt canceled, also where the job itself can't be reached from here.

    :raises MlPipelinesError: where it can't be reached: then who can may end it, at the latest the reaper.
    """
    store = workspace.store
    folder = job.folder(store)
    word = settle(store, folder, job.id, "killed")
    if word.how != "killed":
        return False
    try:
        if remove_job(workspace, folder):
            log(f"ended what ran of step {job.step!r}: {reason}")
    finally:
        if word.is_mine:
            _cancel(job.run_folder(store), job, reason)
            release_lease(store, job.lease_key, job.owner)
            store.put(_word_path(folder, job.id), write_document(_WordDocument(how="killed", done=True)))
    return True


def _cancel(run: RunFolder, job: LeftJob, reason: str) -> None:
    document = run.read_step(job.step)
    if document is not None and document.status == "running" and document.attempt == job.attempt:
        run.write_step(canceled_step(document, reason))


def canceled_step(document: StepDocument, reason: str) -> StepDocument:
    """Return how a step stands that was ended for a reason."""
    return msgspec.structs.replace(document, status="canceled", finished=time.time(), error=reason)
