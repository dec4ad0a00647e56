"""Makes the documents of schedules of what callers give, checked against the pipeline that is to run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import core_of, kind_of
from dag_factory.publishing.recurrence import ScheduleRecurrence
from dag_factory.publishing.watch import make_watch
from dag_factory.runs.values import parameter_values

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.publishing.schedules import ScheduleDocument
    from airflow_ml_pipelines.core.publishing.watches import Watch
    from airflow_ml_pipelines.core.spec import ParameterSpec
    from dag_factory.workspace import Workspace

__all__ = ["ONE_OF_BOTH", "POLLING", "change_watch", "make_schedule", "scheduled_values", "watched_files"]

ONE_OF_BOTH = "a schedule runs by time or for files: give either a recurrence or a datastore"
"""What an error says where there are both, or neither."""

POLLING = 5
"""Minutes between two looks at a datastore, where nobody says."""


def make_schedule(
    workspace: Workspace,
    name: str,
    recurrence: ScheduleRecurrence | None,
    watched: Mapping[str, Any],
    *,
    experiment: str,
    pipeline: str | None = None,
    endpoint: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    **fields: Any,
) -> ScheduleDocument:
    """Make a schedule; see :meth:`dag_factory.Schedule.create`.

    :param watched: see :func:`watched_files`.
    :param fields: further fields of the document.
    """
    from airflow_ml_pipelines.core.publishing.published import check_name
    from airflow_ml_pipelines.core.publishing.schedules import create_schedule
    from airflow_ml_pipelines.core.publishing.watches import start

    core = core_of("Schedule.create(workspace=…)", workspace)
    if recurrence is not None and not isinstance(recurrence, ScheduleRecurrence):
        raise DefinitionError(
            f"Schedule.create(recurrence=…): expected a ScheduleRecurrence, found {kind_of(recurrence)}"
        )
    if (recurrence is None) == (watched["datastore"] is None):
        raise DefinitionError(ONE_OF_BOTH)
    declared = _declared(workspace, pipeline, endpoint)
    watch = None if recurrence else make_watch(workspace, declared, **watched)
    document = create_schedule(
        core.store,
        check_name(name, "Schedule.create(name=…)"),
        pipeline=pipeline,
        endpoint=endpoint,
        experiment=check_name(experiment, "Schedule.create(experiment_name=…)"),
        recurrence=recurrence.to_spec() if recurrence else None,
        watch=watch,
        parameters=_values(declared, parameters or {}),
        **fields,
    )
    if watch is not None:
        start(core.store, document.id, watch, core.datastore(watch.datastore))
    return document


def change_watch(workspace: Workspace, document: ScheduleDocument, given: Mapping[str, Any]) -> Watch:
    """Return what a schedule watches from now on.

    :param given: see :func:`watched_files`; what is None there stays as it is.
    """
    from airflow_ml_pipelines.core.publishing.watches import start

    kept = document.watch
    known = watched_files(None, None, POLLING, None, "file")
    if kept is not None:
        known = watched_files(kept.datastore, kept.path, kept.seconds / 60, kept.parameter, kept.run_per)
    elif given["datastore"] is None:
        raise DefinitionError(ONE_OF_BOTH)
    merged = {field: known[field] if value is None else value for field, value in given.items()}
    declared = _declared(workspace, document.pipeline, document.endpoint)
    watch = make_watch(workspace, declared, **merged)
    if kept is None or (kept.datastore, kept.path) != (watch.datastore, watch.path):
        core = workspace.core
        start(core.store, document.id, watch, core.datastore(watch.datastore))
    return watch


def watched_files(
    datastore: Any, path: str | None, polling: float | None, parameter: str | None, run_per: str | None
) -> dict[str, Any]:
    """Return what :func:`~dag_factory.publishing.watch.make_watch` takes, as it was given."""
    return {
        "datastore": datastore,
        "path_on_datastore": path,
        "polling_interval": polling,
        "data_path_parameter_name": parameter,
        "run_per": run_per,
    }


def scheduled_values(
    workspace: Workspace, values: Mapping[str, Any], pipeline: str | None, endpoint: str | None
) -> dict[str, Any]:
    """Return parameter values that the scheduled pipeline takes, as documents have them."""
    return _values(_declared(workspace, pipeline, endpoint), values)


def _declared(workspace: Workspace, pipeline: str | None, endpoint: str | None) -> tuple[ParameterSpec, ...]:
    """Return the parameters that the scheduled pipeline has."""
    from airflow_ml_pipelines.core.publishing.endpoints import read_endpoint
    from airflow_ml_pipelines.core.publishing.published import read_published

    store = workspace.core.store
    if pipeline is None:
        pipeline = read_endpoint(store, identity=endpoint).pipeline()
    return read_published(store, pipeline).spec.parameters


def _values(declared: tuple[ParameterSpec, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values that the scheduled pipeline takes, as documents have them."""
    from airflow_ml_pipelines.core.parameters import check_parameters

    given = parameter_values(values)
    complete = check_parameters(declared, given)
    return {name: complete[name] for name in given}
