"""The dataset that an output becomes when its step has ended well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import expect

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import RegisterSpec

__all__ = ["registration"]


def registration(
    where: str, name: str, description: str | None, tags: Mapping[str, str] | None
) -> RegisterSpec:
    from airflow_ml_pipelines.core.spec import RegisterSpec

    expect(f"{where}(name=…)", name, str, what="the name of a dataset")
    if not name.strip():
        raise DefinitionError(f"{where}: the dataset needs a name")
    labels = {str(key): str(value) for key, value in (tags or {}).items()}
    return RegisterSpec(name=name, description=description, tags=labels)
