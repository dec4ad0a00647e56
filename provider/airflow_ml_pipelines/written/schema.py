"""Makes JSON schemas of models, from which editors complete and check what people write.

The descriptions are those of the models' docstrings: the first paragraph, and what stands after each ``:param:``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

__all__ = ["DIALECT", "json_schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_PARAMETER = re.compile(r":param (\w+):(.*?)(?=^:|\Z)", re.DOTALL | re.MULTILINE)
_ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")


def json_schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of the documents that a model is read from.

    Fields that begin with ``x-`` are allowed at the top, as room for anchors.
    """
    schema = model.model_json_schema()
    models = {found.__name__: found for found in _models_in(model)}
    definitions = schema.pop("$defs", {})
    for name, part in definitions.items():
        _describe(part, models[name])
    _describe(schema, model)
    schema["patternProperties"] = {"^x-": True}
    del schema["title"]
    whole = {"$schema": DIALECT, "title": title, **schema, "$defs": definitions}
    tidied: dict[str, Any] = _tidy(whole)
    return tidied


def _models_in(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a model and all that its fields have in them."""
    yield model
    for field in model.model_fields.values():
        for found in _classes_in(field.annotation):
            if found is not model:
                yield from _models_in(found)


def _classes_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _classes_in(inner)


def _describe(part: dict[str, Any], model: type[BaseModel]) -> None:
    """Add descriptions to the schema of a model; those of pydantic have the docstring as it is."""
    first, texts = _read_docstring(model)
    long = part["anyOf"][-1] if "anyOf" in part else part
    long["description"] = first
    for name, field in model.model_fields.items():
        if name in texts:
            long["properties"][field.alias or name]["description"] = texts[name]


def _read_docstring(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """Return the first paragraph of a class and what it says of each field, its own or an inherited one."""
    texts: dict[str, str] = {}
    for base in reversed(model.__mro__):
        found = _PARAMETER.findall(inspect.cleandoc(base.__doc__ or ""))
        texts |= {name: _plain(text) for name, text in found}
    first, _, _ = inspect.cleandoc(model.__doc__ or "").partition("\n\n")
    return _plain(first), texts


def _plain(text: str) -> str:
    plain = " ".join(_ROLE.sub(r"`\1`", text).replace("``", "`").split())
    return plain[:1].upper() + plain[1:]


def _tidy(value: Any) -> Any:
    """Return a schema without titles that repeat names, defaults of nothing, and unions that one ``type`` says."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidied = {}
    for name, item in value.items():
        if (name == "title" and "$schema" not in value) or (name == "default" and item in (None, {}, [])):
            continue
        is_names = name in ("properties", "patternProperties", "$defs")
        tidied[name] = {key: _tidy(inner) for key, inner in item.items()} if is_names else _tidy(item)
    union = tidied.get("anyOf", [])
    if union and all(item.keys() == {"type"} for item in union):
        tidied["type"] = [kind for item in tidied.pop("anyOf") for kind in _as_list(item["type"])]
    return tidied


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
