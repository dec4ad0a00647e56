"""Runs the job of a step: inputs, script, outputs, and what is kept of it.

As a program: ``python -m airflow_ml_pipelines.runtime.launcher job.json``, with exit code 0 where the job finished.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from airflow_ml_pipelines.core.errors import (
    DefinitionError,
    MlPipelinesError,
    StoreError,
    explain_os_error,
)
from airflow_ml_pipelines.core.files.archive import unpack_archive
from airflow_ml_pipelines.core.files.manifest import Manifest
from airflow_ml_pipelines.core.files.statcache import NoStatCache, StatCache
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.core.stores.store import Store, check_path
from airflow_ml_pipelines.runtime.attempt import Attempt
from airflow_ml_pipelines.runtime.context import VARIABLE
from airflow_ml_pipelines.runtime.job import Job
from airflow_ml_pipelines.runtime.process import Ended, run_program
from airflow_ml_pipelines.runtime.publishing import PreparedOutput, prepare_outputs, publish_outputs
from airflow_ml_pipelines.runtime.result import JobResult
from airflow_ml_pipelines.runtime.staging import StagedInput, stage_inputs
from airflow_ml_pipelines.runtime.stop import Stop, StoppedError
from airflow_ml_pipelines.runtime.stores import Stores
from airflow_ml_pipelines.runtime.variables import script_variables
from airflow_ml_pipelines.runtime.work import work_folder

__all__ = ["STDERR_MARK", "JobResult", "launch", "main"]

STDERR_MARK = "\x1f"
"""What lines of the standard error begin with in a log that has both; terminals do not show it."""

_BOOTSTRAP = Path(__file__).with_name("bootstrap")
_HANDED_OVER = "/.ml-pipelines"  # where a compute target puts what it hands over into a container


def launch(
    job: Job,
    *,
    open_store: Callable[[str], Store] = open_store,
    on_line: Callable[[str, str], None] = lambda _stream, _line: None,
    canceled: Callable[[], str | None] = lambda: None,
    work_directory: Path | None = None,
    cache: StatCache | None = None,
) -> JobResult:
    """Run a job to its end and return how it ended; that is also written to the attempt's folder as ``result.json``.

    :param open_store: opens the store at a URL, with the credentials that belong to it.
    :param on_line: is told each line that the script writes, with ``stdout`` or ``stderr``, from this thread.
    :param canceled: is asked several times a second; a reason ends the job.
    :param work_directory: where to make the folder that the script works in; None for the system's temporary folder.
    :param cache: what is remembered of files that did not change.
    :raises DataError: where an input is missing, or an output is missing or can't be brought to its destination.
    :raises MlPipelinesError: where a store, the snapshot or the interpreter can't be used.
    """
    with work_folder(work_directory) as folder:
        return _Launch(
            job, Stores(job, open_store), folder, on_line, Stop(canceled), cache or NoStatCache()
        ).run()


@dataclass
class _Launch:
    job: Job
    stores: Stores
    folder: Path
    on_line: Callable[[str, str], None]
    stop: Stop
    cache: StatCache
    started: float = field(default_factory=time.time)
    exit_code: int | None = None
    inputs: dict[str, StagedInput] = field(default_factory=dict)
    outputs: dict[str, PreparedOutput] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """The unpacked snapshot, in which the script runs."""
        return self.folder / "code"

    def run(self) -> JobResult:
        attempt = Attempt(*self.stores.locate(self.job.folder), self.folder / "attempt")
        try:
            outputs = self._run(attempt)
        except StoppedError as error:
            return self._end(attempt, "canceled", str(error))
        except _FailedError as error:
            return self._end(attempt, "failed", str(error))
        except BaseException as error:
            with suppress(MlPipelinesError):  # the first error counts
                self._end(attempt, "failed", str(error) or type(error).__name__)
            if isinstance(error, OSError) and not isinstance(error, MlPipelinesError):
                raise StoreError(f"step {self.job.run.step_name!r}: {explain_os_error(error)}") from error
            raise
        return self._end(attempt, "finished", None, outputs)

    def _end(
        self, attempt: Attempt, status: str, error: str | None, outputs: dict[str, Manifest] | None = None
    ) -> JobResult:
        result = JobResult(
            status=status,  # type: ignore[arg-type]
            exit_code=self.exit_code,
            error=error,
            started=self.started,
            finished=time.time(),
            outputs=outputs or {},
            files=attempt.files(),
        )
        attempt.finish(result)
        return result

    def _run(self, attempt: Attempt) -> dict[str, Manifest]:
        self._unpack()
        attempt.prepare(self.directory)
        try:
            stage_inputs(
                self.job, self.stores, self.folder / "inputs", self.directory, self.stop, self.inputs
            )
            prepare_outputs(self.job, self.stores, self.folder / "outputs", self.directory, self.outputs)
            ended = self._run_script(attempt)
            self._check(ended, attempt)
            return publish_outputs(self.outputs.values(), self.cache, self.stop)
        finally:
            removals = [item.remove for item in self.inputs.values()] + [
                item.remove for item in self.outputs.values()
            ]
            for remove in removals:
                with suppress(OSError):
                    remove()

    def _unpack(self) -> None:
        store, path = self.stores.locate(self.job.source.archive)
        archive = store.local_path(path)
        if archive is None:
            archive = self.folder / "snapshot.zip"
            store.download(path, archive)
        if not os.path.isfile(archive):
            raise StoreError(
                f"the snapshot {self.job.source.archive} is not there: submit the pipeline again"
            )
        unpack_archive(archive, self.directory)
        script = self.directory / check_path(self.job.source.script)
        if not script.is_file():
            raise DefinitionError(
                f"the script {self.job.source.script!r} is not in the snapshot of the source directory: is it ignored?"
            )

    def _run_script(self, attempt: Attempt) -> Ended:
        self.stop.check()
        document = self.folder / "run.json"
        document.write_text(json.dumps(self._context(attempt)))
        inputs = {name: item.value for name, item in self.inputs.items()}
        outputs = {name: item.local for name, item in self.outputs.items()}
        variables = script_variables(
            self.job,
            os.environ,
            context=str(document),
            inputs=inputs,
            outputs=outputs,
            bootstrap=str(_BOOTSTRAP),
        )
        values = {"input": inputs, "output": outputs}
        arguments = [
            "".join(
                text if kind == "text" else values[kind][text]
                for item in argument
                for kind, text in item.items()
            )
            for argument in self.job.arguments
        ]
        # a script's name may begin with a dash
        script = (
            os.path.join(".", self.job.source.script)
            if self.job.source.script[0] == "-"
            else self.job.source.script
        )
        module = () if self.job.source.module is None else ("-m", self.job.source.module)
        return run_program(
            [self.job.interpreter, *module, script, *arguments],
            directory=self.directory,
            variables=variables,
            mark=VARIABLE,
            stdout=attempt.stdout,
            stderr=attempt.stderr,
            on_line=self.on_line,
            stop=self.stop,
            timeout=self.job.timeout,
            secrets=[self.job.variables[name] for name in self.job.secrets if name in self.job.variables],
        )

    def _context(self, attempt: Attempt) -> dict[str, object]:
        """Return what ``Run.get_context()`` knows. No variable's value is in it."""
        job = self.job
        return {
            "schema": 1,
            "run": vars(job.run),
            "workspace": vars(job.workspace),
            "parent_folder": job.parent_folder,
            "folder": str(attempt.folder),
            "events": str(attempt.events),
            "directory": str(self.directory),
            "script": job.source.script,
            "started": self.started,
            "inputs": {
                name: {
                    "mode": item.mode,
                    "value": self.inputs[name].value,
                    "parts": self.inputs[name].parts,
                    "tabular": item.tabular,
                }
                for name, item in job.inputs.items()
            },
            "outputs": {name: item.local for name, item in self.outputs.items()},
            "pipeline_parameters": job.pipeline_parameters,
            "tags": job.tags,
            "properties": job.git,
        }

    def _check(self, ended: Ended, attempt: Attempt) -> None:
        """Keep what the script has left, and go on only where it ended well."""
        self.exit_code = ended.code
        if ended.left:
            self.on_line(
                "stderr", f"[ml-pipelines] the script left {ended.left} process(es) behind, which were ended"
            )
        problem = self._problem(ended)
        try:
            attempt.keep(self.directory)
        except StoreError as error:
            if problem is None and ended.canceled is None:
                raise
            problem = f"{problem}\n{error}" if problem else problem
        if ended.canceled is not None:
            raise StoppedError(ended.canceled)
        if problem is not None:
            raise _FailedError(problem)

    def _problem(self, ended: Ended) -> str | None:
        """Return what is wrong with how the script ended, None where nothing is."""
        script = f"script {self.job.source.script!r}"
        if ended.timed_out:
            return f"{script} was ended since it took longer than its timeout of {self.job.timeout:g} seconds{_tail(ended)}"
        if ended.code < 0:
            return f"{script} was ended by {_signal_name(-ended.code)}{_tail(ended)}"
        return f"{script} ended with exit code {ended.code}{_tail(ended)}" if ended.code else None


class _FailedError(Exception):
    """The script did not end well."""


def _tail(ended: Ended) -> str:
    return ":\n" + "\n".join(ended.tail) if ended.tail else "; it wrote nothing to its standard error"


def _signal_name(number: int) -> str:
    try:
        name = f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"
    return name + ", as the system does when memory runs out" if number == signal.SIGKILL else name


def main(arguments: list[str] | None = None) -> int:
    """Run the job that a file has; what the script writes goes to this process's own streams.

    A second file may have the options of each store by its URL. SIGTERM and SIGINT cancel the job. With ``--merged``
    all goes to the standard output, and lines of the standard error begin with :data:`STDERR_MARK`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    merged = given[:1] == ["--merged"]
    if merged:
        del given[0]
    if len(given) not in (1, 2):
        usage = "usage: python -m airflow_ml_pipelines.runtime.launcher [--merged] job.json [stores.json]"
        print(usage, file=sys.stderr)  # noqa: T201
        return 2
    reasons: list[str] = []

    def cancel(number: int, _: FrameType | None) -> None:
        reasons.append(f"the launcher got {signal.Signals(number).name}")

    def on_line(stream: str, line: str) -> None:
        _say(stream, line, merged=merged)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, cancel)
    try:
        job = Job.from_dict(_read_secret(given[0]))
        options = _read_secret(given[1]) if len(given) > 1 else {}
        result = launch(
            job,
            open_store=lambda url: open_store(url, **options.get(url, {})),
            on_line=on_line,
            canceled=lambda: reasons[0] if reasons else None,
        )
    except (MlPipelinesError, OSError, ValueError) as error:
        on_line("stderr", f"error: {error}")
        return 1
    if result.error:
        on_line("stderr", f"{result.status}: {result.error}")
    return 0 if result.status == "finished" else 1


def _say(stream: str, line: str, *, merged: bool) -> None:
    if stream == "stderr" and not merged:
        print(line, file=sys.stderr, flush=True)  # noqa: T201
    else:
        print(STDERR_MARK + line if stream == "stderr" else line, flush=True)  # noqa: T201


def _read_secret(path: str) -> Any:
    """Return a document that may have secrets, and take it away, so that the script can't read it.

    :raises ValueError: where it is no JSON.
    """
    with open(path, "rb") as file:
        data = file.read()
    if os.path.dirname(path) == _HANDED_OVER:
        with suppress(OSError):
            os.unlink(path)
    try:
        return json.loads(data)
    except ValueError as error:
        raise ValueError(f"{path} is no JSON document: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
