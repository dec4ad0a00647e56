"""Finds the class that a compute target's type stands for, and reads what the workspace says of a target."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import msgspec

from airflow_ml_pipelines.core.documents import convert
from airflow_ml_pipelines.core.errors import ComputeTargetException, did_you_mean
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec
from airflow_ml_pipelines.execution.targets.port import ComputeTarget

__all__ = [
    "GROUP",
    "check_target",
    "identify_image",
    "open_target",
    "read_options",
    "target_types",
    "used_target",
    "using_target",
]

GROUP = "airflow_ml_pipelines.compute_targets"
"""The group of entry points that name the classes of compute targets."""

_BUILT_IN = {
    "adla": "airflow_ml_pipelines.execution.adla:AdlaTarget",
    "databricks": "airflow_ml_pipelines.execution.targets.databricks:DatabricksTarget",
    "docker": "airflow_ml_pipelines.execution.targets.docker:DockerTarget",
    "kubernetes": "airflow_ml_pipelines.execution.targets.kubernetes:KubernetesTarget",
    "local": "airflow_ml_pipelines.execution.targets.local:LocalTarget",
    "spark": "airflow_ml_pipelines.execution.targets.spark:SparkTarget",
}

Factory = Callable[[ComputeTargetSpec], ComputeTarget]

_T = TypeVar("_T", bound=msgspec.Struct)

_used: ComputeTarget | None = None


def open_target(spec: ComputeTargetSpec) -> ComputeTarget:
    """Return the compute target that a spec describes. Nothing is asked of it yet.

    :raises ComputeTargetException: where there is no such type, or its options are wrong.
    """
    return _used if _used is not None else _factory(spec)(spec)


def identify_image(spec: ComputeTargetSpec, image: str) -> str:
    """Ask a compute target for the name by digest of an image. :raises ComputeTargetException: where it can't tell."""
    return open_target(spec).identify_image(image)


def check_target(spec: ComputeTargetSpec) -> None:
    """Refuse a target whose type is known and whose options are wrong. :raises ComputeTargetException: naming them."""
    if spec.type in target_types():
        _factory(spec)(spec)


def target_types() -> list[str]:
    """Return the types that there are."""
    return sorted({*_BUILT_IN, *_entry_points()})


@contextmanager
def using_target(target: ComputeTarget) -> Iterator[None]:
    """Let every step of this process run on one target, whatever its own is; for tests."""
    global _used  # noqa: PLW0603 - one per process
    before, _used = _used, target
    try:
        yield
    finally:
        _used = before


def used_target() -> ComputeTarget | None:
    """Return the target that :func:`using_target` has set, None where it has not."""
    return _used


def read_options(spec: ComputeTargetSpec, kind: type[_T]) -> _T:
    """Return a target's options as a struct.

    :raises ComputeTargetException: where one is not known, or of another type.
    """
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    where = f"compute target {spec.name!r} of type {spec.type!r}"
    for name in spec.options:
        if name not in known:
            raise ComputeTargetException(f"{where}: unknown option {name!r}.{did_you_mean(name, known)}")
    try:
        options: _T = convert(dict(spec.options), kind)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at ")
        option = place.strip("`").removeprefix("$.")
        raise ComputeTargetException(f"{where}: {option or 'options'}: {_lower(text)}") from None
    return options


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].replace("`", "")


def _factory(spec: ComputeTargetSpec) -> Factory:
    place = _BUILT_IN.get(spec.type)
    if place is not None:
        module, _, name = place.partition(":")
        factory: Factory = getattr(importlib.import_module(module), name)
        return factory
    point = _entry_points().get(spec.type)
    if point is None:
        raise ComputeTargetException(
            f"compute target {spec.name!r} is of type {spec.type!r}, which there is not."
            + did_you_mean(spec.type, target_types())
        )
    try:
        loaded: Any = point.load()
    except Exception as error:  # another distribution's code
        raise ComputeTargetException(
            f"compute target {spec.name!r}: its type {spec.type!r} can't be loaded from {point.value}: "
            f"{type(error).__name__}: {error}"
        ) from error
    return loaded  # type: ignore[no-any-return]


@cache
def _entry_points() -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
