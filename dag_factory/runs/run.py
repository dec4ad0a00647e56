"""Runs of pipelines, wherever they ran: in this process, in another one, or on a scheduler."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import (
    DataError,
    MlPipelinesError,
    NotFoundError,
    WorkspaceError,
    did_you_mean,
)
from airflow_ml_pipelines.core.runs.folder import RunFolder, open_run
from dag_factory._check import checked, core_of, expect
from dag_factory.runs.follow import (
    FOREVER,
    OVER,
    failure_of,
    follow_elsewhere,
    follow_here,
    say_nothing,
)
from dag_factory.runs.step_run import StepRun, only

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.runs.folder import RunDocument
    from airflow_ml_pipelines.core.spec import PipelineSpec
    from dag_factory.datastores.port_data_reference import PortDataReference
    from dag_factory.publishing.published_pipeline import PublishedPipeline
    from dag_factory.runs.experiment import Experiment
    from dag_factory.runs.local import LocalRun
    from dag_factory.runs.remote import RemoteRun
    from dag_factory.workspace import Workspace

__all__ = ["PipelineRun"]


class PipelineRun:
    """A run of a pipeline. :meth:`get` opens one by its id.

    :param experiment: the experiment that it belongs to.
    :param run_id: its id.
    :param pipeline: the pipeline's name, where several have a run of this id.
    :param remote: where it runs on an Airflow server; it may not have begun yet.
    :raises WorkspaceError: where there is no such run.
    """

    @checked
    def __init__(
        self,
        experiment: Experiment,
        run_id: str,
        *,
        pipeline: str | None = None,
        remote: RemoteRun | None = None,
    ) -> None:
        from dag_factory.runs.local import find_run

        self.experiment = experiment
        core = experiment.workspace.core
        expect("PipelineRun(run_id=…)", run_id, str, what="the id of a run")
        local = None if pipeline is None else find_run(core, pipeline, run_id)
        self._remote = remote
        if remote is not None:
            self.folder = RunFolder(core.store, remote.pipeline, run_id)
        elif local is None:
            self.folder = open_run(core.store, run_id, pipeline)
            local = find_run(core, self.folder.pipeline, self.folder.run)
        else:
            self.folder = RunFolder(core.store, local.run.pipeline, local.run.run)
        self._local: LocalRun | None = local
        self._document: RunDocument | None = local.run if local else None

    def __repr__(self) -> str:
        return (
            f"PipelineRun(experiment={self.experiment.name!r}, id={self.id!r}, status={self.get_status()!r})"
        )

    @classmethod
    @checked
    def get(cls, workspace: Workspace, run_id: str) -> PipelineRun:
        """Return a run of the workspace by its id, or by ``<pipeline>/<id>``.

        :raises WorkspaceError: where there is none, or several pipelines have one.
        """
        folder = open_run(core_of("PipelineRun.get(workspace=…)", workspace).store, run_id)
        experiment = workspace.experiment(folder.read_run().experiment)
        return cls(experiment, folder.run, pipeline=folder.pipeline)

    @property
    def id(self) -> str:
        """The run's id."""
        return self.folder.run

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.folder.pipeline

    @property
    def parent(self) -> None:
        """A pipeline's run is part of no other: None."""
        return None

    @property
    def workspace(self) -> Workspace:
        """The workspace that it is kept in."""
        return self.experiment.workspace

    @property
    def document(self) -> RunDocument:
        """What the run was started with.

        :raises WorkspaceError: where the server has not begun it yet.
        """
        if self._document is None:
            try:
                self._document = self.folder.read_run()
            except NotFoundError:
                if self._remote is None:
                    raise
                raise WorkspaceError(f"run {self.id} of {self.name} has not begun yet") from None
        return self._document

    @property
    def spec(self) -> PipelineSpec:
        """The pipeline that is run."""
        return self.document.spec if self._remote is None else self._remote.spec or self.document.spec

    @property
    def parameters(self) -> dict[str, Any]:
        """The value of each pipeline parameter."""
        return dict(self.document.parameters)

    @property
    def status(self) -> str:
        """How the run stands; see :meth:`get_status`."""
        return self.get_status()

    def get_status(self) -> str:
        """Return how the run stands: ``NotStarted``, ``Running``, ``Finished``, ``Failed`` or ``Canceled``."""
        local = self._local
        if local is not None:
            if local.error is not None:
                return "Failed"
            return local.outcome.status if local.outcome is not None else "Running"
        if self._remote is None:
            return self.folder.status()
        status = self._remote.status()
        return "Canceled" if status == "Failed" and self.folder.status() == "Canceled" else status

    @classmethod
    @checked
    def get_pipeline_runs(cls, workspace: Workspace, pipeline_id: str) -> list[PipelineRun]:
        """Return the runs of a published pipeline, the latest first.

        :param pipeline_id: its id.
        """
        from airflow_ml_pipelines.core.runs.folder import find_runs

        core = core_of("PipelineRun.get_pipeline_runs(workspace=…)", workspace)
        documents = [folder.read_run() for folder in find_runs(core.store, pipeline_id)]
        return [
            cls(workspace.experiment(document.experiment), document.run, pipeline=document.pipeline)
            for document in sorted(documents, key=lambda item: item.started, reverse=True)
        ]

    # --- steps ---------------------------------------------------------------------------------------------------

    def get_steps(self) -> Iterator[StepRun]:
        """Yield the run of each step, in the pipeline's order."""
        for step in self.spec.steps:
            yield StepRun(self, step.id)

    def get_children(self) -> Iterator[StepRun]:
        """Yield the run of each step, in the pipeline's order."""
        return self.get_steps()

    @property
    def children(self) -> list[StepRun]:
        """The run of each step, in the pipeline's order."""
        return list(self.get_steps())

    @checked
    def find_step_run(self, name: str) -> list[StepRun]:
        """Return the runs of the steps that have a name (or id); several steps may have one name."""
        return [step for step in self.get_steps() if name in (step.name, step.step_id)]

    # --- waiting -------------------------------------------------------------------------------------------------

    @checked
    def wait_for_completion(
        self, show_output: bool = True, timeout_seconds: float = FOREVER, raise_on_error: bool = True
    ) -> str:
        """Return when the run has ended, with how it did.

        :param show_output: whether to print what happens and what the scripts write.
        :param timeout_seconds: after how long to stop waiting; the run goes on.
        :param raise_on_error: whether a run that failed is an error.
        :raises StepFailedError: where it failed; its text has the error of the step that did.
        """
        deadline = time.monotonic() + timeout_seconds
        say = print if show_output else say_nothing
        say(f"run {self.id} of {self.name}")
        try:
            if self._local is not None:
                follow_here(self._local, deadline, say)
            else:
                follow_elsewhere(self, deadline, say)
        except KeyboardInterrupt:
            if self._local is not None and not self._local.is_over:
                self.cancel()
                say(f"run {self.id} is being canceled")
            raise
        status = self.get_status()
        say(f"run {self.id}: {status}")
        if raise_on_error and status == "Failed":
            raise failure_of(self, self._local, self._remote)
        return status

    def cancel(self) -> None:
        """End the run: running scripts are killed, no more steps start.

        A run on a scheduler can be ended from any process whose workspace file names the Airflow server.

        :raises MlPipelinesError: where another process or a scheduler has to end it.
        :raises ServerError: where the server can't be reached, or refuses.
        """
        if self._local is not None:
            self._local.cancel.set()
        elif self._remote is not None:
            self._remote.cancel()
        elif self.get_status() not in OVER:
            from dag_factory.runs.remote import find_remote

            remote = find_remote(self.workspace.core, self.folder)
            if remote is not None:
                remote.cancel()
                return
            raise MlPipelinesError(
                f"run {self.id} is not a run of this process: cancel it where it runs "
                "(with Ctrl-C there, or by marking it failed in Airflow)"
            )

    # --- what it made --------------------------------------------------------------------------------------------

    @checked
    def get_pipeline_output(self, pipeline_output_name: str) -> PortDataReference:
        """Return an output by its name.

        :raises DataError: where no step has such an output, several have, or the step has not made it.
        """
        outputs = [(step, output) for step in self.spec.steps for output in step.outputs]
        found = [pair for pair in outputs if pair[1].pipeline_output == pipeline_output_name]
        found = found or [pair for pair in outputs if pair[1].name == pipeline_output_name]
        if not found:
            known = {output.pipeline_output or output.name for _, output in outputs}
            raise DataError(
                f"run {self.id} has no output {pipeline_output_name!r}.{did_you_mean(pipeline_output_name, known)}"
            )
        if len(found) > 1:
            names = ", ".join(repr(step.name) for step, _ in found)
            raise DataError(
                f"the output {pipeline_output_name!r} is one of several steps ({names}): "
                "take it from find_step_run(name)[0].get_output_data(name)"
            )
        step, output = found[0]
        return StepRun(self, step.id).get_output_data(output.name)

    @checked
    def get_metrics(self, name: str | None = None, recursive: bool = False) -> dict[str, Any]:
        """Return what the scripts logged to the pipeline's run.

        :param name: of this name only.
        :param recursive: return what each step logged as well, by the id of its run.
        """
        from airflow_ml_pipelines.core.metrics import read_metrics

        events = [event for step in self.get_steps() for event in step.read_events()]
        own = only(read_metrics(events, parent=True), name)
        if not recursive:
            return own
        return {self.id: own} | {step.id: step.get_metrics(name) for step in self.get_steps()}

    def get_tags(self) -> dict[str, str]:
        """Return the run's labels, with those that the scripts gave it."""
        from airflow_ml_pipelines.core.metrics import read_tags

        events = [event for step in self.get_steps() for event in step.read_events()]
        return {**self.document.tags, **read_tags(events, parent=True)}

    def get_properties(self) -> dict[str, str]:
        """Return facts about the run: the Git repository, branch and commit that it was started from."""
        return dict(self.document.git)

    @checked
    def publish_pipeline(
        self,
        name: str,
        description: str | None = None,
        version: str | None = None,
        continue_on_step_failure: bool | None = None,
    ) -> PublishedPipeline:
        """Publish the pipeline that was run, with the files and environments that this run had.

        See :meth:`dag_factory.Pipeline.publish`.

        :raises MlPipelinesError: where the run has no plan, or its files are no longer stored.
        """
        from airflow_ml_pipelines.core.publishing.pinned import pin_run

        if self._local is not None:
            self._local.feed.planned.wait()
        return self.workspace.publish(
            pin_run(self.workspace.core, self.folder),
            name=name,
            description=description,
            version=version,
            continue_on_step_failure=continue_on_step_failure,
            run=self.id,
        )

    @checked
    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Write the pipeline that was run as a YAML document.

        :param path: the file; ``<pipeline>.pipeline.yaml`` if left out.
        """
        from dag_factory.definitions.definition import save_spec

        save_spec(self.spec, path or f"{self.name}.pipeline.yaml")
