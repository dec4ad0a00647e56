"""Puts steps in an order in which each comes after those that it needs."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_ml_pipelines.core.spec import StepSpec
from airflow_ml_pipelines.written.problems import Problem

__all__ = ["sort_steps"]


def sort_steps(steps: Sequence[StepSpec], problems: list[Problem]) -> tuple[StepSpec, ...]:
    """Return steps in order, those that are free to be anywhere as they were; name every cycle."""
    known = {step.id for step in steps}
    waiting = {step.id: {other for other in step.upstream if other in known} for step in steps}
    ordered: list[StepSpec] = []
    left = list(steps)
    while left:
        free = next((step for step in left if not waiting[step.id]), None)
        if free is None:
            circle = _circle({step.id: waiting[step.id] for step in left}, left[0].id)
            shown = " → ".join(circle)
            message = (
                f"steps wait for each other: {shown}"
                if len(circle) > 2
                else f"step {circle[0]!r} waits for itself"
            )
            problems.append(Problem(("steps", circle[0]), message, at_key=True))
            left = [step for step in left if step.id not in circle]
            for others in waiting.values():
                others.difference_update(circle)
            continue
        left.remove(free)
        ordered.append(free)
        for others in waiting.values():
            others.discard(free.id)
    return tuple(ordered)


def _circle(waiting: dict[str, set[str]], start: str) -> list[str]:
    """Return the steps of a cycle, the first one at both ends."""
    seen: list[str] = []
    current = start
    while current not in seen:
        seen.append(current)
        current = min(waiting[current])
    circle = seen[seen.index(current) :]
    first = circle.index(min(circle))
    circle = circle[first:] + circle[:first]
    return [*circle, circle[0]]
