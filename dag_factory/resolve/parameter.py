"""Turns parameters of a definition into specs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from airflow_ml_pipelines.core.errors import ParameterError, did_you_mean
from airflow_ml_pipelines.core.parameters import check_value, read_data
from airflow_ml_pipelines.core.spec import ParameterSpec
from airflow_ml_pipelines.written.problems import Path, Problem, find_problems
from dag_factory.models.data import DataDefinition
from dag_factory.models.parameter import ParameterDefinition
from dag_factory.models.pipeline import PipelineModel
from dag_factory.resolve.data import resolve_data
from dag_factory.resolve.data_value import data_value

__all__ = ["RUN_OPTIONS", "resolve_parameter"]

RUN_OPTIONS = ("regenerate_outputs", "continue_on_step_failure", "experiment_name")
"""What a run takes besides the pipeline's parameters."""


def resolve_parameter(
    name: str, entry: ParameterDefinition, path: Path, definition: PipelineModel, problems: list[Problem]
) -> ParameterSpec:
    """Return a parameter as runs know it."""
    if name in RUN_OPTIONS:
        problems.append(
            Problem(path, f"{name!r} is an option of every run: call the parameter otherwise", at_key=True)
        )
    numeric = entry.type in ("integer", "number")
    problems.extend(
        Problem((*path, bound), f"means nothing for the type {entry.type!r}", at_key=True)
        for bound in ("minimum", "maximum")
        if getattr(entry, bound) is not None and not numeric
    )
    if entry.minimum is not None and entry.maximum is not None and entry.minimum > entry.maximum:
        problems.append(
            Problem((*path, "minimum"), f"{entry.minimum:g} is more than the maximum, {entry.maximum:g}")
        )
    default = entry.default
    if entry.type == "data":
        if entry.enum:
            problems.append(Problem((*path, "enum"), "means nothing for the type 'data'", at_key=True))
        if default is not None:
            default = _data_default(default, (*path, "default"), definition, problems)
        spec = ParameterSpec(name=name, type="data")
    else:
        bare = ParameterSpec(
            name=name,
            type=entry.type,
            minimum=entry.minimum if numeric else None,
            maximum=entry.maximum if numeric else None,
        )
        enum = tuple(_checked(bare, item, (*path, "enum", i), problems) for i, item in enumerate(entry.enum))
        spec = msgspec.structs.replace(bare, enum=enum)
        if default is not None:
            default = _checked(spec, default, (*path, "default"), problems)
    return msgspec.structs.replace(
        spec,
        default=default,
        required=default is None,
        description=entry.description,
        title=entry.title,
        section=entry.section,
    )


def _checked(spec: ParameterSpec, value: Any, path: Path, problems: list[Problem]) -> Any:
    try:
        return check_value(spec, value)
    except ParameterError as error:
        problems.append(Problem(path, str(error)))
        return value


def _data_default(value: Any, path: Path, definition: PipelineModel, problems: list[Problem]) -> Any:
    from pydantic import ValidationError

    if isinstance(value, str) and "://" not in value:
        if value not in definition.data:
            problems.append(
                Problem(path, f"there is no data {value!r}.{did_you_mean(value, definition.data)}")
            )
            return None
        entry, path = definition.data[value], ("data", value)
    elif isinstance(value, Mapping) and ("DataStoreName" in value or "locations" in value):
        try:
            return data_value(read_data(value))
        except ParameterError as error:
            problems.append(Problem(path, str(error)))
            return None
    else:
        try:
            entry = DataDefinition.model_validate(value)
        except ValidationError as error:
            problems += [p._replace(path=(*path, *p.path)) for p in find_problems(error, DataDefinition)]
            return None
    data = resolve_data(entry, path, definition, problems)
    return None if data is None else data_value(data)
