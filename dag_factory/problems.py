"""Problems of a definition: where in the document, and what is wrong; all of them in one error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_origin

from airflow_ml_pipelines.core.errors import did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

__all__ = ["Path", "Problem", "describe_value", "find_problems", "show_path"]

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a place in a document."""


_LONGEST = 60


class Problem(NamedTuple):
    """Something that is wrong with a definition.

    :param path: the place in the document.
    :param message: what was expected, what was found, what to do.
    :param at_key: whether the key is wrong and not the value.
    :param offset: the index in the value's text at which it is wrong.
    """

    path: Path
    message: str
    at_key: bool = False
    offset: int | None = None

    def __str__(self) -> str:
        """Return the place and the message."""
        return f"{show_path(self.path)}: {self.message}" if self.path else self.message


def show_path(path: Path) -> str:
    """Return a path as people write it: ``steps.train.arguments[1]``."""
    text = ""
    for item in path:
        text += f"[{item}]" if isinstance(item, int) else f".{item}" if text else item
    return text


def find_problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return what pydantic found wrong with a document of a model, in our words."""
    return [_problem(item, model) for item in error.errors(include_url=False)]


def describe_value(value: Any) -> str:
    """Return a value of a document in words: ``the text 'x'``, ``the number 3``, ``a list``."""
    match value:
        case None:
            text = "nothing"
        case bool():
            text = "true" if value else "false"
        case int() | float():
            text = f"the number {value!r}"
        case str():
            text = f"the text {value!r}" if len(value) <= _LONGEST else f"the text {value[:_LONGEST]!r}…"
        case Mapping():
            text = "a mapping" if value else "an empty mapping"
        case list() | tuple():
            text = "a list" if value else "an empty list"
        case _:
            text = f"a {type(value).__name__}"
    return text


_EXPECTED = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "dict_type": "a mapping of names to values",
    "mapping_type": "a mapping of names to values",
    "model_type": "a mapping of fields to values",
    "model_attributes_type": "a mapping of fields to values",
    "tuple_type": "a list",
    "list_type": "a list",
    "string_unicode": "text that can be written as UTF-8",
}


def _problem(item: ErrorDetails, model: type[BaseModel]) -> Problem:
    path = tuple(part for part in item["loc"] if part != "[key]")
    kind = item["type"]
    if kind == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        return Problem(path, f"unknown field.{did_you_mean(str(path[-1]), known)}", at_key=True)
    if kind == "missing":
        return Problem(path[:-1], f"the field {str(path[-1])!r} is missing", at_key=True)
    if kind == "value_error":
        return Problem(path, str(item["ctx"]["error"]))
    return Problem(path, _mismatch(kind, item))


def _mismatch(kind: str, item: ErrorDetails) -> str:
    """Return what was expected of a value and what was found."""
    value, context = item["input"], item.get("ctx", {})
    found = describe_value(value)
    if kind == "literal_error":
        known = [part.strip().strip("'") for part in context["expected"].replace(" or ", ",").split(",")]
        close = did_you_mean(value, known).split(" There are:")[0] if isinstance(value, str) else ""
        shown = ", ".join(known if known == ["1"] else map(repr, known[:-1])) + (
            f" or {known[-1]!r}" if len(known) > 1 else ""
        )
        return f"expected {shown}, found {found}{'.' if close else ''}{close}"
    if kind == "string_type":
        hint = ": put it in quotes" if isinstance(value, bool | int | float) else ""
        return f"expected text, found {found}{hint}"
    if kind in _EXPECTED:
        hint = ": write [x, y], even where it is one" if kind == "tuple_type" and value else ""
        return f"expected {_EXPECTED[kind]}, found {found}{hint}"
    if kind == "greater_than_equal":
        return f"expected at least {context['ge']}, found {found}"
    message = item["msg"]
    return f"{message[:1].lower()}{message[1:]}, found {found}"


def _fields_at(model: type[BaseModel], path: Path) -> list[str]:
    """Return the names of the fields that the model at a path of a document takes."""
    current: type[BaseModel] = model
    is_key = False
    for part in path:
        if is_key:  # of a mapping of names to models
            is_key = False
            continue
        by_name = {(field.alias or name): field.annotation for name, field in current.model_fields.items()}
        annotation = by_name.get(str(part))
        found = _model_in(annotation)
        if found is None:
            return []
        current, is_key = found, get_origin(annotation) is dict
    return [field.alias or name for name, field in current.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the one model that an annotation such as ``dict[str, Model]`` or ``Model | None`` has in it."""
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
