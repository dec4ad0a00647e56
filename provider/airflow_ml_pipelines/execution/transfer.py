"""Runs data transfers: steps that copy data, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from airflow_ml_pipelines.core.amounts import size_text
from airflow_ml_pipelines.core.errors import MlPipelinesError, StepCanceledError
from airflow_ml_pipelines.core.files.manifest import Manifest
from airflow_ml_pipelines.core.keys.fingerprint import list_data
from airflow_ml_pipelines.core.progress import ProgressLog, told_to
from airflow_ml_pipelines.core.reuse.lease import Lease, acquire_lease
from airflow_ml_pipelines.core.runs.folder import StepDocument
from airflow_ml_pipelines.core.spec import Data, OutputSpec, TransferSpec
from airflow_ml_pipelines.core.steps.decide import Go, StepContext
from airflow_ml_pipelines.core.stores.locations import Found
from airflow_ml_pipelines.core.transfer.copies import Copy
from airflow_ml_pipelines.core.transfer.journal import Journal, NoJournal, StoredJournal, place_key
from airflow_ml_pipelines.core.transfer.plan import (
    Place,
    choose_place,
    list_copies,
    refuse_overlap,
)
from airflow_ml_pipelines.core.transfer.shards import copy_share
from airflow_ml_pipelines.core.transfer.transfer import Transferred, transfer_files
from airflow_ml_pipelines.execution.handover import HandedOver, TakenOver
from airflow_ml_pipelines.execution.job import output_destination
from airflow_ml_pipelines.execution.targets.port import Log, OnLine
from airflow_ml_pipelines.execution.transfer_tables import append_to_table, as_delimited, write_note
from airflow_ml_pipelines.runtime.attempt import Attempt
from airflow_ml_pipelines.runtime.journal import FileJournal
from airflow_ml_pipelines.runtime.result import JobResult
from airflow_ml_pipelines.runtime.stop import Stop, StoppedError
from airflow_ml_pipelines.runtime.work import work_folder

__all__ = ["SOURCE", "TransferKind", "run_share"]

SOURCE = "source"
"""The name of a transfer's one input."""

_WAIT_SECONDS = 0.5


class TransferKind:
    """A step that copies data."""

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._places: dict[str, tuple[str, str]] = {}

    def take_over(self, began: StepDocument | None, go: Go, log: Log) -> TakenOver | None:  # noqa: ARG002
        """Return None: a transfer ends with its process; the next one brings what is missing."""
        return None

    def hand_over(self, go: Go, attempt: int, log: Log) -> HandedOver:  # noqa: ARG002
        """Return the transfer, which begins when it is followed."""
        return HandedOver(_Transfer(self._context, go, attempt, self._places))

    def destination(self, spec: OutputSpec, attempt: int) -> tuple[str, str]:
        """Return the place of what was copied: where one file went into a folder, that of the file."""
        return self._places.get(spec.name) or output_destination(self._context, spec, attempt)


class _Transfer:
    """A transfer that runs in this process.

    :param places: is told where each output has come to lie.
    """

    def __init__(
        self, context: StepContext, go: Go, attempt: int, places: dict[str, tuple[str, str]]
    ) -> None:
        self._context = context
        self._go = go
        self._attempt = attempt
        self._places = places
        self._over = False

    def follow(self, *, on_line: OnLine, canceled: Callable[[], str | None]) -> JobResult:
        started = time.time()
        with work_folder(None) as folder:
            attempt = self._open(folder)
            status, error, outputs = "finished", None, {}
            try:
                outputs = self._run(attempt, folder, _Teller(attempt.stdout, on_line), Stop(canceled))
            except StoppedError as stopped:
                status, error = "canceled", str(stopped)
            except (MlPipelinesError, OSError) as failure:
                status, error = "failed", str(failure)
            finally:
                self._over = True
            result = JobResult(
                status=status,  # type: ignore[arg-type]
                exit_code=None,
                error=error,
                started=started,
                finished=time.time(),
                outputs=outputs,
                files=attempt.files(),
            )
            attempt.finish(result)
            return result

    def is_over(self) -> bool:
        return self._over

    def remove(self) -> None:
        """Do nothing: nothing of it outlives this process."""

    def _open(self, folder: Path) -> Attempt:
        context = self._context
        path = context.folder.attempt_folder(context.step.id, self._attempt)
        return Attempt(context.workspace.store, path, folder / "attempt")

    def _run(
        self, attempt: Attempt, folder: Path, tell: Callable[[str], None], stop: Stop
    ) -> dict[str, Manifest]:
        context = self._context
        spec = context.step.transfer or TransferSpec()
        (output,) = context.step.outputs
        is_own = output.path is None
        datastore, path = output_destination(context, output, self._attempt)
        store = context.workspace.datastore(datastore)
        with told_to(ProgressLog(tell)):
            data = context.inputs[SOURCE].data
            source = list_data(data, context.workspace.datastore, open_url=context.workspace.open_url)
            if spec.table is not None:
                began = time.monotonic()
                note, rows = append_to_table(
                    context, self._go, self._attempt, spec, source, folder, stop.check, tell
                )
                _measure(attempt, rows=rows, seconds=round(time.monotonic() - began, 3))
                return {output.name: write_note(store, path, note)}
            if _is_query(context) and (delimited := as_delimited(source, path, folder)) is not None:
                source = delimited
            place, copies = _lay_out(context, source, datastore, path)
            began = time.monotonic()
            with _held(context, place, is_own=is_own, tell=tell, stop=stop) as (journal, mark):
                done = transfer_files(
                    copies,
                    place,
                    journal,
                    mark,
                    delete_extra=spec.delete_extra,
                    check=stop.check,
                    log=tell,
                )
        self._places[output.name] = (datastore, place.path)
        self._say_what_was_done(attempt, tell, done, time.monotonic() - began)
        return {output.name: done.manifest}

    @staticmethod
    def _say_what_was_done(
        attempt: Attempt, tell: Callable[[str], None], done: Transferred, seconds: float
    ) -> None:
        rate = done.size / max(seconds, 1e-3)
        tell(
            f"copied {done.copied} of {len(done.manifest)} files, {size_text(done.size)} in {seconds:.1f} s "
            f"({size_text(rate)}/s); all are checked"
        )
        _measure(
            attempt,
            files=len(done.manifest),
            files_copied=done.copied,
            files_removed=done.removed,
            bytes=done.manifest.size,
            bytes_copied=done.size,
            seconds=round(seconds, 3),
            bytes_per_second=round(rate),
        )


def _lay_out(
    context: StepContext, source: Sequence[Found], datastore: str, path: str
) -> tuple[Place, list[Copy]]:
    """Return where files go, and which. :raises DataError: where they can't."""
    spec = context.step.transfer or TransferSpec()
    is_own = context.step.outputs[0].path is None
    place = choose_place(
        source,
        context.workspace.datastore(datastore),
        path,
        f"{path!r} on datastore {datastore!r}",
        source_type=spec.source_type,
        target_type=spec.destination_type or ("directory" if is_own else None),
    )
    refuse_overlap(source, place)
    return place, list_copies(source, place, context.workspace.stat_cache)


def run_share(context: StepContext, shard: int, *, log: Log, canceled: Callable[[], str | None]) -> int:
    """Copy a share of what a step transfers; return how many files were copied.

    The step itself comes after all shares: it finds them there, checks them, and brings what is missing.

    :param shard: from 0 on.
    :raises StepCanceledError: where it was canceled.
    :raises MlPipelinesError: naming what could not be copied.
    """
    spec = context.step.transfer or TransferSpec()
    stop = Stop(canceled)
    datastore, path = output_destination(context, context.step.outputs[0], 0)
    try:
        with told_to(ProgressLog(log)):
            data = context.inputs[SOURCE].data
            source = list_data(data, context.workspace.datastore, open_url=context.workspace.open_url)
            place, copies = _lay_out(context, source, datastore, path)
            with _held(context, place, is_own=False, tell=log, stop=stop) as (journal, mark):
                return copy_share(
                    copies,
                    shard,
                    spec.shards,
                    place,
                    journal,
                    mark,
                    delete_extra=spec.delete_extra,
                    check=stop.check,
                    log=log,
                )
    except StoppedError as stopped:
        raise StepCanceledError(f"step {context.step.name!r} was canceled: {stopped}") from None


def _is_query(context: StepContext) -> bool:
    source = context.step.inputs[0].source
    return isinstance(source, Data) and source.query is not None


def _measure(attempt: Attempt, **metrics: float) -> None:
    """Keep metrics of the step."""
    events = FileJournal(str(attempt.events))
    for name, value in metrics.items():
        events.add(kind="metric", name=name, form="value", value=value)


@contextmanager
def _held(
    context: StepContext, place: Place, *, is_own: bool, tell: Callable[[str], None], stop: Stop
) -> Iterator[tuple[Journal, str]]:
    """Keep other transfers from writing to a destination; give its journal, and the mark of what is unfinished there.

    :param is_own: whether it belongs to the attempt, so that no other would.
    """
    key = place_key(place.store, place.path)
    mark = f"transfer-{key[:16]}-"
    if is_own:
        yield NoJournal(), mark
        return
    with _take(context, key, place, tell, stop).kept():
        yield StoredJournal(context.workspace.store, key, place.label), mark


def _take(context: StepContext, key: str, place: Place, tell: Callable[[str], None], stop: Stop) -> Lease:
    """Return the lease of a destination, when no other holds it any more."""
    workspace = context.workspace
    told = False
    while True:
        lease = acquire_lease(workspace.store, key, context.owner, workspace.lease_seconds)
        if isinstance(lease, Lease):
            return lease
        if not told:
            tell(f"waiting for {lease.owner} on {lease.host}, which writes to {place.label}")
            told = True
        stop.check()
        time.sleep(_WAIT_SECONDS)


class _Teller:
    """Tells a line to whoever follows, and keeps it with the attempt."""

    def __init__(self, file: Path, on_line: OnLine) -> None:
        self._file = file
        self._on_line = on_line

    def __call__(self, line: str) -> None:
        with self._file.open("a", encoding="utf-8") as log:
            log.write(line + "\n")
        self._on_line("stdout", line)
