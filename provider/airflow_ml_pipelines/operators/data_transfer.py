"""Runs one step: a data transfer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from airflow_ml_pipelines._airflow import BaseOperator
from airflow_ml_pipelines._tasks import (
    open_planned_step,
    open_workspace,
    plain_errors,
    stop_after_failure,
)
from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.spec import Location, OutputSpec, PipelineSpec, StepSpec, TransferSpec
from airflow_ml_pipelines.operators.step import StepOperator
from airflow_ml_pipelines.operators.step_arguments import InputSource, check_told, make_inputs

__all__ = ["DataTransferOperator", "TransferShareOperator"]


class DataTransferOperator(StepOperator):
    """Copies a file, a folder, or what a query returns, unless an earlier run copied the same to the same place.

    In a DAG that a :class:`~airflow_ml_pipelines.operators.plan.PlanOperator` plans it is told what to copy by
    ``pipeline`` and ``step``. In any other DAG by ``source`` and ``destination``::

        copy = DataTransferOperator(
            task_id="copy",
            source=Data(locations=(Location(datastore="lake", path="raw"),)),
            destination=Location(datastore="archive", path="raw"),
        )
        train = PythonScriptOperator(task_id="train", inputs={"data": copy.output_of("destination")}, …)

    :param pipeline: the pipeline that the run's plan is of, or its name.
    :param step: the step; its id is enough where the run has a plan.
    :param source: an output of another such operator, data or a registered dataset
        (:mod:`airflow_ml_pipelines.core.spec`), a URL, or an ``InputSpec`` where more is to be said.
    :param destination: where it is copied to; None for a folder of the attempt's own on the default datastore. With
        ``table`` its datastore is the database.
    :param table: the table that rows are appended to, all or none.
    :param source_type: what the source has to be; None: whatever it is.
    :param destination_type: whether the destination is the place of the file, or a folder that files go into; None:
        what is there already, else what the source is.
    :param delete_extra: whether files in the destination's folder that are not in the source are removed; they are an
        error otherwise.
    :param name: what people call the step; None for the task's id.
    :param allow_reuse: False: always run.
    :param version: a change of it makes the step run.
    :param workspace: the workspace's file or folder; None for the one that ``[ml_pipelines] workspace`` or the
        environment names.
    :param deferrable: wait in the triggerer where another run is copying the same; else in the worker.
    :param poll_interval: seconds between two looks for that.
    :param kwargs: of every operator.
    """

    template_fields: Sequence[str] = ("definition_digest",)
    ui_color = "#d9f0d3"

    def __init__(
        self,
        *,
        pipeline: PipelineSpec | str | None = None,
        step: StepSpec | str | None = None,
        source: InputSource | None = None,
        destination: Location | None = None,
        table: str | None = None,
        source_type: Literal["file", "directory"] | None = None,
        destination_type: Literal["file", "directory"] | None = None,
        delete_extra: bool = False,
        name: str | None = None,
        allow_reuse: bool = True,
        version: str | None = None,
        workspace: str | None = None,
        deferrable: bool | None = None,
        poll_interval: float = 5,
        **kwargs: Any,
    ) -> None:
        check_told(kwargs.get("task_id"), step, "source", source is not None)
        super().__init__(
            pipeline=pipeline,
            step=step,
            workspace=workspace,
            deferrable=deferrable,
            poll_interval=poll_interval,
            **kwargs,
        )
        if source is None:
            return
        place = None if table is not None else destination
        inputs = {"source": source}
        self._define(
            StepSpec(
                id=self.task_id,
                name=name or self.task_id,
                kind="data_transfer",
                transfer=TransferSpec(
                    source_type=source_type,
                    destination_type=destination_type,
                    database=destination.datastore if table is not None and destination else None,
                    table=table,
                    delete_extra=delete_extra,
                ),
                inputs=make_inputs(inputs),
                outputs=(
                    OutputSpec(
                        name="destination",
                        datastore=None if place is None else place.datastore,
                        path=None if place is None else place.path,
                    ),
                ),
                allow_reuse=allow_reuse,
                version=version,
            ),
            inputs=inputs,
        )


class TransferShareOperator(BaseOperator):  # type: ignore[misc]
    """Copies a share of what a step transfers, on a worker of its own, before the step itself completes it.

    :param pipeline: the pipeline that the run's plan is of, or its name.
    :param step: the id of the step.
    :param shard: which share, from 0 on.
    :param workspace: the workspace's file or folder; None for the one that ``[ml_pipelines] workspace`` or the
        environment names.
    :param kwargs: of every operator.
    """

    ui_color = "#edf8e9"

    def __init__(
        self,
        *,
        pipeline: PipelineSpec | str,
        step: str,
        shard: int,
        workspace: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline if isinstance(pipeline, str) else pipeline.name
        self.step = step
        self.shard = shard
        self.workspace = workspace
        self._kill_reason: str | None = None

    def execute(self, context: Any) -> int:
        """Copy the share; return how many files were copied."""
        from airflow_ml_pipelines.execution.transfer import run_share

        with plain_errors(self.log):
            workspace = open_workspace(self.workspace)
            folder = RunFolder(workspace.store, self.pipeline, context["ti"].run_id)
            step = open_planned_step(workspace, folder, self.step)
            stop_after_failure(folder, self.step, goes_on=step.run.continue_on_step_failure)
            return run_share(step, self.shard, log=self.log.info, canceled=lambda: self._kill_reason)

    def on_kill(self) -> None:
        """End the copying: Airflow leaves five seconds until it kills this task."""
        self._kill_reason = "the task was killed"
