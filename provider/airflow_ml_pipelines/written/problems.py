"""Problems of a document: where in it, and what is wrong, in our words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_origin

from airflow_ml_pipelines.core.errors import did_you_mean
from airflow_ml_pipelines.written.traps import hint_for

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

__all__ = ["Path", "Problem", "describe_value", "find_problems", "show_name", "show_path"]

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a place in a document."""


_LONGEST = 60


class Problem(NamedTuple):
    """Something that is wrong with a document.

    :param path: the place in the document.
    :param message: what was expected, what was found, what to do.
    :param at_key: whether the key is wrong and not the value.
    :param offset: the index in the value's text at which it is wrong.
    :param as_text: whether the value had to be text, and would be in quotes.
    """

    path: Path
    message: str
    at_key: bool = False
    offset: int | None = None
    as_text: bool = False

    def __str__(self) -> str:
        """Return the place and the message."""
        return f"{show_path(self.path)}: {self.message}" if self.path else self.message


def show_path(path: Path) -> str:
    """Return a path as people write it: ``steps.train.arguments[1]``."""
    text = ""
    for item in path:
        name = item if isinstance(item, int) or _is_short(item) else show_name(item)
        text += f"[{name}]" if isinstance(item, int) else f".{name}" if text else str(name)
    return text


def show_name(name: str) -> str:
    """Return a name in quotes, cut where it is long."""
    return repr(name) if len(name) <= _LONGEST else f"{name[:_LONGEST]!r}…"


def _is_short(name: str) -> bool:
    return bool(name) and name.isprintable() and len(name) <= _LONGEST


def find_problems(
    error: ValidationError, model: type[BaseModel], is_secret: Callable[[Path], bool] = lambda _path: False
) -> list[Problem]:
    """Return what pydantic found wrong with a document of a model, in our words.

    :param is_secret: tells whether the value at a path may be a secret, which is not repeated then.
    """
    return [_problem(item, model, is_secret) for item in error.errors(include_url=False)]


def describe_value(value: Any, *, secret: bool = False) -> str:
    """Return a value of a document in words: ``the text 'x'``, ``the number 3``, ``a list``.

    :param secret: whether it may be a secret, so that only its kind is said.
    """
    match value:
        case None:
            text = "nothing"
        case bool():
            text = "true" if value else "false"
        case int() | float():
            text = "a number" if secret else f"the number {value!r}"
        case str() if secret:
            text = "text"
        case str():
            text = f"the text {show_name(value)}"
        case Mapping():
            text = "a mapping" if value else "an empty mapping"
        case list() | tuple():
            text = "a list" if value else "an empty list"
        case _:
            text = f"a {type(value).__name__}"
    return text


_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping of names to values",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than_equal": "at least {ge:g}",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "invalid_key": "a name",
    "list_type": "a list",
    "mapping_type": "a mapping of names to values",
    "model_attributes_type": "a mapping of fields to values",
    "model_type": "a mapping of fields to values",
    "string_too_short": "some text",
    "string_type": "text",
    "string_unicode": "text that can be written as UTF-8",
    "tuple_type": "a list",
}
_POD = "a step's pod is what its compute target says, with `pod_template_file` for what has no option"
_ELSEWHERE = {"executor_config": _POD, "pod_override": _POD}
"""Fields that are meant, and said somewhere else."""

_LISTS = ("list_type", "tuple_type")
_NUMBERS = ("float_type", "int_type")


def _problem(item: ErrorDetails, model: type[BaseModel], is_secret: Callable[[Path], bool]) -> Problem:
    path = tuple(part for part in item["loc"] if part != "[key]")
    kind = item["type"]
    if kind == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        elsewhere = _ELSEWHERE.get(str(path[-1]))
        hint = f": {elsewhere}" if elsewhere else f".{did_you_mean(str(path[-1]), known)}"
        return Problem(path, f"unknown field{hint}", at_key=True)
    if kind == "missing":
        return Problem(path[:-1], f"the field {str(path[-1])!r} is missing", at_key=True)
    if kind == "value_error":
        return Problem(path, str(item["ctx"]["error"]))
    secret = is_secret(path)
    at_key = kind == "invalid_key" or item["loc"][-1:] == ("[key]",)
    return Problem(
        path, _mismatch(kind, item, secret=secret), at_key, as_text=kind == "string_type" and not secret
    )


def _mismatch(kind: str, item: ErrorDetails, *, secret: bool) -> str:
    """Return what was expected of a value and what was found."""
    value, context = item["input"], item.get("ctx", {})
    found = describe_value(value, secret=secret)
    if kind == "literal_error":
        known = [part.strip().strip("'") for part in context["expected"].replace(" or ", ",").split(",")]
        close = did_you_mean(value, known).split(" There are:")[0] if isinstance(value, str) else ""
        shown = ", ".join(known if known == ["1"] else map(repr, known[:-1])) + (
            f" or {known[-1]!r}" if len(known) > 1 else ""
        )
        return f"expected {shown}, found {found}{'.' if close else ''}{close}"
    if kind not in _EXPECTED:
        message = item["msg"]
        return f"{message[:1].lower()}{message[1:]}, found {found}"
    return f"expected {_EXPECTED[kind].format(**context)}, found {found}{_hint(kind, value)}"


def _hint(kind: str, value: Any) -> str:
    if kind == "string_type":
        return ": put it in quotes" if isinstance(value, bool | int | float) else ""
    if kind in _LISTS:
        return ": write [x, y], even where it is one" if value and not isinstance(value, Mapping) else ""
    if kind == "bool_type":
        return hint_for("a boolean", value)
    return hint_for("a number", value) if kind in _NUMBERS else ""


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
