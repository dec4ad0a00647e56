"""A pipeline as people write it: read from a ``*.pipeline.yaml`` document or a spec, written as one.

What is written short (``images: images``, ``C: 1.0``, ``schedule: "@daily"``) is read as if it were written long, so
code sees one form. :meth:`PipelineDefinition.to_spec` resolves the names and checks what goes beyond one field.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from airflow_ml_pipelines.written.problems import Problem
from airflow_ml_pipelines.written.source import Source
from dag_factory.models.pipeline import PipelineModel

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import PipelineSpec

__all__ = ["PipelineDefinition", "save_spec"]


class PipelineDefinition(PipelineModel):
    """A pipeline."""

    @classmethod
    def from_document(cls, document: Any, *, source: Source | None = None) -> Self:
        """Return the definition that a document (a mapping with mappings and lists in it) holds.

        :raises DefinitionError: that names everything that is wrong with single fields.
        """
        from airflow_ml_pipelines.written.read import fit
        from dag_factory.resolve.resolve import find_resolve_problems

        source = source or Source()
        if not isinstance(document, Mapping):
            source.refuse([Problem((), "expected a mapping with `name:` and `steps:`")])
        check = partial(find_resolve_problems, base_directory=source.folder) if source.layers else None
        definition = fit(cls, document, source, check)
        definition._source = source  # noqa: SLF001 - ours
        return definition

    @classmethod
    def from_yaml(cls, source: str | os.PathLike[str]) -> Self:
        """Return the definition in a YAML file, or in YAML text (which has a line break).

        :raises DefinitionError: that names everything that is wrong, with file, line and column.
        """
        from dag_factory.definitions.read import read_definition

        return read_definition(cls, source)

    @classmethod
    def from_spec(cls, spec: PipelineSpec) -> Self:
        """Return the definition whose :meth:`to_spec` is a spec."""
        from dag_factory.resolve.unresolve import document_of

        return cls.from_document(document_of(spec))

    def to_yaml(self) -> str:
        """Return the YAML text that :meth:`from_yaml` reads as this definition."""
        from dag_factory.definitions.write import write_definition

        return write_definition(self)

    def to_spec(
        self, base_directory: str | os.PathLike[str] | None = None, *, check_files: bool = True
    ) -> PipelineSpec:
        """Return the pipeline with every name resolved.

        :param base_directory: what relative source directories are relative to; None for the folder of the file
            that the definition was read from, else the current directory.
        :param check_files: whether the scripts must be there.
        :raises DefinitionError: that names everything that is wrong.
        """
        from dag_factory.resolve.resolve import resolve

        return resolve(self, base_directory, check_files=check_files)


def save_spec(spec: PipelineSpec, path: str | os.PathLike[str]) -> None:
    """Write a pipeline as a YAML document."""
    Path(path).write_text(PipelineDefinition.from_spec(spec).to_yaml(), encoding="utf-8")
