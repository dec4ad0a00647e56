"""Libraries of steps on Spark as Databricks' API has them, from how people write them down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from airflow_ml_pipelines.core.errors import DefinitionError

__all__ = ["LIBRARY_LISTS", "file_library", "read_libraries"]

LIBRARY_LISTS: Final[Mapping[str, tuple[str, str | None]]] = {
    "maven_libraries": ("maven", "coordinates"),
    "pypi_libraries": ("pypi", "package"),
    "egg_libraries": ("egg", None),
    "jar_libraries": ("jar", None),
    "rcran_libraries": ("cran", "package"),
}
"""The field of the API that each list is for, and the name in it that a text stands for; None for a file's URI."""

_OTHERS = {"coordinates": ("repo", "exclusions"), "package": ("repo",)}


def file_library(kind: str, uri: str) -> dict[str, Any]:
    """Return a library that is a file; wheels are given in the list of eggs, as the reference has it."""
    return {"whl" if kind == "egg" and uri.endswith(".whl") else kind: uri}


def read_libraries(
    given: Mapping[str, Sequence[str | Mapping[str, Any]] | None],
) -> tuple[dict[str, Any], ...]:
    """Return the libraries of a step.

    :param given: lists by their names in :data:`LIBRARY_LISTS`; an item is text, or a mapping as in the API.
    :raises DefinitionError: where one is something else; the text says what is expected.
    """
    found = []
    for name, (kind, field) in LIBRARY_LISTS.items():
        items = given.get(name) or ()
        if isinstance(items, str | Mapping) or not isinstance(items, Sequence):
            raise DefinitionError(f"{name}: expected a list, found {items!r}")
        found += [_read(name, kind, field, item) for item in items]
    return tuple(found)


def _read(name: str, kind: str, field: str | None, item: Any) -> dict[str, Any]:
    if isinstance(item, str) and item:
        return file_library(kind, item) if field is None else {kind: {field: item}}
    known = () if field is None else (field, *_OTHERS[field])
    if field is None or not isinstance(item, Mapping) or not item.get(field) or not set(item) <= set(known):
        wanted = "the URI of a file" if field is None else f"text, or a mapping of {', '.join(known)}"
        raise DefinitionError(f"{name}: expected {wanted}, found {item!r}")
    return {kind: dict(item)}
