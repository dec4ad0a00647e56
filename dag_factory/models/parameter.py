"""Parameters: values that each run may set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Strict, model_validator

from dag_factory.models.fields import DefinitionModel
from dag_factory.models.scalars import type_of

__all__ = [
    "ParameterDefinition",
]


class ParameterDefinition(DefinitionModel):
    """A pipeline parameter. In a document a bare value is short for its default.

    :param type: follows from the default where it is left out.
    :param default: None: a run has to give a value.
    :param enum: the values that are allowed; all where left out.
    :param minimum: the least value of a number.
    :param maximum: the greatest value of a number.
    :param description: shown where a run is started.
    :param title: shown instead of the name where a run is started.
    :param section: under which heading it is shown where a run is started.
    """

    short_forms: ClassVar = ({"type": ["string", "number", "boolean", "null"]},)

    type: Literal["string", "integer", "number", "boolean", "data"] = "string"
    default: Any = None
    enum: Annotated[tuple[Any, ...], Strict(strict=False)] = ()
    minimum: float | None = None
    maximum: float | None = None
    description: str | None = None
    title: str | None = None
    section: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            message = "expected a default, or a mapping with `type`, `default` …, found a list"
            raise ValueError(message)  # noqa: TRY004 - pydantic
        if not isinstance(value, Mapping | ParameterDefinition):
            value = {"default": value}
        if isinstance(value, Mapping) and "type" not in value:
            return {**value, "type": type_of(value.get("default"))}
        return value
