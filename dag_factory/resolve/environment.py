"""Turns environments of a definition into specs."""

from __future__ import annotations

import difflib
import re
from functools import partial

from airflow_ml_pipelines.core.errors import did_you_mean
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.core.stores.credentials import check_environment
from airflow_ml_pipelines.written.problems import Path, Problem, show_name
from dag_factory.models.environment import EnvironmentDefinition
from dag_factory.models.pipeline import PipelineModel
from dag_factory.resolve.checks import caught

__all__ = ["resolve_environment"]

_PYTHON = re.compile(r"\d+(\.\d+){0,2}")


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
        problems += caught((*path, *place), partial(check_environment, spec, what))
