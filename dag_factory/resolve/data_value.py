"""Writes data as the value of a parameter, which :func:`airflow_ml_pipelines.core.parameters.read_data` reads."""

from __future__ import annotations

from typing import Any

import msgspec

from airflow_ml_pipelines.core.spec import Data, RegisteredDataset

__all__ = ["data_value"]


def data_value(data: Data | RegisteredDataset) -> dict[str, Any]:
    """Return data as the value of a parameter, as short as it can be written."""
    if isinstance(data, RegisteredDataset):
        return {"dataset": data.dataset} | ({"version": data.version} if data.version is not None else {})
    if len(data.locations) == 1 and data.form == "auto" and not (data.tabular or data.partition_format):
        location = data.locations[0]
        if location.datastore is not None:
            return {"datastore": location.datastore, "path": location.path}
        return {"url" if "://" in location.path else "path": location.path}
    document: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode(data)
    )  # lists, as JSON schemas want them
    return document
