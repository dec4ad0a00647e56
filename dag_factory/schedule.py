"""Schedules of published pipelines, as the code that writes pipelines sees them."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec

from airflow_ml_pipelines.core.errors import DefinitionError, did_you_mean
from airflow_ml_pipelines.core.recurrence import FREQUENCIES, WEEK_DAYS, Recurrence, find_zone, parse_clock
from dag_factory._check import checked, expect, kind_of

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.recurrence import Frequency
    from airflow_ml_pipelines.core.schedules import ScheduleDocument
    from dag_factory.run import PipelineRun
    from dag_factory.workspace import Workspace

__all__ = ["Schedule", "ScheduleRecurrence"]

_BY_CLOCK = ("Day", "Week")


class ScheduleRecurrence:
    """When a schedule runs.

    :param frequency: ``Minute``, ``Hour``, ``Day``, ``Week`` or ``Month``.
    :param interval: how many of these lie between two runs.
    :param start_time: the first moment that may be one, as ``2026-11-21T09:00:00``; now if left out.
    :param time_zone: an IANA or a Windows name; UTC if left out.
    :param hours: the hours of the day (0 to 23), for days and weeks.
    :param minutes: the minutes of the hour (0 to 59), for days and weeks.
    :param week_days: such as ``Monday``, for weeks.
    :param time_of_day: ``hh:mm`` in place of hours and minutes.
    :raises DefinitionError: where these don't go together.
    """

    @checked
    def __init__(
        self,
        frequency: str,
        interval: int,
        start_time: datetime | str | None = None,
        time_zone: str | None = None,
        hours: Sequence[int] | None = None,
        minutes: Sequence[int] | None = None,
        week_days: Sequence[str] | None = None,
        time_of_day: str | None = None,
    ) -> None:
        self.frequency = _one_of("frequency", frequency, FREQUENCIES)
        expect("ScheduleRecurrence(interval=…)", interval, int, what="a number from 1 on")
        if interval < 1:
            raise DefinitionError(
                f"ScheduleRecurrence(interval=…): expected a number from 1 on, found {interval}"
            )
        self.interval = interval
        self.time_zone = time_zone or "UTC"
        zone = find_zone(self.time_zone)
        self.start_time = _moment(start_time) or datetime.now(zone).replace(microsecond=0, tzinfo=None)
        if time_of_day is not None:
            if hours or minutes:
                raise DefinitionError("ScheduleRecurrence: give time_of_day, or hours and minutes")
            clock = parse_clock(time_of_day)
            hours, minutes = [clock.hour], [clock.minute]
        self.hours = _numbers("hours", hours, 23)
        self.minutes = _numbers("minutes", minutes, 59)
        self.week_days = tuple(_one_of("week_days", day, WEEK_DAYS) for day in week_days or ())
        if (self.hours or self.minutes) and self.frequency not in _BY_CLOCK:
            raise DefinitionError(
                "ScheduleRecurrence: hours, minutes and time_of_day are for the frequencies Day and Week, "
                f"not for {self.frequency}"
            )
        if self.week_days and self.frequency != "Week":
            raise DefinitionError(
                f"ScheduleRecurrence: week_days are for the frequency Week, not for {self.frequency}"
            )

    def __repr__(self) -> str:
        return f"ScheduleRecurrence({self.frequency!r}, {self.interval})"

    def to_spec(self) -> Recurrence:
        """Return what is kept of it."""
        return Recurrence(
            frequency=cast("Frequency", self.frequency),
            interval=self.interval,
            start=self.start_time,
            time_zone=self.time_zone,
            hours=self.hours,
            minutes=self.minutes,
            week_days=self.week_days,
        )

    @classmethod
    def from_spec(cls, spec: Recurrence) -> ScheduleRecurrence:
        """Return the recurrence that was kept."""
        return cls(
            spec.frequency,
            spec.interval,
            spec.start,
            spec.time_zone,
            spec.hours,
            spec.minutes,
            spec.week_days,
        )


class Schedule:
    """A schedule of a published pipeline or of an endpoint's default version; a DAG of its own on Airflow.

    :meth:`create` and :meth:`create_for_pipeline_endpoint` make one, :meth:`get` opens one.
    """

    def __init__(self, workspace: Workspace, document: ScheduleDocument) -> None:
        self.workspace = workspace
        self._document = document

    def __repr__(self) -> str:
        return f"Schedule(name={self.name!r}, id={self.id!r}, status={self.status!r})"

    @classmethod
    @checked
    def create(
        cls,
        workspace: Workspace,
        name: str,
        pipeline_id: str,
        experiment_name: str,
        recurrence: ScheduleRecurrence | None = None,
        description: str | None = None,
        pipeline_parameters: Mapping[str, Any] | None = None,
        wait_for_provisioning: bool = False,  # noqa: ARG003 - the reference's
        wait_timeout: int = 3600,  # noqa: ARG003
        datastore: Any = None,
        polling_interval: int = 5,  # noqa: ARG003
        data_path_parameter_name: str | None = None,
        continue_on_step_failure: bool | None = None,
        path_on_datastore: str | None = None,
    ) -> Schedule:
        """Make a schedule of a published pipeline.

        :param pipeline_id: the id of the published pipeline.
        :param experiment_name: what its runs are listed under.
        :param recurrence: when it runs.
        :param pipeline_parameters: values of its runs; the defaults if left out.
        :raises WorkspaceError: where there is no such pipeline.
        :raises ParameterError: where a parameter does not exist, or has no value of its type.
        :raises DefinitionError: where there is no recurrence. Schedules on the files of a datastore are not there yet.
        """
        return cls._create(
            workspace,
            name,
            recurrence,
            (datastore, data_path_parameter_name, path_on_datastore),
            pipeline=expect("Schedule.create(pipeline_id=…)", pipeline_id, str, what="an id"),
            experiment=experiment_name,
            description=description,
            parameters=pipeline_parameters,
            continue_on_step_failure=continue_on_step_failure,
        )

    @classmethod
    @checked
    def create_for_pipeline_endpoint(
        cls,
        workspace: Workspace,
        name: str,
        pipeline_endpoint_id: str,
        experiment_name: str,
        recurrence: ScheduleRecurrence | None = None,
        description: str | None = None,
        pipeline_parameters: Mapping[str, Any] | None = None,
        wait_for_provisioning: bool = False,  # noqa: ARG003
        wait_timeout: int = 3600,  # noqa: ARG003
        datastore: Any = None,
        polling_interval: int = 5,  # noqa: ARG003
        data_path_parameter_name: str | None = None,
        continue_on_step_failure: bool | None = None,
        path_on_datastore: str | None = None,
    ) -> Schedule:
        """Make a schedule of an endpoint: each run is of the version that is the default then.

        :param pipeline_endpoint_id: the id of the endpoint; see :meth:`create` for the rest.
        """
        return cls._create(
            workspace,
            name,
            recurrence,
            (datastore, data_path_parameter_name, path_on_datastore),
            endpoint=expect(
                "Schedule.create_for_pipeline_endpoint(pipeline_endpoint_id=…)",
                pipeline_endpoint_id,
                str,
                what="an id",
            ),
            experiment=experiment_name,
            description=description,
            parameters=pipeline_parameters,
            continue_on_step_failure=continue_on_step_failure,
        )

    @classmethod
    @checked
    def get(cls, workspace: Workspace, id: str) -> Schedule:  # noqa: A002 - the reference's name
        """Return a schedule by its id. :raises WorkspaceError: where there is none."""
        from airflow_ml_pipelines.core.schedules import read_schedule
        from dag_factory.workspace import core_of

        return cls(workspace, read_schedule(core_of("Schedule.get(workspace=…)", workspace).store, id))

    @classmethod
    @checked
    def list(
        cls,
        workspace: Workspace,
        active_only: bool = True,
        pipeline_id: str | None = None,
        pipeline_endpoint_id: str | None = None,
    ) -> builtins.list[Schedule]:
        """Return the schedules, of one published pipeline or endpoint if that is given, the oldest first."""
        from airflow_ml_pipelines.core.schedules import find_schedules
        from dag_factory.workspace import core_of

        return [
            cls(workspace, item)
            for item in find_schedules(core_of("Schedule.list(workspace=…)", workspace).store)
            if (item.status == "Active" or not active_only)
            and pipeline_id in (None, item.pipeline)
            and pipeline_endpoint_id in (None, item.endpoint)
        ]

    @classmethod
    @checked
    def get_schedules_for_pipeline_id(cls, workspace: Workspace, pipeline_id: str) -> builtins.list[Schedule]:
        """Return all schedules of a published pipeline."""
        return cls.list(workspace, active_only=False, pipeline_id=pipeline_id)

    @classmethod
    @checked
    def get_schedules_for_pipeline_endpoint_id(
        cls, workspace: Workspace, pipeline_endpoint_id: str
    ) -> builtins.list[Schedule]:
        """Return all schedules of an endpoint."""
        return cls.list(workspace, active_only=False, pipeline_endpoint_id=pipeline_endpoint_id)

    # --- what it is ----------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The id."""
        return self._document.id

    @property
    def dag_id(self) -> str:
        """The id of its DAG."""
        return self._document.dag_id

    @property
    def name(self) -> str:
        """The name."""
        return self._document.name

    @property
    def description(self) -> str | None:
        """What it is for."""
        return self._document.description

    @property
    def status(self) -> str:
        """``Active`` or ``Disabled``."""
        from airflow_ml_pipelines.core.schedules import read_schedule

        self._document = read_schedule(self.workspace.core.store, self.id)
        return self._document.status

    @property
    def pipeline_id(self) -> str | None:
        """The id of the published pipeline, None where it is an endpoint's schedule."""
        return self._document.pipeline

    @property
    def pipeline_endpoint_id(self) -> str | None:
        """The id of the endpoint, None where it is a published pipeline's schedule."""
        return self._document.endpoint

    @property
    def recurrence(self) -> ScheduleRecurrence:
        """When it runs."""
        return ScheduleRecurrence.from_spec(self._document.recurrence)

    def get_pipeline_runs(self) -> builtins.list[PipelineRun]:
        """Return its runs, the latest first."""
        from dag_factory.run import PipelineRun

        return PipelineRun.get_pipeline_runs(self.workspace, self.dag_id)

    def get_last_pipeline_run(self) -> PipelineRun | None:
        """Return its latest run, None where it has none."""
        return next(iter(self.get_pipeline_runs()), None)

    # --- changing it ---------------------------------------------------------------------------------------------

    def enable(self, wait_for_provisioning: bool = False, wait_timeout: int = 3600) -> None:  # noqa: ARG002
        """Let it run again."""
        self._change(status="Active")

    def disable(self, wait_for_provisioning: bool = False, wait_timeout: int = 3600) -> None:  # noqa: ARG002
        """Let it not run until :meth:`enable` is called."""
        self._change(status="Disabled")

    @checked
    def update(
        self,
        name: str | None = None,
        description: str | None = None,
        recurrence: ScheduleRecurrence | None = None,
        pipeline_parameters: Mapping[str, Any] | None = None,
        status: str | None = None,
        wait_for_provisioning: bool = False,  # noqa: ARG002
        wait_timeout: int = 3600,  # noqa: ARG002
        datastore: Any = None,
        polling_interval: int | None = None,  # noqa: ARG002
        data_path_parameter_name: str | None = None,
        continue_on_step_failure: bool | None = None,
        path_on_datastore: str | None = None,
    ) -> None:
        """Change what is given; the rest stays. A new name is shown, the DAG's id stays.

        :raises ParameterError: where a parameter does not exist, or has no value of its type.
        """
        _refuse_datastore((datastore, data_path_parameter_name, path_on_datastore))
        given = {
            "description": description,
            "recurrence": recurrence.to_spec() if recurrence else None,
            "parameters": None
            if pipeline_parameters is None
            else _parameters(
                self.workspace, self._document.pipeline, self._document.endpoint, pipeline_parameters
            ),
            "status": None if status is None else _one_of("status", status, ("Active", "Disabled")),
            "continue_on_step_failure": continue_on_step_failure,
        }
        if name is not None and name != self.name:
            raise DefinitionError(
                f"schedule {self.name!r} can't be renamed: its DAG is called after it; make a new one and disable this"
            )
        self._change(**{field: value for field, value in given.items() if value is not None})

    # --- within --------------------------------------------------------------------------------------------------

    @classmethod
    def _create(
        cls,
        workspace: Workspace,
        name: str,
        recurrence: ScheduleRecurrence | None,
        datastore: tuple[Any, ...],
        *,
        experiment: str,
        pipeline: str | None = None,
        endpoint: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Schedule:
        from airflow_ml_pipelines.core.published import check_name
        from airflow_ml_pipelines.core.schedules import create_schedule
        from dag_factory.workspace import core_of

        core = core_of("Schedule.create(workspace=…)", workspace)
        _refuse_datastore(datastore)
        if not isinstance(recurrence, ScheduleRecurrence):
            raise DefinitionError(
                f"Schedule.create(recurrence=…): expected a ScheduleRecurrence, found {kind_of(recurrence)}"
            )
        document = create_schedule(
            core.store,
            check_name(name, "Schedule.create(name=…)"),
            pipeline=pipeline,
            endpoint=endpoint,
            experiment=check_name(experiment, "Schedule.create(experiment_name=…)"),
            recurrence=recurrence.to_spec(),
            parameters=_parameters(workspace, pipeline, endpoint, parameters or {}),
            **fields,
        )
        return cls(workspace, document)

    def _change(self, **fields: Any) -> None:
        from airflow_ml_pipelines.core.schedules import change_schedule

        self._document = change_schedule(
            self.workspace.core.store, self.id, lambda last: msgspec.structs.replace(last, **fields)
        )


def _parameters(
    workspace: Workspace, pipeline: str | None, endpoint: str | None, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return values that the scheduled pipeline takes, as documents have them."""
    from airflow_ml_pipelines.core.endpoints import read_endpoint
    from airflow_ml_pipelines.core.parameters import check_parameters
    from airflow_ml_pipelines.core.published import read_published
    from dag_factory.experiment import parameter_values

    store = workspace.core.store
    if pipeline is None:
        pipeline = read_endpoint(store, identity=endpoint).pipeline()
    given = parameter_values(values)
    complete = check_parameters(read_published(store, pipeline).spec.parameters, given)
    return {name: complete[name] for name in given}


def _refuse_datastore(given: tuple[Any, ...]) -> None:
    if any(item is not None for item in given):
        raise DefinitionError(
            "schedules on the files of a datastore are not there yet: give a recurrence, or let an Airflow asset of a "
            "dataset start the pipeline (`schedule: {datasets: […]}`)"
        )


def _one_of(field: str, value: Any, known: Sequence[str]) -> str:
    if value not in known:
        shown = kind_of(value)
        raise DefinitionError(f"{field}: found {shown}.{did_you_mean(str(value), known)}")
    return str(value)


def _numbers(field: str, values: Any, highest: int) -> tuple[int, ...]:
    if values is None:
        return ()
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(f"ScheduleRecurrence({field}=…): expected a list of numbers, found {kind_of(values)}")
    for value in values:
        if type(value) is not int or not 0 <= value <= highest:
            raise DefinitionError(
                f"ScheduleRecurrence({field}=…): expected numbers from 0 to {highest}, found {kind_of(value)}"
            )
    return tuple(sorted(set(values)))


def _moment(value: Any) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    expect("ScheduleRecurrence(start_time=…)", value, str, what="a time such as 2026-11-21T09:00:00")
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise DefinitionError(
            f"ScheduleRecurrence(start_time=…): expected a time such as 2026-11-21T09:00:00, found {value!r}"
        ) from None
    return found.astimezone(UTC) if found.tzinfo else found
