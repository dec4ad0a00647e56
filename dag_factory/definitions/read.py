"""Reads ``*.pipeline.yaml`` files: YAML 1.2 values, positions for every error, all errors of a file at once.

The items of ``arguments`` are text as it is written there, so that a script gets ``1.10`` and not ``1.1``. Anchors,
aliases and ``<<`` work; keys of the top level that begin with ``x-`` are for them, and not read. A file may extend
another (:mod:`airflow_ml_pipelines.written.extends`), whose ``name`` is its own, and whose source directories are
relative to it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.definition_files import pipeline_name
from airflow_ml_pipelines.written.extends import merge, read_chain
from airflow_ml_pipelines.written.positions import Found
from airflow_ml_pipelines.written.read import open_layer
from airflow_ml_pipelines.written.source import Layer, Source
from airflow_ml_pipelines.written.values import ANYTHING, AS_WRITTEN, SELF

if TYPE_CHECKING:
    from dag_factory.definitions.definition import PipelineDefinition

__all__ = ["PLACES", "read_definition"]

_TABLE = {"operations": ANYTHING}
PLACES = {
    "parameters": {"*": {SELF: ANYTHING, "default": ANYTHING, "enum": ANYTHING}},
    "schedule": {"arguments": ANYTHING},
    "data": {"*": _TABLE},
    "steps": {
        "*": {
            "arguments": AS_WRITTEN,
            "parameters": ANYTHING,
            "inputs": {"*": _TABLE},
            "outputs": {"*": {"tabular": _TABLE}},
        }
    },
}
"""Where in a definition values are more, or less, than YAML makes of them."""

_D = TypeVar("_D", bound="PipelineDefinition")


def read_definition(model: type[_D], text: str | os.PathLike[str]) -> _D:
    """Return the definition in a file, or in text that has a line break.

    :raises DefinitionError: that names everything that is wrong, with file, line and column.
    """
    layer = _open(text)
    layers, (document, *bases), is_whole = read_chain(layer, PLACES, DefinitionError)
    if document is None and not layer.found:
        layer.found = (Found(0, 0, 1, "the file is empty: expected `name:` and `steps:`"),)
    source = Source(layers)
    if document is None or not is_whole:
        source.refuse()
    if isinstance(document, dict):
        if layer.file:
            document.setdefault("name", pipeline_name(layer.file))
        document = _merge(
            document, [_rebased(base, at, layer) for base, at in zip(bases, layers[1:], strict=True)]
        )
    return model.from_document(document, source=source)


def _merge(document: dict[str, Any], bases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what a file says on top of those that it extends, without the room for anchors."""
    for base in bases:
        document = merge(document, base)
    return {name: value for name, value in document.items() if not name.startswith("x-")}


def _rebased(document: Any, layer: Layer, first: Layer) -> dict[str, Any]:
    """Return what a file that is extended gives to the first one."""
    if not isinstance(document, dict):
        return {}
    given = {name: value for name, value in document.items() if name != "name"}
    steps = given.get("steps")
    if isinstance(steps, dict):
        given["steps"] = {step: _moved(fields, layer, first) for step, fields in steps.items()}
    moved: dict[str, Any] = _moved(given, layer, first)
    return moved


def _moved(fields: Any, layer: Layer, first: Layer) -> Any:
    """Return fields with a source directory that is relative to the first file."""
    if not isinstance(fields, dict) or not isinstance(fields.get("source_directory"), str):
        return fields
    here, there = (os.path.dirname(at.file or "") for at in (first, layer))
    moved = os.path.join(there, fields["source_directory"])
    if not os.path.isabs(fields["source_directory"]):
        moved = os.path.relpath(moved, here or ".")
    return {**fields, "source_directory": moved.replace(os.sep, "/")}


def _open(text: str | os.PathLike[str]) -> Layer:
    if isinstance(text, str) and "\n" in text:
        return Layer(text)
    return open_layer(Path(text), DefinitionError)
