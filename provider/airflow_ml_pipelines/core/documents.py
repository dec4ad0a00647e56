"""Reads and writes the documents that are stored: JSON objects with their schema version on top.

A document of a newer schema than the reader knows is an error of its own (:class:`NewerDocumentError`), which callers
turn into a miss with a reason; anything else that is wrong names the document and the place in it.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any, TypeVar, cast

import msgspec

from airflow_ml_pipelines.core.errors import DocumentError, NewerDocumentError

__all__ = ["PRETTY_SIZE", "convert", "decoder_of", "read_document", "write_document"]

PRETTY_SIZE = 64 << 10
"""Bytes up to which a document is written indented, for people to read."""

_T = TypeVar("_T")


class _Head(msgspec.Struct):
    schema: int


_read_head = msgspec.json.Decoder(_Head).decode


def read_document(data: bytes, kind: type[_T], *, what: str, schema: int) -> _T:
    """Return the document that bytes hold.

    :param kind: the type to decode as.
    :param what: how an error calls the document, such as ``record reuse/ab/abc.json``.
    :param schema: the newest schema version that the caller knows.
    :raises NewerDocumentError: where the document's schema is newer.
    :raises DocumentError: where it is no such document; the text says where, as ``$.steps[0].script``.
    """
    try:
        found = _read_head(data).schema
        if found > schema:
            raise NewerDocumentError(
                f"{what} has schema {found}, this version of airflow-provider-ml-pipelines reads up to {schema}: "
                "a newer version wrote it, upgrade to read it"
            )
        document: _T = decoder_of(kind).decode(data)
    except msgspec.ValidationError as error:
        raise DocumentError(f"{what} is not what it should be: {_lower(str(error))}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DocumentError(f"{what} is no JSON document: {_lower(str(error))}") from None
    except RecursionError:
        raise DocumentError(f"{what} is nested too deeply") from None
    return document


def write_document(value: Any) -> bytes:
    """Return a document's bytes, indented unless it is large.

    :param value: a struct or dict with a ``schema``; it is written even where it is a default that would be left out.
    :raises TypeError: where there is no ``schema``.
    """
    document = msgspec.to_builtins(value)
    if not isinstance(document, dict):
        raise TypeError(f"a document is an object with a schema, not a {type(value).__name__}")
    if "schema" not in document:
        schema = getattr(value, "schema", None)
        if not isinstance(schema, int):
            raise TypeError(f"{type(value).__name__} has no schema version: give it a field `schema: int`")
        document = {"schema": schema, **document}
    data = msgspec.json.encode(document)
    return msgspec.json.format(data, indent=2) + b"\n" if len(data) <= PRETTY_SIZE else data


def convert(value: object, kind: Any) -> Any:
    """Return a plain value as another type, like ``msgspec.convert``, for any number of threads.

    :raises msgspec.ValidationError: where it is no such value.
    """
    decoder_of(kind)
    return msgspec.convert(value, kind)


def decoder_of(kind: type[_T]) -> msgspec.json.Decoder[_T]:
    """Return the decoder of a type, made once and by one thread."""
    with _MAKING:
        found: msgspec.json.Decoder[_T] = _make_decoder(cast("Any", kind))
    return found


@lru_cache(maxsize=256)
def _make_decoder(kind: Any) -> Any:
    return msgspec.json.Decoder(kind)


_MAKING = threading.Lock()
"""Two threads that make decoders of one type at once crash the process: msgspec gives one what the other has half made."""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
