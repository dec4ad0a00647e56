"""A pod that runs a job: waited for, followed, ended, removed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from airflow_ml_pipelines.core.errors import ComputeTargetException, NotFoundError
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.targets.cluster import Cluster
from airflow_ml_pipelines.execution.targets.lines import MergedLines
from airflow_ml_pipelines.execution.targets.log_window import LogWindow
from airflow_ml_pipelines.execution.targets.pod_spec import CONTAINER
from airflow_ml_pipelines.execution.targets.port import OnLine
from airflow_ml_pipelines.execution.targets.results import ended_without_result, read_result
from airflow_ml_pipelines.runtime.job import Job
from airflow_ml_pipelines.runtime.process import GRACE_SECONDS
from airflow_ml_pipelines.runtime.result import JobResult

__all__ = ["PodJob"]

_LOOK = 0.2
_POLL = 1.0
_BACK = 15
_PIECES = 256
_LOG_TIMEOUT = (30, 3600)
"""Seconds until the log has to begin, and that it may be silent before it is asked for again."""
_GRACE = int(GRACE_SECONDS) + 1
_PULL_PATIENCE = 30.0
_OVER = ("Succeeded", "Failed")
_PULL = ("ErrImagePull", "ImagePullBackOff")
_HOPELESS = ("InvalidImageName", "CreateContainerConfigError", "CreateContainerError", "RunContainerError")


class PodJob:
    """A pod that runs a job.

    :param limit: the memory that it may take, to be named where that was too little.
    :param made: when it was made, where that was not now.
    """

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        job: Job,
        workspace: Workspace,
        *,
        startup_timeout: float,
        limit: str | None,
        made: float | None = None,
    ) -> None:
        self.name = name
        self._cluster = cluster
        self._job = job
        self._workspace = workspace
        self._startup_timeout = startup_timeout
        self._limit = limit
        self._made = made or time.time()
        self._silent = ""

    def follow(self, *, on_line: OnLine, canceled: Callable[[], str | None]) -> JobResult:
        """Tell what it writes until it has ended, and return how that came about."""
        started = time.time()
        lines = MergedLines(on_line)
        reason = self._wait_for_start(canceled)
        if reason is not None:
            self._delete(0)
            return ended_without_result(started, canceled=reason, what="")
        seen, over, told = 0, False, ""
        while True:
            reason, count = self._tell(lines, canceled, seen, reason)
            seen += count
            if self._silent and not (over or told):
                told = self._silent
                on_line("stderr", f"({told})")
            if over and not count:  # a log that is followed may be cut short when the container ends
                break
            pod = self._read()
            if pod is None:
                break
            over = _is_over(pod)
            if not (over or count):  # it is being ended, or its log can't be read
                time.sleep(_LOOK)
                if reason is None and (reason := canceled()) is not None:
                    self._delete(_GRACE)
        lines.close()
        return self._result(started, reason, pod, lines)

    def watch(self, on_line: OnLine) -> Callable[[], bool]:
        """Return what tells the lines that are new, and whether it has ended or can't start."""
        lines, window = MergedLines(on_line), LogWindow()
        read = time.monotonic()

        def look() -> bool:
            nonlocal read
            pod = self._read()
            if pod is None or pod.status.phase not in ("Running", *_OVER):
                return pod is None or self._is_stuck(pod)
            begun = time.monotonic()
            since = None if window.since is None else int(begun - read) + _BACK
            with suppress(
                ComputeTargetException
            ):  # what is not told now is told later: the pod's state counts
                for _, text in window.new(("", entry) for entry in self._stamped(since)):
                    lines.add(text)
                read = begun
            return _is_over(pod)

        return look

    def is_over(self) -> bool:
        """Return whether it has ended."""
        pod = self._read()
        return pod is None or _is_over(pod)

    def remove(self) -> None:
        """Remove the pod and its Secret. Where the cluster is away they are left to the reaper."""
        self._delete(0)
        with suppress(ComputeTargetException, NotFoundError), self._cluster.errors("remove a Secret"):
            self._cluster.api.delete_namespaced_secret(self.name, self._cluster.namespace)

    # --- until it runs -------------------------------------------------------------------------------------------

    def _wait_for_start(self, canceled: Callable[[], str | None]) -> str | None:
        """Wait until it runs or has ended; return why it is to end before.

        :raises ComputeTargetException: where it won't run.
        """
        pull_since: float | None = None
        next_look, pause = 0.0, _LOOK
        while (reason := canceled()) is None:
            if time.monotonic() < next_look:
                time.sleep(_LOOK)
                continue
            next_look = time.monotonic() + pause
            pause = min(pause * 1.5, _POLL)
            pod = self._read()
            if pod is None or pod.status.phase in ("Running", *_OVER):
                return None
            kind, text = _waiting(pod)
            pull_since = (pull_since or time.monotonic()) if kind in _PULL else None
            if kind in _HOPELESS or (
                pull_since is not None
                and time.monotonic() - pull_since > min(_PULL_PATIENCE, self._startup_timeout)
            ):
                raise ComputeTargetException(
                    f"{self._cluster.where}: pod {self.name} can't start: {kind}: {text}: check the image's name, its registry "
                    "and image_pull_secrets"
                )
            if time.time() - self._made > self._startup_timeout:
                why = _unschedulable(pod) or f"{kind or pod.status.phase}: {text}"
                raise ComputeTargetException(
                    f"{self._cluster.where}: pod {self.name} did not start within {self._startup_timeout:g} seconds: {why}: ask "
                    "for less (cpus, memory, gpus, node_selector), add nodes, or raise startup_timeout"
                )
        return reason

    def _is_stuck(self, pod: Any) -> bool:
        kind, _ = _waiting(pod)
        return kind in (*_HOPELESS, *_PULL) or time.time() - self._made > self._startup_timeout

    # --- while it runs -------------------------------------------------------------------------------------------

    def _tell(
        self, lines: MergedLines, canceled: Callable[[], str | None], seen: int, reason: str | None
    ) -> tuple[str | None, int]:
        """Tell the log from a byte on until it ends; return why the job is to end, and how many bytes came."""
        pieces: queue.Queue[bytes | None] = queue.Queue(_PIECES)
        threading.Thread(target=self._log, args=(pieces,), name=f"log {self.name}", daemon=True).start()
        skip, count = seen, 0
        while True:
            with suppress(queue.Empty):
                piece = pieces.get(timeout=_LOOK)
                if piece is None:
                    return reason, count
                left = piece[skip:]
                skip = max(0, skip - len(piece))
                lines.add(left)
                count += len(left)
            if reason is None and (reason := canceled()) is not None:
                self._delete(_GRACE)

    def _log(self, pieces: queue.Queue[bytes | None]) -> None:
        try:
            with self._cluster.errors("read the log of a pod"):
                response = self._cluster.api.read_namespaced_pod_log(
                    self.name,
                    self._cluster.namespace,
                    container=CONTAINER,
                    follow=True,
                    _preload_content=False,
                    _request_timeout=_LOG_TIMEOUT,
                )
                try:
                    for piece in response.stream(1 << 16):
                        pieces.put(piece)
                finally:
                    response.close()
                    response.release_conn()
        except (ComputeTargetException, NotFoundError) as error:
            # what the cluster says of the pod counts, and that it is told once why there is no log
            self._silent = str(error)
        finally:
            pieces.put(None)

    def _stamped(self, since: int | None) -> Iterator[bytes]:
        """Yield the lines that are there, each with its time stamp; those of the last seconds where ``since`` is given."""
        options = {} if since is None else {"since_seconds": since}
        with suppress(NotFoundError), self._cluster.errors("read the log of a pod"):
            response = self._cluster.api.read_namespaced_pod_log(
                self.name,
                self._cluster.namespace,
                container=CONTAINER,
                timestamps=True,
                _preload_content=False,
                _request_timeout=30,
                **options,
            )
            rest = b""
            try:
                for piece in response.stream(1 << 16):
                    *entries, rest = (rest + piece).split(b"\n")
                    for entry in entries:
                        yield entry + b"\n"
            finally:
                response.close()
                response.release_conn()

    def _read(self) -> Any:
        """Return the pod, None where it is gone."""
        api = self._cluster.api
        try:
            with self._cluster.errors("tell how a pod stands"):
                return api.read_namespaced_pod(self.name, self._cluster.namespace, _request_timeout=30)
        except NotFoundError:
            return None

    def _delete(self, grace: int) -> None:
        with suppress(ComputeTargetException, NotFoundError), self._cluster.errors("end a pod"):
            self._cluster.api.delete_namespaced_pod(
                self.name, self._cluster.namespace, grace_period_seconds=grace
            )

    # --- when it has ended ---------------------------------------------------------------------------------------

    def _result(self, started: float, reason: str | None, pod: Any, lines: MergedLines) -> JobResult:
        result = read_result(self._workspace, self._job)
        ended = None if pod is None else _terminated(pod)
        if result is None:
            what = _how(pod, ended, reason)
            result = ended_without_result(started, canceled=reason, what=what, tail=lines.tail)
        elif result.status == "canceled" and reason is not None:
            result = replace(result, error=reason)
        memory = ended is not None and ended.reason == "OOMKilled"
        if memory and result.status == "failed":
            grow = f" of {self._limit}" if self._limit else ""
            text = f"the memory{grow} of the pod was too little: raise `memory` of the compute target"
            result = replace(result, error=f"{text}. {result.error}")
        return result


def _how(pod: Any, ended: Any, reason: str | None) -> str:
    if pod is None:
        return (
            "its pod was removed" if reason else "its pod was removed by somebody else, or its node is gone"
        )
    if pod.status.reason == "Evicted":
        return f"its pod was evicted from its node ({pod.status.message}): ask for what it takes (memory), or run it again"
    if ended is None:
        return f"its pod ended as {pod.status.phase}: {pod.status.reason or ''} {pod.status.message or ''}".strip()
    return f"its pod ended with exit code {ended.exit_code} ({ended.reason})"


def _is_over(pod: Any) -> bool:
    """Return whether the script's container has ended; others, such as a proxy's, may go on for ever."""
    return pod.status.phase in _OVER or _terminated(pod) is not None


def _state(pod: Any) -> Any:
    for status in pod.status.container_statuses or ():
        if status.name == CONTAINER:
            return status.state
    return None


def _terminated(pod: Any) -> Any:
    state = _state(pod)
    return None if state is None else state.terminated


def _waiting(pod: Any) -> tuple[str, str]:
    state = _state(pod)
    if state is None or state.waiting is None:
        return "", ""
    return state.waiting.reason or "", state.waiting.message or ""


def _unschedulable(pod: Any) -> str | None:
    for condition in pod.status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return f"{condition.reason}: {condition.message}"
    return None
