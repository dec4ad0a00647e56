"""Reads ``*.pipeline.yaml`` files: YAML 1.2 values, positions for every error, all errors of a file at once.

Values are those of YAML 1.2: ``yes``, ``on`` and ``2026-01-31`` are text, ``1e-3`` is a number. A number with leading
zeros is text. The items of ``arguments`` are text as it is written there, so that a script gets ``1.10`` and not
``1.1``. Anchors, aliases and ``<<`` work; keys of the top level that begin with ``x-`` are for them, and not read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory.problems import Problem
from dag_factory.yaml_positions import Found, explain, locate
from dag_factory.yaml_values import Builder, compose

if TYPE_CHECKING:
    from dag_factory.definition import PipelineDefinition

__all__ = ["SUFFIXES", "Source", "pipeline_name", "read_definition", "read_document"]

SUFFIXES = (".pipeline.yaml", ".pipeline.yml")
"""How the names of files with pipelines end."""

_D = TypeVar("_D", bound="PipelineDefinition")


class Source:
    """The text that a definition was read from. Never makes two definitions different.

    :param file: None for text that is in no file.
    """

    def __init__(self, text: str = "", file: Path | None = None) -> None:
        self.text = text
        self.file = file
        self.pending: tuple[Found, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source)

    __hash__ = None  # type: ignore[assignment]

    @property
    def folder(self) -> Path | None:
        """The folder of the file."""
        return self.file.parent if self.file else None

    def refuse(self, problems: Iterable[Problem], *, what: str = "") -> None:
        """Raise an error with all problems, with their positions in the text; do nothing where there are none.

        :param what: what the problems are of, where there is no text.
        :raises DefinitionError: its ``problems`` are those that were given, each once.
        """
        unique = tuple(dict.fromkeys(problems))
        if not unique and not self.pending:
            return
        if self.text or self.file:
            error = DefinitionError(self._describe(unique))
        else:
            head = f"{what}: " if what else ""
            error = DefinitionError("\n".join(f"{head}{problem}" for problem in unique))
        error.problems = unique
        raise error from None

    def _describe(self, problems: Iterable[Problem]) -> str:
        try:
            root = compose(self.text)
        except Exception:  # noqa: BLE001 - it was readable before; without positions the problems still count
            root = None
        found = [*self.pending, *(locate(root, problem) for problem in problems)]
        lines = self.text.splitlines()
        return "\n".join(self._show(item, lines) for item in sorted(set(found)))

    def _show(self, found: Found, lines: list[str]) -> str:
        name = str(self.file) if self.file else "<text>"
        head = f"{name}:{found.line + 1}:{found.column + 1}: {found.message}"
        if found.line >= len(lines):
            return head
        line = lines[found.line]
        number = str(found.line + 1)
        blank = re.sub(r"[^\t]", " ", line[: found.column])
        marks = "^" * max(1, min(found.length, len(line) - found.column))
        return f"{head}\n  {number} | {line}\n  {' ' * len(number)} | {blank}{marks}"


def pipeline_name(file: Path) -> str:
    """Return the name of a pipeline whose file does not say another."""
    return next((file.name.removesuffix(end) for end in SUFFIXES if file.name.endswith(end)), file.stem)


def read_definition(model: type[_D], source: str | os.PathLike[str]) -> _D:
    """Return the definition in a file, or in text that has a line break.

    :raises DefinitionError: that names everything that is wrong, with file, line and column.
    """
    where = _open(source)
    document = read_document(where)
    if isinstance(document, dict) and where.file:
        document.setdefault("name", pipeline_name(where.file))
    if isinstance(document, dict):
        document = {key: value for key, value in document.items() if not str(key).startswith("x-")}
    try:
        definition = model.from_document(document, source=where)
    except DefinitionError as error:
        problems = [problem for problem in error.problems if isinstance(problem, Problem)]
        where.refuse([*problems, *_further_problems(model, document, where)])
        raise
    if where.pending:
        where.refuse(_resolve_problems(definition, where))
    return definition


def read_document(source: Source) -> Any:
    """Return the value that YAML text holds; what is wrong with keys and tags goes to ``source.pending``.

    :raises DefinitionError: where the text is no YAML.
    """
    import yaml

    try:
        root = compose(source.text)
    except yaml.YAMLError as error:
        source.pending = (explain(error, source.text),)
    except RecursionError:
        source.pending = (Found(0, 0, 1, "it is nested too deeply"),)
    else:
        if root is None:
            source.pending = (Found(0, 0, 1, "the file is empty: expected `name:` and `steps:`"),)
        else:
            builder = Builder()
            document = builder.build(root, "")
            source.pending = tuple(builder.found)
            return document
    source.refuse(())
    raise AssertionError(source.pending)


def _open(source: str | os.PathLike[str]) -> Source:
    if isinstance(source, str) and "\n" in source:
        return Source(source)
    file = Path(source)
    try:
        return Source(file.read_bytes().decode("utf-8-sig"), file)
    except FileNotFoundError:
        raise DefinitionError(f"{file}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{file}: it is no UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise DefinitionError(f"{file}: it can't be read: {error.strerror}") from None


# --- all problems at once -----------------------------------------------------------------------------------------


def _resolve_problems(definition: PipelineDefinition, source: Source) -> list[Problem]:
    from dag_factory.resolve import find_resolve_problems

    return find_resolve_problems(definition, source.folder)


def _further_problems(model: type[_D], document: Any, source: Source) -> list[Problem]:
    """Return what else is wrong, apart from the fields that are wrong by themselves."""
    from pydantic import ValidationError

    if not isinstance(document, dict):
        return []
    reported: set[tuple[str | int, ...]] = set()
    gone: set[tuple[str | int, ...]] = set()
    for _ in range(3):
        try:
            definition = model.model_validate(document)
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
                for problem in _resolve_problems(definition, source)
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
