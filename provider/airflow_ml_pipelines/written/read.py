"""Reads a text as YAML, and checks what it says against a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_ml_pipelines.core.errors import MlPipelinesError
from airflow_ml_pipelines.written.positions import Found
from airflow_ml_pipelines.written.problems import Problem, find_problems
from airflow_ml_pipelines.written.source import Layer, Source
from airflow_ml_pipelines.written.syntax import explain
from airflow_ml_pipelines.written.values import Builder, Places, compose

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["build", "fit", "open_layer"]

_M = TypeVar("_M", bound="BaseModel")


def open_layer(file: Path, error: type[MlPipelinesError]) -> Layer:
    """Return the text of a file.

    :raises MlPipelinesError: of the class that is given, where it can't be read.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise error(f"{file}: there is no such file") from None
    except OSError as reason:
        raise error(f"{file}: it can't be read: {reason.strerror}") from None
    try:
        return Layer(data.decode("utf-8-sig"), file)
    except UnicodeDecodeError as reason:
        raise error(f"{file}: it is no UTF-8 text (byte {reason.start}): save it as UTF-8") from None


def build(layer: Layer, places: Places = None) -> Any:
    """Return the value that a text holds, None where it holds none; what is wrong goes to ``layer.found``."""
    import yaml

    try:
        root = compose(layer.text)
    except yaml.YAMLError as error:
        layer.found = (explain(error, layer.text),)
    except UnicodeEncodeError as error:
        layer.found = (explain(error, layer.text),)
    except RecursionError:
        layer.found = (Found(0, 0, 1, "it is nested too deeply"),)
    else:
        if root is not None:
            builder = Builder()
            value = builder.build(root, places)
            layer.found = tuple(builder.found)
            return value
    return None


def fit(
    model: type[_M], document: Any, source: Source, check: Callable[[_M], Iterable[Problem]] | None = None
) -> _M:
    """Return the model that a document holds.

    :param check: finds what is wrong beyond single fields; used on what is right where other fields are wrong, so that
        everything is told at once.
    :raises MlPipelinesError: that names everything that is wrong.
    """
    from pydantic import ValidationError

    try:
        found = model.model_validate(document)
    except ValidationError as error:
        problems = find_problems(error, model, source.is_secret)
        source.refuse([*problems, *_further_problems(model, document, check)] if check else problems)
        raise
    if check and source.is_damaged:
        source.refuse(check(found))
    return found


def _further_problems(
    model: type[_M], document: Any, check: Callable[[_M], Iterable[Problem]]
) -> list[Problem]:
    """Return what else is wrong, apart from the fields that are wrong by themselves."""
    from pydantic import ValidationError

    if not isinstance(document, dict):
        return []
    reported: set[tuple[str | int, ...]] = set()
    gone: set[tuple[str | int, ...]] = set()
    for _ in range(3):
        try:
            found = model.model_validate(document)
        except ValidationError as error:
            for item in error.errors(include_url=False, include_input=False):
                path = tuple(part for part in item["loc"] if part != "[key]")
                reported.add(path)
                if item["type"] not in ("missing", "extra_forbidden"):
                    gone.add(path[:-1])  # what is taken out may be missed there
                document = _without(document, path, item["type"])
        else:
            return [
                problem
                for problem in check(found)
                if problem.path not in gone
                and not any(problem.path[: len(path)] == path for path in reported if path)
            ]
    return []


def _without(value: Any, path: tuple[str | int, ...], kind: str) -> Any:
    """Return a document without the field at a path, or with something harmless in its place."""
    if not path:
        return {} if kind.startswith("model") else value
    if isinstance(value, dict):
        rest = {key: item for key, item in value.items() if key != path[0]}
        if path[1:] and path[0] in value:
            return {**value, path[0]: _without(value[path[0]], path[1:], kind)}
        if kind == "missing" or path[0] in ("script", "name"):
            return {**rest, path[0]: "unknown"}
        return {**rest, path[0]: {}} if kind.startswith("model") else rest
    if isinstance(value, list) and isinstance(path[0], int):
        kept = [_without(value[path[0]], path[1:], kind)] if path[1:] else [""]
        return value[: path[0]] + kept + value[path[0] + 1 :]
    return None
