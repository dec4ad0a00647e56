"""Runs a whole pipeline in this process: the same plan, keys, records and leases as on a scheduler."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from airflow_ml_pipelines.core.errors import MlPipelinesError, StepCanceledError, StoreError, explain_os_error
from airflow_ml_pipelines.core.plans.plan import make_plan
from airflow_ml_pipelines.core.runs.folder import (
    PlanDocument,
    RunDocument,
    RunFolder,
    RunStatus,
    StepDocument,
)
from airflow_ml_pipelines.core.steps.decide import Hit, Wait, decide, open_step
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.step import run_step
from airflow_ml_pipelines.execution.targets.pools import max_nodes

__all__ = ["Listener", "RunOutcome", "run_pipeline"]

_POLL = 0.25
_LONGEST_POLL = 2.0


class Listener(Protocol):
    """Is told how a run goes on, from any thread."""

    def on_plan(self, plan: PlanDocument) -> None:
        """What the run is going to do."""

    def on_step(self, document: StepDocument) -> None:
        """A step's state changed."""

    def on_line(self, step: str, stream: str, line: str) -> None:
        """A step's script wrote a line; ``stream`` is ``stdout``, ``stderr`` or ``log`` for what is said about it."""


class _Silent:
    def on_plan(self, plan: PlanDocument) -> None:
        pass

    def on_step(self, document: StepDocument) -> None:
        pass

    def on_line(self, step: str, stream: str, line: str) -> None:
        pass


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    :param errors: the error of each step that failed.
    """

    folder: RunFolder
    status: RunStatus
    steps: Mapping[str, StepDocument]
    errors: Mapping[str, str]


def run_pipeline(
    workspace: Workspace,
    run: RunDocument,
    *,
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
    parallel: int | None = None,
) -> RunOutcome:
    """Run a pipeline in this process and return when it has ended.

    :param cancel: set it to end the run.
    :param parallel: how many scripts may run at once; None for one a processor.
    :raises MlPipelinesError: where the run could not begin. A step that fails is no exception, it is in the outcome.
    """
    return _Runner(workspace, run, listener or _Silent(), cancel or threading.Event(), parallel).run_all()


class _Runner:
    def __init__(
        self,
        workspace: Workspace,
        run: RunDocument,
        listener: Listener,
        cancel: threading.Event,
        parallel: int | None,
    ) -> None:
        self.workspace = workspace
        self.run = run
        self.listener = listener
        self.cancel = cancel
        self.folder = RunFolder(workspace.store, run.pipeline, run.run)
        self.places = threading.Semaphore(parallel or os.cpu_count() or 1)
        self.nodes = _nodes(workspace, run)
        self.errors: dict[str, str] = {}

    def run_all(self) -> RunOutcome:
        plan = make_plan(self.workspace, self.run)
        self.listener.on_plan(plan)
        done = {item.step for item in plan.steps if item.decision == "reuse"}
        left = [step for step in self.run.spec.steps if step.id not in done]
        states: dict[str, StepDocument] = {}
        if left:
            self._run_steps(left, done, states)
        status = self._status(states)
        error = "; ".join(self.errors.values()) or None
        self.folder.write_result(status, error)
        return RunOutcome(self.folder, status, self.folder.steps(), self.errors)

    def _run_steps(self, left: list[Any], done: set[str], states: dict[str, StepDocument]) -> None:
        running: dict[Future[StepDocument], str] = {}
        with ThreadPoolExecutor(max_workers=min(len(left), 64), thread_name_prefix="step") as pool:
            try:
                while True:
                    if not self._is_over():
                        for step in [step for step in left if done.issuperset(step.upstream)]:
                            left.remove(step)
                            running[pool.submit(copy_context().run, self._step, step.id)] = step.id
                    if not running:
                        break
                    ended, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in ended:
                        step_id = running.pop(future)
                        document = future.result()
                        states[step_id] = document
                        if document.ended_well:
                            done.add(step_id)
            except BaseException:
                self.cancel.set()  # so that the pool's threads come to an end
                raise
        for step in left:  # their predecessors failed, or the run ended before their turn
            reason = "the run was canceled" if self.cancel.is_set() else "a step before it failed"
            document = StepDocument(step=step.id, status="canceled", error=reason)
            states[step.id] = document
            self.folder.write_step(document)
            self.listener.on_step(document)

    def _is_over(self) -> bool:
        return self.cancel.is_set() or (bool(self.errors) and not self.run.continue_on_step_failure)

    def _status(self, states: Mapping[str, StepDocument]) -> RunStatus:
        if self.errors:
            return "Failed"
        if any(document.status == "canceled" for document in states.values()):
            return "Canceled"
        return "Finished"

    def _step(self, step_id: str) -> StepDocument:
        try:
            document = self._decide_and_run(step_id)
        except StepCanceledError as error:
            document = self._ended(step_id, "canceled", str(error))
        except MlPipelinesError as error:
            self.errors[step_id] = str(error)
            document = self._ended(step_id, "failed", str(error))
        except OSError as error:  # a full disk, a folder without permission
            text = f"step {step_id!r} failed: {explain_os_error(error)}"
            self.errors[step_id] = text
            document = self._ended(step_id, "failed", text)
        self.listener.on_step(document)
        return document

    def _ended(self, step_id: str, status: Any, error: str) -> StepDocument:
        try:
            document = self.folder.read_step(step_id)
            if document is not None and document.status == status:
                return document
            document = document or StepDocument(step=step_id, status=status)
            document = msgspec.structs.replace(document, status=status, error=error, finished=time.time())
            self.folder.write_step(document)
        except StoreError as second:  # the disk is still full, the server still away: the run can't go on
            raise StoreError(
                f"{error}\nnor can it be kept that step {step_id!r} {status}: {second}"
            ) from None
        return document

    def _decide_and_run(self, step_id: str) -> StepDocument:
        context = open_step(self.workspace, self.folder, step_id)
        told = False
        poll = _POLL
        while True:
            with self.nodes[context.step.id], self.places:
                if (reason := self._canceled()) is not None:
                    raise StepCanceledError(f"step {step_id!r} was canceled: {reason}")
                outcome = decide(context)
                if isinstance(outcome, Hit):
                    return outcome.document
                if not isinstance(outcome, Wait):
                    running = StepDocument(step=step_id, status="running", reasons=outcome.reasons)
                    self.listener.on_step(running)
                    return run_step(
                        context,
                        outcome,
                        log=lambda text: self.listener.on_line(step_id, "log", text),
                        on_line=lambda stream, line: self.listener.on_line(step_id, stream, line),
                        canceled=self._canceled,
                    )
            if not told:
                self.listener.on_line(
                    step_id, "log", f"waiting for {outcome.holder.owner}, which makes the same"
                )
                told = True
            self.cancel.wait(poll)
            poll = min(poll * 1.5, _LONGEST_POLL)
            context = context.again()

    def _canceled(self) -> str | None:
        return "the run was canceled" if self.cancel.is_set() else None


def _nodes(workspace: Workspace, run: RunDocument) -> dict[str, AbstractContextManager[Any]]:
    """Return for each step what lets no more steps run at once on its compute target than it takes."""
    limits: dict[str, AbstractContextManager[Any]] = {}
    nodes = {}
    for step in run.spec.steps:
        target = workspace.compute_target(step.compute_target)
        if target.name not in limits:
            limit = max_nodes(target)
            limits[target.name] = nullcontext() if limit is None else threading.Semaphore(limit)
        nodes[step.id] = limits[target.name]
    return nodes
