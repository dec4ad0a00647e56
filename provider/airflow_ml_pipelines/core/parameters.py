"""Checks the values that a run gives to its pipeline's parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from airflow_ml_pipelines.core.documents import convert
from airflow_ml_pipelines.core.errors import ParameterError, did_you_mean
from airflow_ml_pipelines.core.spec import Data, Location, ParameterSpec, RegisteredDataset

__all__ = ["argument_text", "check_parameters", "check_value", "read_data"]

_SHOWN = 200
_LEAST, _MOST = -(2**63), 2**63 - 1  # what documents can hold


def check_parameters(specs: Sequence[ParameterSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every parameter of a pipeline: the given one, else the default.

    :raises ParameterError: that names every unknown, missing and ill-typed parameter at once.
    """
    known = {spec.name: spec for spec in specs}
    problems = [
        f"there is no parameter {name!r}.{did_you_mean(name, known)}" for name in given if name not in known
    ]
    values: dict[str, Any] = {}
    for name, spec in known.items():
        if name not in given:
            if spec.required:
                problems.append(f"parameter {name!r} has no default: give it a value ({describe(spec)})")
            values[name] = spec.default
            continue
        try:
            values[name] = check_value(spec, given[name])
        except ParameterError as error:
            problems.append(str(error))
    if problems:
        raise ParameterError("\n".join(problems))
    return values


def check_value(spec: ParameterSpec, value: Any) -> Any:
    """Return a value as the parameter's type has it (an integer for a number becomes a float).

    :raises ParameterError: that names the parameter, what it takes and what it got.
    """
    if spec.type == "data":
        try:
            read_data(value)
        except ParameterError as error:
            raise ParameterError(f"parameter {spec.name!r}: {error}") from None
        return value
    taken = _typed(spec, value)
    inside = (
        taken is not None
        and (not spec.enum or taken in spec.enum)
        and (spec.minimum is None or taken >= spec.minimum)
        and (spec.maximum is None or taken <= spec.maximum)
    )
    if not inside:
        shown = repr(value) if len(repr(value)) <= _SHOWN else repr(value)[:_SHOWN] + "…"
        raise ParameterError(
            f"parameter {spec.name!r} takes {describe(spec)}, not {shown} ({type(value).__name__})"
        )
    return taken


def _typed(spec: ParameterSpec, value: Any) -> Any:
    """Return a value as the parameter's type has it, None where it is of another type."""
    if isinstance(value, bool) or spec.type == "boolean":
        return value if isinstance(value, bool) and spec.type == "boolean" else None
    if spec.type == "string":
        return value if isinstance(value, str) else None
    if spec.type == "integer":
        return value if isinstance(value, int) and _LEAST <= value <= _MOST else None
    try:
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
    except OverflowError:  # an integer that no float can be
        return None


def describe(spec: ParameterSpec) -> str:
    """Say what values a parameter takes."""
    if spec.enum:
        return f"{spec.type}, one of " + ", ".join(repr(item) for item in spec.enum)
    bounds = [f"at least {spec.minimum:g}"] if spec.minimum is not None else []
    bounds += [f"at most {spec.maximum:g}"] if spec.maximum is not None else []
    return f"{spec.type}, " + " and ".join(bounds) if bounds else spec.type


def read_data(value: Any) -> Data | RegisteredDataset:
    """Return the data that a value of a ``data`` parameter names.

    It is ``{datastore, path}``, ``{url}``, ``{dataset, version}``, what
    :class:`~airflow_ml_pipelines.core.spec.Data` is stored as, or ``{DataStoreName, RelativePath}`` as in the
    reference's REST calls.

    :raises ParameterError: for anything else.
    """
    if isinstance(value, Data | RegisteredDataset):
        return value
    if isinstance(value, Mapping):
        keys = set(value)
        texts = all(
            isinstance(value[key], str)
            for key in keys - {"version", "locations", "form", "tabular", "type", "query_timeout"}
        )
        if keys == {"DataStoreName", "RelativePath"} and texts:
            return Data(locations=(Location(datastore=value["DataStoreName"], path=value["RelativePath"]),))
        if keys in ({"datastore", "path"}, {"path"}) and texts:
            return Data(locations=(Location(datastore=value.get("datastore"), path=value["path"]),))
        if keys == {"url"} and texts:
            return Data(locations=(Location(path=value["url"]),))
        try:
            return cast("Data | RegisteredDataset", convert(value, Data | RegisteredDataset))
        except msgspec.ValidationError:
            if keys in ({"dataset"}, {"dataset", "version"}):
                version = value.get("version")
                if isinstance(value["dataset"], str) and (version is None or type(version) is int):
                    return RegisteredDataset(dataset=value["dataset"], version=version)
    raise ParameterError(
        "expected data as {'datastore': …, 'path': …}, {'url': …} or {'dataset': …, 'version': …}, "
        f"found {str(value)[:200]!r}"
    )


def argument_text(value: Any) -> str:
    """Return a parameter's value as the script gets it in an argument or a variable."""
    return value if isinstance(value, str) else repr(value) if isinstance(value, float) else str(value)
