"""Reads stored documents into dataclasses, strictly, with an error that says where what is wrong."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from airflow_ml_pipelines.core.errors import DocumentError, NewerDocumentError, did_you_mean

__all__ = ["decode", "encode"]

_T = TypeVar("_T")
_NAMES: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def decode(kind: type[_T], document: Any, *, what: str, schema: int) -> _T:
    """Return a dataclass made of a document with a ``schema`` on top.

    :param what: how an error calls the document.
    :param schema: the newest schema that is known.
    :raises NewerDocumentError: where the document has a newer one.
    :raises DocumentError: where it is something else; the text names the field.
    """
    if not isinstance(document, Mapping):
        raise DocumentError(f"{what}: expected an object at $, found {_show(document)}")
    found = document.get("schema")
    if type(found) is not int:
        raise DocumentError(f"{what}: expected a whole number at $.schema, found {_show(found)}")
    if found > schema:
        raise NewerDocumentError(
            f"{what} has schema {found}, this version of airflow-provider-ml-pipelines reads up to {schema}: a newer "
            "version wrote it, upgrade to read it"
        )
    rest = {name: value for name, value in document.items() if name != "schema"}
    value: _T = _Decoder(what).read(kind, rest, "$")
    return value


def encode(value: Any) -> Any:
    """Return a dataclass as plain dicts and lists."""
    if dataclasses.is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: encode(item) for name, item in value.items()}
    return [encode(item) for item in value] if isinstance(value, (tuple, list)) else value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


class _Decoder:
    def __init__(self, what: str) -> None:
        self._what = what

    def read(self, kind: Any, value: Any, at: str) -> Any:
        if kind is Any:
            return value
        if dataclasses.is_dataclass(kind):
            return self._object(kind, value, at)
        readers = {dict: self._dict, tuple: self._tuple, Literal: self._literal, types.UnionType: self._union}
        reader = readers.get(get_origin(kind))
        if reader is not None:
            return reader(get_args(kind), value, at)
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:
            raise self._wrong(_NAMES[kind], value, at)
        return value

    def _dict(self, kinds: tuple[Any, ...], value: Any, at: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise self._wrong("an object", value, at)
        return {
            self.read(str, name, at): self.read(kinds[1], item, f"{at}.{name}")
            for name, item in value.items()
        }

    def _tuple(self, kinds: tuple[Any, ...], value: Any, at: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise self._wrong("a list", value, at)
        return tuple(self.read(kinds[0], item, f"{at}[{index}]") for index, item in enumerate(value))

    def _literal(self, texts: tuple[Any, ...], value: Any, at: str) -> str:
        if not isinstance(value, str) or value not in texts:
            raise self._wrong("one of " + ", ".join(map(repr, texts)), value, at)
        return value

    def _object(self, kind: Any, value: Any, at: str) -> Any:
        if not isinstance(value, Mapping):
            raise self._wrong("an object", value, at)
        fields = {field.name: field for field in dataclasses.fields(kind)}
        for name in value:
            if name not in fields:
                raise DocumentError(
                    f"{self._what}: there is no field {name!r} at {at}." + did_you_mean(str(name), fields)
                )
        found = {}
        for name, field in fields.items():
            if name in value:
                found[name] = self.read(_hints(kind)[name], value[name], f"{at}.{name}")
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise DocumentError(f"{self._what}: the field {at}.{name} is missing")
        return kind(**found)

    def _union(self, kinds: tuple[Any, ...], value: Any, at: str) -> Any:
        if value is None and type(None) in kinds:
            return None
        others = [kind for kind in kinds if kind is not type(None)]
        return self.read(others[0], value, at)

    def _wrong(self, expected: str, value: Any, at: str) -> DocumentError:
        return DocumentError(f"{self._what}: expected {expected} at {at}, found {_show(value)}")


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
