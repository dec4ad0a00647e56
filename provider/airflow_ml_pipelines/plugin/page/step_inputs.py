"""What a step read: where each input comes from, and how large it is where that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_ml_pipelines.core.runs.folder import OutputDocument, RunDocument, StepPlan
from airflow_ml_pipelines.core.spec import DataParameter, RegisteredDataset, StepOutput
from airflow_ml_pipelines.plugin.page.steps import StepView
from dag_factory.graphs.graph import source_text

__all__ = ["InputView", "view_inputs"]


@dataclass(frozen=True)
class InputView:
    """An input.

    :param kind: ``step``, ``dataset``, ``data`` or ``parameter``.
    :param source: what it is called.
    :param step: the id of the step that makes it.
    :param dataset: the name of the registered dataset.
    :param made: what the step made, where it has.
    """

    name: str
    mode: str
    kind: str
    source: str
    step: str = ""
    dataset: str = ""
    made: OutputDocument | None = None


def view_inputs(
    step: StepView, plan: StepPlan | None, steps: Sequence[StepView], run: RunDocument
) -> list[InputView]:
    """Return the inputs of a step."""
    if step.spec is None:
        return []
    found = []
    names = {item.id: item.name for item in run.spec.steps}
    known = {item.id: item.document for item in steps}
    for item in step.spec.inputs:
        source = item.source
        if isinstance(source, StepOutput):
            document = known.get(source.step)
            made = document.outputs.get(source.output) if document else None
            label = f"{names.get(source.step, source.step)}: {source.output}"
            found.append(InputView(item.name, item.mode, "step", label, step=source.step, made=made))
            continue
        kind, label = source_text(source)
        if isinstance(source, DataParameter) and plan is not None and item.name in plan.data:
            label = f"{label}: {source_text(plan.data[item.name])[1]}"
        dataset = source.dataset if isinstance(source, RegisteredDataset) else ""
        found.append(InputView(item.name, item.mode, kind, label, dataset=dataset))
    return found
