"""What a run is given: parameter values and labels, as documents have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dag_factory._check import expect

__all__ = ["labels_of", "parameter_values"]


def labels_of(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Return labels as documents have them: texts."""
    return {str(key): str(value) for key, value in (tags or {}).items()}


def parameter_values(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return parameter values as runs take them: data paths and datasets as documents."""
    from dag_factory.ports.bases import DataValue
    from dag_factory.ports.parameter import data_document

    expect("pipeline_parameters=…", parameters or {}, Mapping, what="a dict of names to values")
    return {
        name: data_document(value) if isinstance(value, DataValue) else value
        for name, value in (parameters or {}).items()
    }
