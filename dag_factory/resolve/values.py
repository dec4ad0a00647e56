"""Turns the data, parameters and environments of a definition into specs, with every name resolved."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_ml_pipelines.core.errors import DataError, ParameterError, WorkspaceError, did_you_mean
from airflow_ml_pipelines.core.parameters import check_value, read_data
from airflow_ml_pipelines.core.spec import (
    Data,
    EnvironmentSpec,
    Location,
    ParameterSpec,
    RegisteredDataset,
    TabularFormat,
)
from airflow_ml_pipelines.core.stores.credentials import check_environment, check_url
from airflow_ml_pipelines.runtime.table_options import partition_pattern
from airflow_ml_pipelines.written.problems import Path, Problem, find_problems, show_name
from dag_factory.models.data import DataDefinition
from dag_factory.models.environment import EnvironmentDefinition
from dag_factory.models.parameter import ParameterDefinition
from dag_factory.models.tables import TabularOptions

if TYPE_CHECKING:
    from dag_factory.models.pipeline import PipelineModel

__all__ = [
    "RUN_OPTIONS",
    "check_partitions",
    "data_value",
    "resolve_data",
    "resolve_environment",
    "resolve_parameter",
    "tabular_format",
]

RUN_OPTIONS = ("regenerate_outputs", "continue_on_step_failure", "experiment_name")
"""What a run takes besides the pipeline's parameters."""

_HOW = "make a datastore of it in the workspace, which takes the credentials from somewhere else"
_PYTHON = re.compile(r"\d+(\.\d+){0,2}")


# --- data ---------------------------------------------------------------------------------------------------------


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
            problems += _caught((*path, *where), partial(check_url, place, "data", _HOW))


def check_partitions(text: str | None, path: Path) -> list[Problem]:
    """Return what is wrong with the form of paths of files."""
    try:
        partition_pattern(text)
    except DataError as error:
        return [Problem(path, str(error))]
    return []


def _caught(path: Path, check: Callable[[], object]) -> list[Problem]:
    try:
        check()
    except WorkspaceError as error:
        return [Problem(path, str(error))]
    return []


def _location(place: str | Mapping[str, str], datastore: str | None) -> Location:
    if not isinstance(place, str):
        return Location(datastore=place["datastore"], path=place["path"])
    return Location(datastore=None if "://" in place else datastore, path=place)


def tabular_format(options: TabularOptions) -> TabularFormat:
    """Return how delimited files are read, as runs know it."""
    return TabularFormat(**{name: getattr(options, name) for name in TabularOptions.model_fields})


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


# --- parameters ---------------------------------------------------------------------------------------------------


def resolve_parameter(
    name: str, entry: ParameterDefinition, path: Path, definition: PipelineModel, problems: list[Problem]
) -> ParameterSpec:
    """Return a parameter as runs know it."""
    if name in RUN_OPTIONS:
        problems.append(
            Problem(path, f"{name!r} is an option of every run: call the parameter otherwise", at_key=True)
        )
    numeric = entry.type in ("integer", "number")
    problems.extend(
        Problem((*path, bound), f"means nothing for the type {entry.type!r}", at_key=True)
        for bound in ("minimum", "maximum")
        if getattr(entry, bound) is not None and not numeric
    )
    if entry.minimum is not None and entry.maximum is not None and entry.minimum > entry.maximum:
        problems.append(
            Problem((*path, "minimum"), f"{entry.minimum:g} is more than the maximum, {entry.maximum:g}")
        )
    default = entry.default
    if entry.type == "data":
        if entry.enum:
            problems.append(Problem((*path, "enum"), "means nothing for the type 'data'", at_key=True))
        if default is not None:
            default = _data_default(default, (*path, "default"), definition, problems)
        spec = ParameterSpec(name=name, type="data")
    else:
        bare = ParameterSpec(
            name=name,
            type=entry.type,
            minimum=entry.minimum if numeric else None,
            maximum=entry.maximum if numeric else None,
        )
        enum = tuple(_checked(bare, item, (*path, "enum", i), problems) for i, item in enumerate(entry.enum))
        spec = msgspec.structs.replace(bare, enum=enum)
        if default is not None:
            default = _checked(spec, default, (*path, "default"), problems)
    return msgspec.structs.replace(
        spec,
        default=default,
        required=default is None,
        description=entry.description,
        title=entry.title,
        section=entry.section,
    )


def _checked(spec: ParameterSpec, value: Any, path: Path, problems: list[Problem]) -> Any:
    try:
        return check_value(spec, value)
    except ParameterError as error:
        problems.append(Problem(path, str(error)))
        return value


def _data_default(value: Any, path: Path, definition: PipelineModel, problems: list[Problem]) -> Any:
    from pydantic import ValidationError

    if isinstance(value, str) and "://" not in value:
        if value not in definition.data:
            problems.append(
                Problem(path, f"there is no data {value!r}.{did_you_mean(value, definition.data)}")
            )
            return None
        entry, path = definition.data[value], ("data", value)
    elif isinstance(value, Mapping) and ("DataStoreName" in value or "locations" in value):
        try:
            return data_value(read_data(value))
        except ParameterError as error:
            problems.append(Problem(path, str(error)))
            return None
    else:
        try:
            entry = DataDefinition.model_validate(value)
        except ValidationError as error:
            problems += [p._replace(path=(*path, *p.path)) for p in find_problems(error, DataDefinition)]
            return None
    data = resolve_data(entry, path, definition, problems)
    return None if data is None else data_value(data)


# --- environments -------------------------------------------------------------------------------------------------


def resolve_environment(
    entry: EnvironmentDefinition,
    path: Path,
    definition: PipelineModel,
    problems: list[Problem],
    *,
    name: str = "",
) -> EnvironmentSpec | str:
    """Return an environment, or the name of a registered one.

    A name without a version is an entry under ``environments`` or, where there is none that is nearly called so, a
    registered environment.

    :param name: of the entry under ``environments`` that it is, if it is one.
    """
    if entry.is_reference:
        if entry.version is not None:
            return entry.name if entry.version == "latest" else f"{entry.name}:{entry.version}"
        if not name and entry.name in definition.environments:
            named = definition.environments[entry.name]
            return resolve_environment(
                named, ("environments", entry.name), definition, problems, name=entry.name
            )
        if difflib.get_close_matches(entry.name, definition.environments, n=1, cutoff=0.75) and not name:
            hint = did_you_mean(entry.name, definition.environments)
            problems.append(
                Problem(
                    path,
                    f"there is no environment {entry.name!r} here.{hint} A registered one whose name is so near is "
                    f"written '{entry.name}:latest'",
                )
            )
        return entry.name
    installs = [field for field in ("python", "conda", "pip", "image", "dockerfile") if getattr(entry, field)]
    if entry.user_managed and installs:
        problems.append(
            Problem(
                (*path, installs[0]),
                "nothing is installed where `user_managed` is true: leave one of them out",
            )
        )
    if entry.interpreter and (installs or entry.user_managed is False):
        problems.append(
            Problem((*path, "interpreter"), "means something where nothing is installed", at_key=True)
        )
    if entry.python is not None and not _PYTHON.fullmatch(entry.python):
        problems.append(
            Problem((*path, "python"), f"expected a version such as '3.12', found {entry.python!r}")
        )
    _check_secrets(entry, path, name, problems)
    return EnvironmentSpec(
        name=entry.name or name,
        version=entry.version,
        python=entry.python,
        user_managed=not installs if entry.user_managed is None else entry.user_managed,
        interpreter=entry.interpreter or "python",
        conda=entry.conda,
        conda_channels=entry.conda_channels,
        pip=entry.pip,
        pip_options=entry.pip_options,
        variables=entry.variables,
        image=entry.image,
        dockerfile=entry.dockerfile,
    )


def _check_secrets(entry: EnvironmentDefinition, path: Path, name: str, problems: list[Problem]) -> None:
    what = f"environment {name!r}" if name else "environment"
    parts: list[tuple[Path, EnvironmentSpec]] = [
        (("variables", key), EnvironmentSpec(variables={key: value}))
        for key, value in entry.variables.items()
    ]
    for field in ("pip", "pip_options"):
        items = enumerate(getattr(entry, field))
        parts += [((field, index), EnvironmentSpec(pip=(item,))) for index, item in items if "://" in item]
    problems += [
        Problem((*path, "variables", key), f"{show_name(key)} can't be a variable's name", at_key=True)
        for key in entry.variables
        if not key or "=" in key or "\0" in key
    ]
    problems += [
        Problem((*path, "variables", key), "a variable's value can't have a zero byte in it")
        for key, value in entry.variables.items()
        if "\0" in value
    ]
    for place, spec in parts:
        problems += _caught((*path, *place), partial(check_environment, spec, what))
