"""Follows runs until they have ended, and says what goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from airflow_ml_pipelines.core.errors import StepFailedError
from dag_factory.terminal.narrate import narrate_line, narrate_plan, narrate_step

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.runs.folder import StepDocument
    from dag_factory.runs.local import LocalRun
    from dag_factory.runs.remote import RemoteRun
    from dag_factory.runs.run import PipelineRun

__all__ = ["FOREVER", "OVER", "POLL", "failure_of", "follow_elsewhere", "follow_here", "say_nothing"]

POLL = 0.5
"""Seconds between two looks at a run."""

FOREVER = 9223372036854775807.0
"""Seconds that never pass."""

OVER = ("Finished", "Failed", "Canceled")
"""How a run stands that goes on no more."""


def say_nothing(_: str) -> None:
    """Take a line and print nothing."""


def follow_here(local: LocalRun, deadline: float, say: Callable[[str], None]) -> None:
    """Return when a run of this process has ended, or the time has come."""
    for line in local.feed.follow(min(POLL, max(0.0, deadline - time.monotonic()))):
        if line is not None:
            say(line)
        if time.monotonic() >= deadline:
            return
    local.thread.join(min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX))


def follow_elsewhere(run: PipelineRun, deadline: float, say: Callable[[str], None]) -> None:
    """Return when a run of another process has ended, or the time has come."""
    told: dict[str, str] = {}
    plan = None
    while True:
        over = run.get_status() in OVER
        if plan is None and (plan := run.folder.read_plan()) is not None:
            for line in narrate_plan(plan, _names(run)):
                say(line)
            told = {step.step: "reused" for step in plan.steps if step.decision == "reuse"}
        for step, document in run.folder.steps().items():
            if told.get(step) != document.status:
                told[step] = document.status
                for line in _narrate(run, document) if say is not say_nothing else ():
                    say(line)
        if over or time.monotonic() >= deadline:
            return
        time.sleep(min(POLL, max(0.0, deadline - time.monotonic())))


def _narrate(run: PipelineRun, document: StepDocument) -> Iterator[str]:
    """Yield what is new about a step, after what its script wrote if that has ended."""
    names = _names(run)
    if document.status in ("finished", "failed"):
        for step in run.get_steps():
            if step.step_id == document.step:
                for line in step.get_stdout_log().splitlines():
                    yield narrate_line(document.step, "stdout", line, names)
    yield from narrate_step(document, names)


def _names(run: PipelineRun) -> dict[str, str]:
    return {step.id: step.name for step in run.spec.steps}


def failure_of(run: PipelineRun, local: LocalRun | None, remote: RemoteRun | None) -> BaseException:
    """Return the error of a run that failed; its text has those of the steps that did.

    :param local: the run, where it is one of this process.
    :param remote: the run, where it is one of an Airflow server.
    """
    if local is not None and local.error is not None:
        return local.error
    outcome = local.outcome if local is not None else None
    errors = list(outcome.errors.values()) if outcome is not None else []
    if remote is not None and not run.folder.steps():
        result = run.folder.read_result()
        why = result.error if result is not None and result.error else f"see {remote.url}"
        return StepFailedError(f"run {run.id} failed before its first step: {why}")
    errors = errors or [
        step.error for step in run.get_steps() if step.get_status() == "Failed" and step.error
    ]
    if not errors:
        result = run.folder.read_result()
        errors = [result.error if result is not None and result.error else f"run {run.id} failed"]
    return StepFailedError("\n".join(errors))
