"""Reads ``*.pipeline.yaml`` files: YAML 1.2 values, positions for every error, all errors of a file at once.

The items of ``arguments`` are text as it is written there, so that a script gets ``1.10`` and not ``1.1``. Anchors,
aliases and ``<<`` work; keys of the top level that begin with ``x-`` are for them, and not read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.written.positions import Found
from airflow_ml_pipelines.written.read import build, open_layer
from airflow_ml_pipelines.written.source import Layer, Source
from airflow_ml_pipelines.written.values import ANYTHING, AS_WRITTEN, SELF

if TYPE_CHECKING:
    from dag_factory.definition import PipelineDefinition

__all__ = ["SUFFIXES", "pipeline_name", "read_definition"]

SUFFIXES = (".pipeline.yaml", ".pipeline.yml")
"""How the names of files with pipelines end."""

_PLACES = {
    "parameters": {"*": {SELF: ANYTHING, "default": ANYTHING, "enum": ANYTHING}},
    "schedule": {"arguments": ANYTHING},
    "steps": {"*": {"arguments": AS_WRITTEN, "parameters": ANYTHING}},
}

_D = TypeVar("_D", bound="PipelineDefinition")


def pipeline_name(file: Path) -> str:
    """Return the name of a pipeline whose file does not say another."""
    return next((file.name.removesuffix(end) for end in SUFFIXES if file.name.endswith(end)), file.stem)


def read_definition(model: type[_D], text: str | os.PathLike[str]) -> _D:
    """Return the definition in a file, or in text that has a line break.

    :raises DefinitionError: that names everything that is wrong, with file, line and column.
    """
    layer = _open(text)
    source = Source([layer])
    document = build(layer, _PLACES)
    if document is None and not layer.found:
        layer.found = (Found(0, 0, 1, "the file is empty: expected `name:` and `steps:`"),)
    if document is None:
        source.refuse()
    if isinstance(document, dict):
        if layer.file:
            document.setdefault("name", pipeline_name(layer.file))
        document = {key: value for key, value in document.items() if not key.startswith("x-")}
    return model.from_document(document, source=source)


def _open(text: str | os.PathLike[str]) -> Layer:
    if isinstance(text, str) and "\n" in text:
        return Layer(text)
    return open_layer(Path(text), DefinitionError)
