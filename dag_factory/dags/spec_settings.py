"""What Airflow is told of a pipeline that has no definition, such as a published one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from airflow_ml_pipelines.written.problems import Problem

__all__ = ["SpecSettings"]


@dataclass(frozen=True)
class SpecSettings:
    """The settings of a :class:`~dag_factory.definitions.definition.PipelineDefinition` that says nothing but these.

    It is here so that tasks of published pipelines need not import what definitions are read with.
    """

    name: str
    experiment: str | None = None
    doc: None = None
    owner: None = None
    tags: tuple[str, ...] = ()
    schedule: None = None
    start_date: None = None
    end_date: None = None
    catchup: bool = False
    max_active_runs: None = None
    timeout: None = None
    retries: None = None
    retry_delay: None = None
    pool: None = None
    queue: None = None
    priority_weight: None = None
    steps: Mapping[str, NoReturn] = field(default_factory=dict)

    def refuse(self, problems: Sequence[Problem]) -> None:
        """Raise an error with all problems."""
        from airflow_ml_pipelines.written.source import Source

        Source().refuse(problems, what=f"pipeline {self.name!r}")
