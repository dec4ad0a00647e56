"""A run of Databricks that runs a step: followed, ended, and what is kept of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from airflow_ml_pipelines.core.canonical import compact_json, pretty_json
from airflow_ml_pipelines.core.databricks.client import DatabricksClient, open_client
from airflow_ml_pipelines.core.errors import (
    ComputeTargetException,
    DataError,
    MlPipelinesError,
    NotFoundError,
)
from airflow_ml_pipelines.core.steps.decide import StepContext
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec
from airflow_ml_pipelines.execution.job import output_destination
from airflow_ml_pipelines.execution.targets.port import Log, OnLine, Place
from airflow_ml_pipelines.runtime.masking import Mask
from airflow_ml_pipelines.runtime.publishing import stored_manifest
from airflow_ml_pipelines.runtime.result import JobResult
from airflow_ml_pipelines.runtime.stop import Stop, StoppedError

__all__ = ["OVER", "DatabricksJob", "DatabricksRun", "find_run", "page_url", "seen_end"]

OVER = frozenset({"TERMINATED", "SKIPPED", "INTERNAL_ERROR"})
"""States of a run that does not go on."""

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_FIRST_PAUSE = 0.2
_GROWTH = 1.5
_LOOK = 0.2
_CANCEL_SECONDS = 10.0
_TRACE_LINES = 30
_LONGEST_EXIT = 10_000


class DatabricksRun:
    """A run of Databricks, which can be looked at and ended.

    :ivar run_id: its id there.
    :ivar url: the address of its page.
    """

    def __init__(self, client: DatabricksClient, place: Place) -> None:
        self.run_id = int(place.details["run_id"])
        self.url = place.details.get("url", "")
        self._client = client

    def is_over(self) -> bool:
        """Return whether it has ended."""
        try:
            return _is_over(self._client.run(self.run_id))
        except NotFoundError:
            return True

    def remove(self) -> None:
        """End it where it runs. Databricks keeps what has ended."""
        with suppress(MlPipelinesError):
            if not self.is_over():
                self._client.cancel(self.run_id)


def find_run(target: ComputeTargetSpec, place: Place) -> DatabricksRun | None:
    """Return the run that an attempt has submitted, None where nobody knows its id: then nobody has seen it begin.

    :raises ComputeTargetException: where nothing says which Databricks workspace it is on.
    """
    return DatabricksRun(open_client(target), place) if "run_id" in place.details else None


class DatabricksJob(DatabricksRun):
    """A run of Databricks that is followed by who has its step.

    :param mask: takes secrets out of what it said.
    """

    def __init__(
        self,
        client: DatabricksClient,
        context: StepContext,
        attempt: int,
        place: Place,
        *,
        poll_interval: float,
        mask: Mask,
        log: Log,
    ) -> None:
        super().__init__(client, place)
        self._mask = mask
        self._context = context
        self._folder = context.folder.attempt_folder(context.step.id, attempt)
        self._attempt = attempt
        self._poll_interval = poll_interval
        self._log = log
        self._files: list[str] = []

    def follow(self, *, on_line: OnLine, canceled: Callable[[], str | None]) -> JobResult:
        """Wait for its end, and return how that came about."""
        started = time.time()
        run, reason = self._wait(canceled)
        outputs: dict[str, Any] = {}
        error: str | None = None
        found = self._outputs(run)
        self._keep(run, found, on_line)
        if reason is not None:
            status = "canceled"
            error = reason
        elif _state(run).get("result_state") == "SUCCESS":
            status = "finished"
            try:
                outputs = self._manifests(canceled)
            except StoppedError as stopped:
                status, error = "canceled", str(stopped)
        else:
            canceled_there = _state(run).get("result_state") == "CANCELED"
            status = "canceled" if canceled_there else "failed"
            error = self._explain(run, found)
        result = JobResult(
            status=status,  # type: ignore[arg-type]
            exit_code=None,
            error=error,
            started=(run.get("start_time") or started * 1000) / 1000,
            finished=time.time(),
            outputs=outputs,
            files=tuple(self._files),
        )
        self._context.workspace.store.put(f"{self._folder}/result.json", compact_json(result.to_dict()))
        return result

    # --- its end -------------------------------------------------------------------------------------------------

    def _wait(self, canceled: Callable[[], str | None]) -> tuple[dict[str, Any], str | None]:
        """Return how it ended, and why it was to end where it was."""
        told, pause = "", _FIRST_PAUSE
        reason: str | None = None
        limit = float("inf")
        while True:
            run = self._run()
            state = _state(run)
            text = self._plain(
                f"{state.get('life_cycle_state', '')} {state.get('state_message') or ''}"
            ).strip()
            if text != told:
                told = text
                self._log(f"run {self.run_id}: {text}")
            if _is_over(run) or time.monotonic() > limit:
                return run, reason
            until = time.monotonic() + pause
            pause = min(pause * _GROWTH, self._poll_interval)
            while time.monotonic() < until:
                if reason is None and (reason := canceled()) is not None:
                    self._client.cancel(self.run_id)
                    limit, pause = time.monotonic() + _CANCEL_SECONDS, _FIRST_PAUSE
                    break
                time.sleep(max(0.0, min(_LOOK, until - time.monotonic())))

    def _run(self) -> dict[str, Any]:
        try:
            return self._client.run(self.run_id)
        except NotFoundError:
            raise ComputeTargetException(
                f"run {self.run_id} of step {self._context.step.name!r} is gone from {self._client.url}: somebody has "
                "deleted it; run the step again"
            ) from None
        except ComputeTargetException as error:
            raise ComputeTargetException(
                f"{error}\nrun {self.run_id} of step {self._context.step.name!r} may still go on: run the step again, and it is "
                f"found again; its page: {self.url}"
            ) from None

    def _outputs(self, run: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what Databricks kept of the output of each task."""
        found = []
        for task in run.get("tasks", ()):
            with suppress(MlPipelinesError):  # a task that never began has none
                found.append(self._client.output(int(task["run_id"])))
        return found

    def _manifests(self, canceled: Callable[[], str | None]) -> dict[str, Any]:
        context = self._context
        found = {}
        for spec in context.step.outputs:
            datastore, path = output_destination(context, spec, self._attempt)
            store = context.workspace.datastore(datastore)
            try:
                found[spec.name] = stored_manifest(store, path, context.workspace.stat_cache, Stop(canceled))
            except DataError as error:
                raise DataError(
                    f"output {spec.name!r} of step {context.step.name!r}: {error}: the step gets its place as the widget or "
                    f"argument {spec.name!r}"
                ) from None
        return found

    # --- what is kept --------------------------------------------------------------------------------------------

    def _keep(self, run: Mapping[str, Any], outputs: list[dict[str, Any]], on_line: OnLine) -> None:
        """Keep in the attempt's folder what the run said: its output, its page, what its notebook exited with."""
        store = self._context.workspace.store
        lines: list[str] = []
        exited: str | None = None
        for output in outputs:
            lines += self._plain(output.get("logs") or "").splitlines()
            notebook = output.get("notebook_output")
            if isinstance(notebook, dict) and "result" in notebook:
                exited = self._plain(notebook["result"])
                if notebook.get("truncated"):
                    self._log("Databricks kept only the beginning of what the notebook exited with")
        for line in lines:
            on_line("stdout", line)
        if lines:
            self._put("logs/stdout.txt", ("\n".join(lines) + "\n").encode())
        if exited is not None:
            self._log(f"the notebook exited with {exited[:200]!r}")
            self._put("outputs/notebook_exit.txt", exited.encode())
        document = {
            "schema": 1,
            "run_id": self.run_id,
            "run_page_url": self.url,
            "state": {name: self._plain(value) for name, value in _state(run).items()},
            "notebook_exit": exited if exited is None or len(exited) <= _LONGEST_EXIT else None,
        }
        store.put(seen_end(self._folder), pretty_json(document))

    def _plain(self, said: Any) -> str:
        """Return what a run said without secrets and without codes for terminals."""
        text = str(said).encode("utf-8", "replace").decode()  # JSON may have halves of characters
        return self._mask.text(_ESCAPES.sub("", text))

    def _put(self, path: str, data: bytes) -> None:
        self._context.workspace.store.put(f"{self._folder}/{path}", data)
        self._files.append(path)

    def _explain(self, run: Mapping[str, Any], outputs: list[dict[str, Any]]) -> str:
        """Return why it failed, as far as Databricks says so."""
        state = _state(run)
        result = state.get("result_state") or state.get("life_cycle_state")
        said = [f"run {self.run_id} of Databricks ended as {result}"]
        if message := state.get("state_message"):
            said.append(self._plain(message))
        for task in run.get("tasks", ()):
            message = _state(task).get("state_message")
            if message and self._plain(message) not in said:
                said.append(self._plain(message))
            said += self._explain_cluster(task)
        text = ": ".join(said)
        for output in outputs:
            if output.get("error"):
                text += f"\n{self._plain(output['error'])}"
            if output.get("error_trace"):
                text += "\n" + "\n".join(self._plain(output["error_trace"]).splitlines()[-_TRACE_LINES:])
        return f"{text}\nits page: {self.url}" if self.url else text

    def _explain_cluster(self, task: Mapping[str, Any]) -> list[str]:
        cluster_id = (task.get("cluster_instance") or {}).get("cluster_id") or task.get("existing_cluster_id")
        if not cluster_id:
            return []
        said = []
        with suppress(MlPipelinesError):
            cluster = self._client.cluster(str(cluster_id))
            reason = cluster.get("termination_reason") or {}
            if (
                cluster.get("state") in ("TERMINATED", "TERMINATING", "ERROR")
                and reason.get("type") != "SUCCESS"
                and reason
            ):
                details = ", ".join(
                    f"{name}={value}" for name, value in (reason.get("parameters") or {}).items()
                )
                said.append(
                    f"its cluster {cluster_id} ended: {reason.get('code')}"
                    + (f" ({details})" if details else "")
                )
            for library in self._client.libraries(str(cluster_id)):
                if library.get("status") == "FAILED":
                    messages = " ".join(library.get("messages", ()))
                    said.append(f"library {library.get('library')} could not be installed: {messages}")
        return said


def page_url(run: Mapping[str, Any]) -> str:
    """Return the address of a run's page, "" where it is none that a browser may be sent to."""
    url = str(run.get("run_page_url") or "")
    return url if url.startswith(("https://", "http://")) and url.isprintable() and " " not in url else ""


def seen_end(folder: str) -> str:
    """Return what an attempt's folder has as soon as somebody has seen the end of its run."""
    return f"{folder}/databricks.json"


def _state(run: Mapping[str, Any]) -> Mapping[str, Any]:
    state: Mapping[str, Any] = run.get("state") or {}
    return state


def _is_over(run: Mapping[str, Any]) -> bool:
    return _state(run).get("life_cycle_state") in OVER
