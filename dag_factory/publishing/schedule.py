"""Schedules of published pipelines, as the code that writes pipelines sees them."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import checked, core_of, expect
from dag_factory.publishing.make_schedule import (
    ONE_OF_BOTH,
    POLLING,
    change_watch,
    make_schedule,
    scheduled_values,
    watched_files,
)
from dag_factory.publishing.recurrence import ScheduleRecurrence, one_of

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.publishing.schedules import ScheduleDocument
    from dag_factory.datastores.datastore import Datastore
    from dag_factory.runs.run import PipelineRun
    from dag_factory.workspace import Workspace

__all__ = ["Schedule"]

_STATUSES = ("Active", "Disabled")


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
        datastore: Datastore | str | None = None,
        polling_interval: float = POLLING,
        data_path_parameter_name: str | None = None,
        continue_on_step_failure: bool | None = None,
        path_on_datastore: str | None = None,
        *,
        run_per: str = "file",
    ) -> Schedule:
        """Make a schedule of a published pipeline: by time, or for the files of a datastore.

        :param pipeline_id: the id of the published pipeline.
        :param experiment_name: what its runs are listed under.
        :param recurrence: when it runs.
        :param pipeline_parameters: values of its runs; the defaults if left out.
        :param datastore: in place of a recurrence: run for what is new or changed there from now on.
        :param polling_interval: minutes between two looks at the datastore.
        :param data_path_parameter_name: the pipeline parameter that gets the file's path; with ``run_per="poll"`` it
            gets ``path_on_datastore``.
        :param path_on_datastore: a folder, with all below it; a file; or a glob. All of the datastore if left out.
        :param run_per: ``file``, for a run for each file; ``poll``, for one run for all files that a look finds.
        :raises WorkspaceError: where there is no such pipeline or datastore.
        :raises ParameterError: where a parameter does not exist, or has no value of its type.
        :raises DefinitionError: where there is neither a recurrence nor a datastore, or both.
        """
        return cls(
            workspace,
            make_schedule(
                workspace,
                name,
                recurrence,
                watched_files(
                    datastore, path_on_datastore, polling_interval, data_path_parameter_name, run_per
                ),
                pipeline=expect("Schedule.create(pipeline_id=…)", pipeline_id, str, what="an id"),
                experiment=experiment_name,
                description=description,
                parameters=pipeline_parameters,
                continue_on_step_failure=continue_on_step_failure,
            ),
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
        datastore: Datastore | str | None = None,
        polling_interval: float = POLLING,
        data_path_parameter_name: str | None = None,
        continue_on_step_failure: bool | None = None,
        path_on_datastore: str | None = None,
        *,
        run_per: str = "file",
    ) -> Schedule:
        """Make a schedule of an endpoint: each run is of the version that is the default then.

        :param pipeline_endpoint_id: the id of the endpoint; see :meth:`create` for the rest.
        """
        return cls(
            workspace,
            make_schedule(
                workspace,
                name,
                recurrence,
                watched_files(
                    datastore, path_on_datastore, polling_interval, data_path_parameter_name, run_per
                ),
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
            ),
        )

    @classmethod
    @checked
    def get(cls, workspace: Workspace, id: str) -> Schedule:  # noqa: A002 - the reference's name
        """Return a schedule by its id. :raises WorkspaceError: where there is none."""
        from airflow_ml_pipelines.core.publishing.schedules import read_schedule

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
        from airflow_ml_pipelines.core.publishing.schedules import find_schedules

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
        from airflow_ml_pipelines.core.publishing.schedules import read_schedule

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
    def recurrence(self) -> ScheduleRecurrence | None:
        """When it runs; None where it runs when files come."""
        kept = self._document.recurrence
        return None if kept is None else ScheduleRecurrence.from_spec(kept)

    @property
    def schedule_type(self) -> str:
        """``Recurrence`` or ``DataStore``."""
        return "Recurrence" if self._document.watch is None else "DataStore"

    @property
    def continue_on_step_failure(self) -> bool | None:
        """Whether steps that don't need a failed one still run; None for what the pipeline says."""
        return self._document.continue_on_step_failure

    @property
    def datastore_name(self) -> str | None:
        """The datastore whose files make it run; None where it runs by time."""
        watch = self._document.watch
        return None if watch is None else watch.datastore

    @property
    def path_on_datastore(self) -> str | None:
        """Which files of the datastore make it run; None where it runs by time."""
        watch = self._document.watch
        return None if watch is None else watch.path

    @property
    def polling_interval(self) -> float | None:
        """Minutes between two looks at the datastore; None where it runs by time."""
        watch = self._document.watch
        return None if watch is None else watch.seconds / 60

    @property
    def data_path_parameter_name(self) -> str | None:
        """The pipeline parameter that gets the file's path."""
        watch = self._document.watch
        return None if watch is None else watch.parameter

    def get_pipeline_runs(self) -> builtins.list[PipelineRun]:
        """Return its runs, the latest first."""
        from dag_factory.runs.run import PipelineRun

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
        datastore: Datastore | str | None = None,
        polling_interval: float | None = None,
        data_path_parameter_name: str | None = None,
        continue_on_step_failure: bool | None = None,
        path_on_datastore: str | None = None,
        *,
        run_per: str | None = None,
    ) -> None:
        """Change what is given; the rest stays. See :meth:`create`.

        A recurrence takes the place of a datastore, and the other way round. Where another place is watched, what is
        there by now is no news.

        :raises ParameterError: where a parameter does not exist, or has no value of its type.
        """
        if name is not None and name != self.name:
            raise DefinitionError(
                f"schedule {self.name!r} can't be renamed: its DAG is called after it; make a new one and disable this"
            )
        kept = self._document
        given: dict[str, Any] = {
            "description": description,
            "parameters": None
            if pipeline_parameters is None
            else scheduled_values(self.workspace, pipeline_parameters, kept.pipeline, kept.endpoint),
            "status": None if status is None else one_of("status", status, _STATUSES),
            "continue_on_step_failure": continue_on_step_failure,
        }
        changes = {field: value for field, value in given.items() if value is not None}
        watched = watched_files(
            datastore, path_on_datastore, polling_interval, data_path_parameter_name, run_per
        )
        if any(item is not None for item in watched.values()):
            if recurrence is not None:
                raise DefinitionError(ONE_OF_BOTH)
            changes |= {"watch": change_watch(self.workspace, kept, watched), "recurrence": None}
        elif recurrence is not None:
            changes |= {"recurrence": recurrence.to_spec(), "watch": None}
        self._change(**changes)

    def _change(self, **fields: Any) -> None:
        from airflow_ml_pipelines.core.publishing.schedules import change_schedule

        self._document = change_schedule(
            self.workspace.core.store, self.id, lambda last: msgspec.structs.replace(last, **fields)
        )
