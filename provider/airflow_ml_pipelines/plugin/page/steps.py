"""How each step of a run went, as a page tells it to one user: what they may not see is not named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from airflow_ml_pipelines.core.amounts import seconds_text
from airflow_ml_pipelines.core.keys.differences import Explanation
from airflow_ml_pipelines.core.runs.folder import Origin, RunDocument, RunFolder, StepDocument
from airflow_ml_pipelines.core.spec import StepSpec

__all__ = ["FOREIGN", "STATES", "State", "StepView", "view_step", "view_steps"]

FOREIGN = "same key as in a run that you may not see"
"""Why a step was reused, for somebody who may not see from where."""

State = Literal["ran", "reused", "running", "waiting", "failed", "skipped"]

STATES: dict[str, State] = {
    "finished": "ran",
    "reused": "reused",
    "running": "running",
    "waiting": "waiting",
    "failed": "failed",
    "canceled": "skipped",
}
"""What a step's status is called."""


@dataclass(frozen=True)
class StepView:
    """A step of a run.

    :param reasons: why it ran, or what it was reused from.
    :param origin: where it was reused from, None where it was not, or where the user may not see that.
    """

    id: str
    name: str
    state: State
    document: StepDocument
    spec: StepSpec | None
    reasons: tuple[str, ...]
    explanation: Explanation | None
    origin: Origin | None

    @property
    def summary(self) -> str:
        """How it went, in a few words."""
        if self.state == "reused":
            return f"reused, saved {seconds_text(self.document.saved)}"
        seconds = self.document.seconds
        return self.state if seconds is None else f"{self.state}, {seconds_text(seconds)}"

    @property
    def is_foreign(self) -> bool:
        """Whether it was reused from a run that the user may not see."""
        return self.document.reused_from is not None and self.origin is None


def view_steps(folder: RunFolder, run: RunDocument, sees: Callable[[str, str], bool]) -> list[StepView]:
    """Return the steps of a run.

    :param sees: whether the user may see a pipeline's run.
    """
    specs = {item.id: item for item in run.spec.steps}
    return [view_step(item, specs.get(item.step), sees) for item in folder.steps().values()]


def view_step(document: StepDocument, spec: StepSpec | None, sees: Callable[[str, str], bool]) -> StepView:
    """Return a step; see :func:`view_steps`."""
    origin = document.reused_from
    reasons, explanation = document.reasons, document.explanation
    if origin is not None and not sees(origin.pipeline, origin.run):
        origin, reasons = None, (FOREIGN,)
    against = explanation.against if explanation else None
    if explanation and against is not None and not sees(against.pipeline, against.run):
        explanation = Explanation(differences=explanation.differences)
        reasons = explanation.reasons or ("an earlier result is no longer there",)
    return StepView(
        id=document.step,
        name=spec.name if spec else document.step,
        state=STATES[document.status],
        document=document,
        spec=spec,
        reasons=reasons,
        explanation=explanation,
        origin=origin,
    )
