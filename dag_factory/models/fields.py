"""What the models have in common, and the types of their fields."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema

from airflow_ml_pipelines.written.model import WrittenModel
from dag_factory.models.scalars import DURATION, MOMENT, as_argument, as_datetime, as_duration, as_scalar

__all__ = [
    "ANY_TEXT",
    "Arguments",
    "Count",
    "DefinitionModel",
    "Duration",
    "Moment",
    "Scalar",
    "Strings",
]


Strings = Annotated[tuple[str, ...], Strict(strict=False)]
Scalar = Annotated[str | int | float | bool, BeforeValidator(as_scalar)]
Argument = Annotated[
    str, BeforeValidator(as_argument), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
Arguments = Annotated[tuple[Argument, ...], Strict(strict=False)]
Duration = Annotated[
    float,
    BeforeValidator(as_duration),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": DURATION}]}),
]
Moment = Annotated[
    datetime, BeforeValidator(as_datetime), WithJsonSchema({"type": "string", "pattern": MOMENT})
]
Count = Annotated[int, Field(ge=0)]

ANY_TEXT: dict[str, Any] = {"type": "string"}
"""The JSON schema of a short form that is text."""


class DefinitionModel(WrittenModel, BaseModel):  # named again, so that ruff knows what it is
    model_config = ConfigDict(defer_build=True)
