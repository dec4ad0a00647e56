"""Which files of a datastore make a schedule run, as the code that writes pipelines says it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, get_args

from airflow_ml_pipelines.core.errors import DefinitionError, did_you_mean
from dag_factory._check import kind_of
from dag_factory.ports.data import DataPath
from dag_factory.publishing.recurrence import one_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_ml_pipelines.core.publishing.watches import Watch
    from airflow_ml_pipelines.core.spec import ParameterSpec
    from dag_factory.workspace import Workspace

__all__ = ["make_watch"]

_MINUTE = 60.0
_SHORTEST = 1.0


def make_watch(
    workspace: Workspace,
    parameters: Iterable[ParameterSpec],
    *,
    datastore: Any,
    path_on_datastore: str | None,
    polling_interval: float,
    data_path_parameter_name: str | None,
    run_per: str,
) -> Watch:
    """Return what a schedule watches; see :meth:`dag_factory.Schedule.create`.

    :param parameters: those of the pipeline that is to run.
    :raises DefinitionError: where something can't have its value.
    :raises WorkspaceError: where there is no such datastore, or it can't be listed.
    """
    from airflow_ml_pipelines.core.publishing.watches import RunPer, Watch, list_files

    place = DataPath(datastore, path_on_datastore)
    assert place.datastore_name is not None
    if data_path_parameter_name is not None:
        _check_parameter(data_path_parameter_name, parameters)
    for _ in list_files(workspace.core.datastore(place.datastore_name), place.path_on_datastore):
        break
    return Watch(
        datastore=place.datastore_name,
        path=place.path_on_datastore,
        seconds=_seconds(polling_interval),
        run_per=one_of("run_per", run_per, get_args(RunPer)),  # type: ignore[arg-type]
        parameter=data_path_parameter_name,
    )


def _seconds(minutes: Any) -> float:
    is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool) and math.isfinite(minutes)
    if not is_number or minutes * _MINUTE < _SHORTEST:
        raise DefinitionError(
            f"Schedule.create(polling_interval=…): expected minutes, at least a second of them, found {kind_of(minutes)}"
        )
    return float(minutes * _MINUTE)


def _check_parameter(name: str, parameters: Iterable[ParameterSpec]) -> None:
    known = {item.name: item.type for item in parameters}
    if known.get(name) != "data":
        paths = [other for other, kind in known.items() if kind == "data"]
        what = "is no data path" if name in known else "does not exist"
        raise DefinitionError(
            f"Schedule.create(data_path_parameter_name=…): parameter {name!r} of the pipeline {what}.{did_you_mean(name, paths)}"
        )
