"""Turns data entries of a definition into specs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec

from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.spec import Data, Location, RegisteredDataset, TabularFormat
from airflow_ml_pipelines.core.stores.credentials import check_url
from airflow_ml_pipelines.runtime.table_options import partition_pattern
from airflow_ml_pipelines.written.problems import Path, Problem
from dag_factory.models.data import DataDefinition
from dag_factory.models.pipeline import PipelineModel
from dag_factory.models.tables import TabularOptions
from dag_factory.resolve.checks import caught

__all__ = ["check_partitions", "resolve_data", "tabular_format"]

_HOW = "make a datastore of it in the workspace, which takes the credentials from somewhere else"


def resolve_data(
    entry: DataDefinition, path: Path, definition: PipelineModel, problems: list[Problem]
) -> Data | RegisteredDataset | None:
    """Return what a data entry names; None where that can't be told."""
    given = [name for name in ("path", "paths", "url", "query", "dataset") if getattr(entry, name)]
    if len(given) != 1:
        found = f"found {' and '.join(f'`{name}`' for name in given)}" if given else "found none of them"
        problems.append(
            Problem(
                path, f"expected one of `path`, `paths`, `url`, `query` and `dataset`, {found}", at_key=True
            )
        )
        return None
    _check_fields(entry, path, problems)
    if entry.dataset is not None:
        return RegisteredDataset(dataset=entry.dataset, version=entry.version)
    if entry.query is not None:
        return Data(
            locations=(Location(datastore=entry.datastore or definition.default_datastore, path=""),),
            tabular=msgspec.structs.replace(tabular_format(entry), format="parquet"),
            query=entry.query.strip(),
            query_timeout=entry.query_timeout,
        )
    places: tuple[str | dict[str, str], ...] = entry.paths or (entry.path or entry.url or "",)
    _check_places(entry, path, places, problems)
    problems += check_partitions(entry.partition_format, (*path, "partition_format"))
    datastore = entry.datastore or definition.default_datastore
    return Data(
        locations=tuple(_location(place, datastore) for place in places),
        form="auto" if entry.type == "tabular" else entry.type,
        tabular=tabular_format(entry) if entry.type == "tabular" else None,
        partition_format=entry.partition_format if entry.type != "tabular" else None,
    )


def _check_fields(entry: DataDefinition, path: Path, problems: list[Problem]) -> None:
    """Find fields that mean nothing beside the others."""
    options = [name for name in TabularOptions.model_fields if name in entry.model_fields_set]
    idle: dict[str, str] = {}
    if entry.dataset is not None:
        idle = dict.fromkeys(
            ("datastore", "type", "query_timeout", *options),
            "means nothing for a registered dataset: leave it out",
        )
    else:
        idle["version"] = "means something for a registered dataset only"
        of_tables = [name for name in options if name != "partition_format"]
        if of_tables and entry.type != "tabular" and entry.query is None:
            idle[of_tables[0]] = "means something with `type: tabular` only"
        if entry.query is None:
            idle["query_timeout"] = "means something with `query` only"
        elif entry.type not in ("auto", "tabular"):
            idle["type"] = "means nothing beside `query`, which is a table: leave it out"
        if entry.url is not None:
            idle["datastore"] = "means nothing beside `url`: leave it out"
    problems.extend(
        Problem((*path, name), message, at_key=True)
        for name, message in idle.items()
        if name in entry.model_fields_set
    )
    if entry.dataset is not None and entry.version is not None and entry.version < 1:
        problems.append(Problem((*path, "version"), f"expected a version from 1 on, found {entry.version}"))
    if entry.url is not None and "://" not in entry.url:
        problems.append(Problem((*path, "url"), f"expected a URL such as https://…, found {entry.url!r}"))


def _check_places(
    entry: DataDefinition, path: Path, places: tuple[str | dict[str, str], ...], problems: list[Problem]
) -> None:
    """Find URLs that have a secret in them."""
    for index, place in enumerate(places):
        if isinstance(place, str) and "://" in place:
            where: Path = ("paths", index) if entry.paths else ("path" if entry.path else "url",)
            problems += caught((*path, *where), partial(check_url, place, "data", _HOW))


def check_partitions(text: str | None, path: Path) -> list[Problem]:
    """Return what is wrong with the form of paths of files."""
    try:
        partition_pattern(text)
    except DataError as error:
        return [Problem(path, str(error))]
    return []


def _location(place: str | Mapping[str, str], datastore: str | None) -> Location:
    if not isinstance(place, str):
        return Location(datastore=place["datastore"], path=place["path"])
    return Location(datastore=None if "://" in place else datastore, path=place)


def tabular_format(options: TabularOptions) -> TabularFormat:
    """Return how delimited files are read, as runs know it."""
    return TabularFormat(**{name: getattr(options, name) for name in TabularOptions.model_fields})
