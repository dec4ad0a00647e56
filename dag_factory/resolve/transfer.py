"""Turns what a step copies into what runs know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_ml_pipelines.core.spec import Data, StepSpec, TransferSpec
from airflow_ml_pipelines.written.problems import Path, Problem
from dag_factory.resolve.tables import check_table

if TYPE_CHECKING:
    from dag_factory.models.pipeline import PipelineModel
    from dag_factory.models.step import StepDefinition
    from dag_factory.models.transfer import TransferDefinition
    from dag_factory.resolve.ports import Ports

__all__ = ["resolve_transfer", "shards_problem"]

_OF_SCRIPTS = (
    "arguments",
    "compute_target",
    "environment",
    "hash_paths",
    "ignore",
    "inputs",
    "outputs",
    "parameters",
    "script",
    "source_directory",
    "timeout",
)


def resolve_transfer(
    step_id: str, entry: StepDefinition, ports: Ports, definition: PipelineModel, problems: list[Problem]
) -> StepSpec:
    """Return a step that copies data.

    :param ports: of the step; its source and destination are added.
    """
    path: Path = ("steps", step_id)
    transfer = entry.transfer
    assert transfer is not None
    problems.extend(
        Problem((*path, field), "means nothing beside `transfer`: leave it out", at_key=True)
        for field in _OF_SCRIPTS
        if field in entry.model_fields_set and (field != "script" or entry.script)
    )
    _check_table(transfer, (*path, "transfer", "destination"), problems)
    ports.add_transfer(transfer)
    place = transfer.destination
    step = StepSpec(
        id=step_id,
        name=entry.name or step_id,
        kind="data_transfer",
        transfer=TransferSpec(
            source_type=transfer.source_type,
            destination_type=transfer.destination_type,
            database=None if place.table is None else place.datastore or definition.default_datastore,
            table=place.table,
            delete_extra=transfer.delete_extra,
            shards=transfer.shards,
        ),
        inputs=tuple(ports.inputs.values()),
        outputs=tuple(ports.outputs.values()),
        allow_reuse=entry.allow_reuse,
        version=entry.version,
        after=tuple(dict.fromkeys(other for other in entry.after if other in definition.steps)),
    )
    if problem := shards_problem(step):
        problems.append(Problem((*path, "transfer", "shards"), problem))
    return step


def shards_problem(step: StepSpec) -> str | None:
    """Return why a transfer can't be divided among several tasks, None where it can, or is not to be."""
    if step.transfer is None or step.transfer.shards == 1:
        return None
    if step.transfer.table is not None or any(
        isinstance(item.source, Data) and item.source.query is not None for item in step.inputs
    ):
        return "rows go to one place in one piece: leave `shards` out"
    path = step.outputs[0].path if step.outputs else None
    if path is None or "{" in path:
        return "several tasks have to know the destination: give it a path without placeholders, or leave `shards` out"
    return None


def _check_table(transfer: TransferDefinition, path: Path, problems: list[Problem]) -> None:
    place = transfer.destination
    if place.table is None:
        return
    if problem := check_table(place.table):
        problems.append(Problem((*path, "table"), problem))
    for name, given in (("path", place.path), ("register", place.register_as)):
        if given is not None:
            problems.append(Problem((*path, name), "means nothing beside `table`: leave it out", at_key=True))
