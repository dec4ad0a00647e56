"""Starts runs for new and changed files of a datastore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator  # noqa: TID253

from airflow_ml_pipelines._airflow import BaseOperator
from airflow_ml_pipelines._tasks import open_workspace, plain_errors
from airflow_ml_pipelines.core.publishing.schedules import ScheduleDocument, read_schedule
from airflow_ml_pipelines.core.publishing.watches import Batch, finish, look
from airflow_ml_pipelines.operators.plan import TAGS

__all__ = ["FindFilesOperator", "FinishFilesOperator", "StartRunOperator"]

_BATCH = "batch"


class FindFilesOperator(BaseOperator):  # type: ignore[misc]
    """Finds the files that a schedule has not acted on yet; returns the id and the configuration of each run to start.

    A batch of files that was found and not acted on to the end is found again, with the same ids.

    :param schedule: the schedule's id.
    :param workspace: the workspace's file or folder; None for the one that ``[ml_pipelines] workspace`` or the
        environment names.
    :param kwargs: of every operator.
    """

    def __init__(self, *, schedule: str, workspace: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schedule = schedule
        self.workspace = workspace

    def execute(self, context: Any) -> list[dict[str, Any]]:
        """Look, and write down what was found before anything is done for it."""
        with plain_errors(self.log):
            workspace = open_workspace(self.workspace)
            schedule = read_schedule(workspace.store, self.schedule)
            if schedule.watch is None or schedule.status != "Active":
                return []
            datastore = workspace.datastore(schedule.watch.datastore)
            batch = look(workspace.store, schedule.id, schedule.watch, datastore, keep=True)
        if batch is None:
            self.log.info("No file is new or has changed.")
            return []
        self.log.info("%d new or changed files: %s", len(batch.changed), ", ".join(batch.changed[:10]))
        context["ti"].xcom_push(_BATCH, batch.number)
        return _runs(schedule, batch)


class StartRunOperator(TriggerDagRunOperator):  # type: ignore[misc]
    """Starts a run, unless it was started before. Names of files are never taken for templates."""

    template_fields: Sequence[str] = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(skip_when_already_exists=True, logical_date=None, **kwargs)


class FinishFilesOperator(BaseOperator):  # type: ignore[misc]
    """Says that a batch of files was acted on.

    :param schedule: the schedule's id.
    :param find_task_id: the task that found the files.
    :param workspace: as :class:`FindFilesOperator` has it.
    :param kwargs: of every operator.
    """

    def __init__(
        self, *, schedule: str, find_task_id: str, workspace: str | None = None, **kwargs: Any
    ) -> None:
        kwargs.setdefault("trigger_rule", "none_failed")
        super().__init__(**kwargs)
        self.schedule = schedule
        self.find_task_id = find_task_id
        self.workspace = workspace

    def execute(self, context: Any) -> None:
        """Write it down."""
        number = context["ti"].xcom_pull(task_ids=self.find_task_id, key=_BATCH)
        if number is not None:
            with plain_errors(self.log):
                finish(open_workspace(self.workspace).store, self.schedule, int(number))


def _runs(schedule: ScheduleDocument, batch: Batch) -> list[dict[str, Any]]:
    """Return what each run is called and started with."""
    watch = schedule.watch
    assert watch is not None
    paths = batch.changed if watch.run_per == "file" else (watch.path,)
    runs = []
    for index, path in enumerate(paths, 1):
        told = path if watch.run_per == "file" else f"{len(batch.changed)} files"
        conf: dict[str, Any] = {TAGS: {"changed": told}}
        if watch.parameter is not None:
            conf[watch.parameter] = {"DataStoreName": watch.datastore, "RelativePath": path}
        runs.append({"trigger_run_id": f"files__{batch.number}-{index}", "conf": conf})
    return runs
