"""A pipeline: all that a ``*.pipeline.yaml`` document says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator

from airflow_ml_pipelines.written.problems import Problem, describe_value
from airflow_ml_pipelines.written.source import Source
from airflow_ml_pipelines.written.traps import hint_for
from dag_factory.models.data import DataDefinition
from dag_factory.models.environment import EnvironmentDefinition
from dag_factory.models.fields import Count, DefinitionModel, Duration, Moment, Strings
from dag_factory.models.parameter import ParameterDefinition
from dag_factory.models.schedule import ScheduleDefinition
from dag_factory.models.step import StepDefinition

__all__ = [
    "PipelineModel",
]


class PipelineModel(DefinitionModel):
    """A pipeline.

    :param schema_version: the version of this language.
    :param name: the DAG's id, and what runs are kept under; the name of the file where it is left out there.
    :param description: what it is for.
    :param doc: Markdown for the DAG's page.
    :param owner: shown in Airflow.
    :param tags: shown in Airflow, which finds pipelines by them.
    :param experiment: the experiment of runs that name none; the pipeline's name where left out.
    :param schedule: when it runs by itself: a cron expression or preset, or one of ``cron``, ``every``, ``assets`` and
        ``timetable``.
    :param start_date: from when on it runs by itself.
    :param end_date: until when it runs by itself.
    :param catchup: whether runs of the time since ``start_date`` are made up for.
    :param max_active_runs: how many runs there may be at once.
    :param continue_on_step_failure: whether steps that don't need a failed one still run.
    :param timeout: after which a run is given up: seconds, or text such as ``1h30m``.
    :param retries: how often Airflow tries a step again that says nothing else.
    :param retry_delay: how long Airflow waits before it tries a step again that says nothing else.
    :param pool: the pool of the tasks of steps that name none.
    :param queue: the queue of the tasks of steps that name none.
    :param priority_weight: the weight of the tasks of steps that say none.
    :param default_datastore: of data and outputs that name none; the workspace's default where left out.
    :param default_compute_target: of steps that name none; the workspace's default where left out.
    :param default_environment: of steps that name none: the name of an environment, or one written in place.
    :param source_directory: of the steps that name none; relative to the file, ``.`` where left out.
    :param parameters: values that each run may set, by name; a bare value is short for its default.
    :param environments: by the names under which steps refer to them.
    :param data: data from outside of the pipeline, by the names under which steps refer to it.
    :param steps: by their ids.
    """

    schema_version: Literal[1] = 1
    name: str
    description: str | None = None
    doc: str | None = None
    owner: str | None = None
    tags: Strings = ()
    experiment: str | None = None
    schedule: ScheduleDefinition | None = None
    start_date: Moment | None = None
    end_date: Moment | None = None
    catchup: bool = False
    max_active_runs: Annotated[int, Field(ge=1)] | None = None
    continue_on_step_failure: bool = False
    timeout: Duration | None = None
    retries: Count | None = None
    retry_delay: Duration | None = None
    pool: str | None = None
    queue: str | None = None
    priority_weight: int | None = None
    default_datastore: str | None = None
    default_compute_target: str | None = None
    default_environment: EnvironmentDefinition | None = None
    source_directory: str | None = None
    parameters: dict[str, ParameterDefinition] = {}
    environments: dict[str, EnvironmentDefinition] = {}
    data: dict[str, DataDefinition] = {}
    steps: dict[str, StepDefinition] = {}

    _source: Source = PrivateAttr(default_factory=Source)

    @field_validator("schema_version", mode="before")
    @classmethod
    def _check_schema(cls, value: Any) -> Any:
        if type(value) is not int or value < 1:
            raise ValueError(f"expected 1, found {describe_value(value)}{hint_for('a number', value)}")
        if value > 1:
            raise ValueError(
                f"expected schema version 1, found {value}: a newer version of airflow-provider-ml-pipelines reads it"
            )
        return value

    @property
    def source(self) -> Source:
        """Where the definition was read from."""
        return self._source

    def refuse(self, problems: Sequence[Problem]) -> None:
        """Raise an error with all problems, with their positions in the file; do nothing where there are none."""
        self._source.refuse(problems, what=f"pipeline {self.name!r}")
