"""Reads a file that extends another: ``extends: ../defaults.yaml``, a path from the file that says so.

What the file says goes before what the other one says: mappings are merged, field by field, at any depth; lists and
single values take the place of those in the other file, ``null`` too. The other file may extend a third one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from airflow_ml_pipelines.core.errors import MlPipelinesError, did_you_mean
from airflow_ml_pipelines.written.positions import Found, locate
from airflow_ml_pipelines.written.problems import Problem, describe_value
from airflow_ml_pipelines.written.read import build, open_layer
from airflow_ml_pipelines.written.source import Layer
from airflow_ml_pipelines.written.values import Places

__all__ = ["FIELD", "Chain", "merge", "read_chain"]

FIELD = "extends"
"""The field that names the other file."""


class Chain(NamedTuple):
    """A file and all that it extends; its own text and document come first.

    :param is_whole: whether every one of them could be read.
    """

    layers: list[Layer]
    documents: list[Any]
    is_whole: bool


def read_chain(layer: Layer, places: Places, error: type[MlPipelinesError]) -> Chain:
    """Return a file and all that it extends; what is wrong goes to ``found`` of the text in which it is wrong.

    :param error: the class of errors of files that can't be read; none leaves this function.
    """
    document = build(layer, places)
    layers, documents = [layer], [document]
    while isinstance(document, dict) and FIELD in document:
        last = layers[-1]
        try:
            base = _open_base(document.pop(FIELD), layers, error)
        except error as problem:
            _, found = locate([last.compose()], Problem((FIELD,), str(problem)))
            last.found += (found,)
            return Chain(layers, documents, is_whole=False)
        document = build(base, places)
        layers.append(base)
        documents.append(document)
        if not isinstance(document, dict) and not base.found:
            base.found = (Found(0, 0, 1, f"expected a mapping, found {describe_value(document)}"),)
    return Chain(layers, documents, all(isinstance(document, dict) for document in documents[1:]))


def merge(document: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Return what a document says on top of another one; fields of that one come first."""
    merged = dict(base)
    for name, value in document.items():
        other = base.get(name)
        merged[name] = merge(value, other) if isinstance(value, dict) and isinstance(other, dict) else value
    return merged


def _open_base(name: Any, layers: list[Layer], error: type[MlPipelinesError]) -> Layer:
    if not isinstance(name, str) or not name or "\0" in name:
        raise error(f"expected the path of a file, found {describe_value(name)}")
    folder = layers[-1].file.parent if layers[-1].file else Path()
    file = Path(os.path.normpath(folder / name))
    for place, layer in enumerate(layers):
        if layer.file and os.path.realpath(layer.file) == os.path.realpath(file):
            chain = [*(str(item.file) for item in layers[place:]), str(file)]
            raise error(f"files extend each other: {' → '.join(chain)}")
    if not file.is_file():
        beside = [entry.name for entry in file.parent.glob("*.y*ml")] if file.parent.is_dir() else []
        hint = did_you_mean(file.name, beside) if beside else ""
        raise error(f"there is no file {str(file)!r}{f'.{hint}' if hint else ''}")
    return open_layer(file, error)
