"""Runs of steps, and what they made."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DataError, NotFoundError, StepFailedError, did_you_mean
from airflow_ml_pipelines.core.layout import step_run_id
from airflow_ml_pipelines.core.runs.folder import StepDocument
from dag_factory._check import checked
from dag_factory.datastores.port_data_reference import PortDataReference
from dag_factory.datastores.transfer import download_objects
from dag_factory.runs.follow import FOREVER, OVER, POLL, say_nothing
from dag_factory.terminal.narrate import narrate_step

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.runs.folder import Origin, OutputDocument
    from airflow_ml_pipelines.core.spec import StepSpec
    from airflow_ml_pipelines.core.stores.store import Store
    from dag_factory.runs.experiment import Experiment
    from dag_factory.runs.run import PipelineRun

__all__ = ["StepRun", "StepRunOutput", "only"]

_STATUS = {
    "waiting": "NotStarted",
    "running": "Running",
    "finished": "Finished",
    "reused": "Finished",
    "failed": "Failed",
    "canceled": "Canceled",
}


def only(found: dict[str, Any], name: str | None) -> dict[str, Any]:
    """Return the entry of a name, everything for None."""
    return found if name is None else {key: value for key, value in found.items() if key == name}


class StepRun:
    """The run of a step.

    :param parent: the run of the pipeline.
    :param step_id: the step's id.
    """

    def __init__(self, parent: PipelineRun, step_id: str) -> None:
        self.parent = parent
        self.step_id = step_id
        self.spec: StepSpec = parent.spec.step(step_id)

    def __repr__(self) -> str:
        return f"StepRun(name={self.name!r}, id={self.id!r}, status={self.get_status()!r})"

    @property
    def document(self) -> StepDocument:
        """How the step went, as it is kept."""
        document = self.parent.folder.read_step(self.step_id)
        return document or StepDocument(step=self.step_id, status="waiting")

    @property
    def id(self) -> str:
        """The id of this run of the step."""
        folder = self.parent.folder
        return step_run_id(folder.pipeline, folder.run, self.step_id, self.document.attempt)

    @property
    def name(self) -> str:
        """The step's name."""
        return self.spec.name

    @property
    def experiment(self) -> Experiment:
        """The experiment that the run belongs to."""
        return self.parent.experiment

    @property
    def status(self) -> str:
        """How the step stands; see :meth:`get_status`."""
        return self.get_status()

    def get_status(self) -> str:
        """Return how the step stands: ``NotStarted``, ``Running``, ``Finished``, ``Failed`` or ``Canceled``."""
        return _STATUS[self.document.status]

    @property
    def is_reused(self) -> bool:
        """Whether it took the outputs of an earlier run."""
        return self.document.status == "reused"

    @property
    def reused_from(self) -> Origin | None:
        """The step run whose outputs it took: its pipeline, run, step, attempt and id. None where it ran itself."""
        return self.document.reused_from

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it ran, or what it was reused from."""
        return self.document.reasons

    @property
    def error(self) -> str | None:
        """What went wrong."""
        return self.document.error

    @checked
    def wait_for_completion(
        self, show_output: bool = True, timeout_seconds: float = FOREVER, raise_on_error: bool = True
    ) -> str:
        """Return when the step has ended, with how it did.

        :param show_output: whether to print what happens.
        :param timeout_seconds: after how long to stop waiting; the step goes on.
        :param raise_on_error: whether a step that failed is an error.
        :raises StepFailedError: where it failed.
        """
        say = print if show_output else say_nothing
        deadline = time.monotonic() + timeout_seconds
        told = ""
        while True:
            run_is_over = self.parent.get_status() in OVER
            document = self.document
            if document.status != told:
                told = document.status
                for line in narrate_step(document, {self.step_id: self.name}):
                    say(line)
            if _STATUS[document.status] in OVER or run_is_over or time.monotonic() >= deadline:
                break
            time.sleep(min(POLL / 5, max(0.0, deadline - time.monotonic())))
        if raise_on_error and document.status == "failed":
            raise StepFailedError(document.error or f"step {self.name!r} failed")
        return _STATUS[document.status]

    # --- what it made --------------------------------------------------------------------------------------------

    def get_outputs(self) -> dict[str, StepRunOutput]:
        """Return every output by its name; those of an earlier run where the step is reused.

        :raises DataError: where the step has not ended well.
        """
        document = self.document
        if not document.ended_well:
            raise DataError(
                f"step {self.name!r} has no outputs, it is {document.status}"
                + (f": {document.error}" if document.error else "")
            )
        return {name: StepRunOutput(self, name, output) for name, output in document.outputs.items()}

    @checked
    def get_output(self, name: str) -> StepRunOutput:
        """Return an output by its name. :raises DataError: where there is none, or the step has not made it."""
        outputs = self.get_outputs()
        if name not in outputs:
            raise DataError(f"step {self.name!r} has no output {name!r}.{did_you_mean(name, outputs)}")
        return outputs[name]

    @checked
    def get_output_data(self, name: str) -> PortDataReference:
        """Return where an output lies. :raises DataError: where there is none, or the step has not made it."""
        return self.get_output(name).get_port_data_reference()

    @checked
    def get_metrics(self, name: str | None = None) -> dict[str, Any]:
        """Return what the script logged; that of the earlier run where the step is reused.

        :param name: of this name only.
        """
        from airflow_ml_pipelines.core.metrics import read_metrics

        return only(read_metrics(self.read_events()), name)

    def get_tags(self) -> dict[str, str]:
        """Return the labels that the script gave its run."""
        from airflow_ml_pipelines.core.metrics import read_tags

        return read_tags(self.read_events())

    def get_properties(self) -> dict[str, str]:
        """Return facts about the step's run, with those that the script added."""
        from airflow_ml_pipelines.core.metrics import read_properties

        found = read_properties(self.read_events())
        origin = self.reused_from
        if origin is not None:
            found |= {
                "azureml.isreused": "true",
                "azureml.reusedrunid": origin.id,
                "azureml.reusedpipelinerunid": origin.run,
            }
        return found

    def read_events(self) -> list[dict[str, Any]]:
        """Return what the script logged, in order; see :mod:`airflow_ml_pipelines.core.metrics`."""
        from airflow_ml_pipelines.core.metrics import read_events

        return read_events(self._read("metrics.jsonl"))

    # --- logs and files ------------------------------------------------------------------------------------------

    def get_stdout_log(self) -> str:
        """Return what the script wrote to its standard output."""
        return self._read("logs/stdout.txt").decode("utf-8", "replace")

    def get_stderr_log(self) -> str:
        """Return what the script wrote to its standard error."""
        return self._read("logs/stderr.txt").decode("utf-8", "replace")

    def get_job_log(self) -> str:
        """Return the job that was run, as a JSON document without the values of variables."""
        return self._read("job.json").decode("utf-8", "replace")

    def get_details(self) -> dict[str, Any]:
        """Return all that is known of the step's run, as a dict."""
        import msgspec

        return {
            "runId": self.id,
            "status": self.get_status(),
            "properties": self.get_properties(),
            **msgspec.to_builtins(self.document),
        }

    def get_details_with_logs(self) -> dict[str, Any]:
        """Return all that is known of the step's run and the text of its logs, as a dict."""
        logs = {
            name: self._read(name).decode("utf-8", "replace")
            for name in self.get_file_names()
            if name.startswith("logs/")
        }
        return {**self.get_details(), "logFiles": logs}

    def get_file_names(self) -> list[str]:
        """Return the path of each file that the run kept: logs, and what the script put into ``./outputs``."""
        folder = self.document.folder
        if not folder:
            return []
        names = (info.path.removeprefix(f"{folder}/") for info in self._store.walk(folder))
        return sorted(name for name in names if name.startswith(("logs/", "outputs/")))

    @checked
    def download_file(self, name: str, output_file_path: str | os.PathLike[str] | None = None) -> None:
        """Download a file that the run kept.

        :param name: one of :meth:`get_file_names`.
        :param output_file_path: where to; the file's name in the current folder if left out.
        :raises DataError: where there is no such file.
        """
        known = self.get_file_names()
        if name not in known:
            raise DataError(f"step {self.name!r} kept no file {name!r}.{did_you_mean(name, known)}")
        target = Path(output_file_path or Path(name).name)
        if target.is_dir():
            target /= Path(name).name
        item = (self._store, f"{self.document.folder}/{name}", target)
        download_objects([item], f"step {self.name!r}", overwrite=True, show_progress=False)

    @property
    def _store(self) -> Store:
        return self.parent.workspace.core.store

    def _read(self, name: str) -> bytes:
        folder = self.document.folder
        if folder:
            with suppress(NotFoundError):
                return self._store.get(f"{folder}/{name}")
        return b""


class StepRunOutput:
    """An output of a step's run."""

    def __init__(self, step_run: StepRun, name: str, document: OutputDocument) -> None:
        self.step_run = step_run
        self.name = name
        self.document = document

    def __repr__(self) -> str:
        return f"StepRunOutput({self.name!r}, {self.document.files} files, {self.document.size} bytes)"

    @property
    def files(self) -> int:
        """How many files it has."""
        return self.document.files

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.document.size

    def get_port_data_reference(self) -> PortDataReference:
        """Return where it lies."""
        return PortDataReference(self.step_run.parent.workspace, self.document)
