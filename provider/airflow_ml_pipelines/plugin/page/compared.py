"""Puts runs beside each other: what they were started with, how their steps went, what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup

from airflow_ml_pipelines.core.errors import MlPipelinesError
from airflow_ml_pipelines.core.run_index import Listed
from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.diff_runs import RunsDiff, diff_runs
from airflow_ml_pipelines.plugin.page.plots import Point, draw_line
from airflow_ml_pipelines.plugin.page.render import shown
from airflow_ml_pipelines.plugin.page.steps import StepView

__all__ = ["Row", "compare_steps", "metric_plots", "rows_of"]


@dataclass(frozen=True)
class Row:
    """A value in each of the runs.

    :param values: None where a run has none.
    """

    name: str
    values: tuple[Any, ...]

    @property
    def differs(self) -> bool:
        """Whether not all are the same."""
        return any(value != self.values[0] for value in self.values[1:])


def rows_of(sides: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return a row a name, those that differ first."""
    names = dict.fromkeys(name for side in sides for name in side)
    rows = [Row(name, tuple(side.get(name) for side in sides)) for name in names]
    return sorted(rows, key=lambda row: not row.differs)


def compare_steps(
    workspace: Workspace, old: RunFolder, new: RunFolder, views: Sequence[StepView]
) -> RunsDiff | str:
    """Return in what the steps of a run differ from those of another, or why that can't be said.

    :param views: the steps of the new one, as the user may see them: for one that was reused from a run which they may
        not see it is not told why it can't be compared.
    """
    try:
        found = diff_runs(workspace, old, new)
    except MlPipelinesError as error:
        return str(error)
    foreign = {item.id for item in views if item.is_foreign}
    steps = tuple(
        msgspec.structs.replace(item, unknown="it was reused from a run that you may not see")
        if item.unknown and item.step in foreign
        else item
        for item in found.steps
    )
    return msgspec.structs.replace(found, steps=steps)


def metric_plots(runs: Sequence[Listed]) -> dict[str, Markup]:
    """Return a picture of each metric that differs, over the runs in the order in which they were started."""
    ordered = sorted(runs, key=lambda run: run.started)
    plots = {}
    for name in dict.fromkeys(name for run in ordered for name in run.facts.get("metric", {})):
        points = [
            Point(float(number), float(run.facts["metric"][name]), f"{run.run}: {run.facts['metric'][name]}")
            for number, run in enumerate(ordered)
            if name in run.facts.get("metric", {})
        ]
        if len({point.y for point in points}) > 1:
            plots[name] = draw_line(
                points, f"{name} over the runs", shown(ordered[0].run, 28), shown(ordered[-1].run, 28)
            )
    return plots
