"""Experiments: names under which runs are kept together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import checked, core_of, expect, kind_of
from dag_factory.runs.runnable import Runnable
from dag_factory.runs.values import labels_of, parameter_values

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import PipelineSpec
    from dag_factory.pipelines.pipeline import Pipeline
    from dag_factory.publishing.published_pipeline import PublishedPipeline
    from dag_factory.runs.run import PipelineRun
    from dag_factory.workspace import Workspace

__all__ = ["Experiment", "submit_spec"]


class Experiment:
    """An experiment; it is there as soon as it has a run.

    :param workspace: the workspace.
    :param name: its name.
    """

    @checked
    def __init__(self, workspace: Workspace, name: str) -> None:
        core_of("Experiment(workspace=…)", workspace)
        expect("Experiment(name=…)", name, str, what="a name")
        if not name.strip():
            raise DefinitionError("Experiment(name=…): the name is empty")
        self.workspace = workspace
        self.name = name

    def __repr__(self) -> str:
        return f"Experiment({self.name!r})"

    @checked
    def submit(
        self,
        config: Pipeline | PublishedPipeline,
        tags: Mapping[str, str] | None = None,
        *,
        pipeline_parameters: Mapping[str, Any] | None = None,
        continue_on_step_failure: bool | None = None,
        regenerate_outputs: bool = False,
        parent_run_id: str | None = None,
        pipeline_params: Mapping[str, Any] | None = None,
    ) -> PipelineRun:
        """Run a pipeline; return its run at once.

        It runs on the Airflow server that the workspace file names, in this process where that names none. Steps whose script, files, arguments, data and environment are those of an earlier run take its outputs. Call
        ``wait_for_completion()`` of the run that is returned to see it and to know how it ended.

        :param config: the pipeline, or one that was published.
        :param tags: labels of the run.
        :param pipeline_parameters: values of pipeline parameters by name; the defaults if left out.
        :param continue_on_step_failure: whether steps that don't need a failed one still run.
        :param regenerate_outputs: whether every step runs, even where an earlier run has what it would make.
        :param parent_run_id: kept as the tag ``parent_run_id``.
        :param pipeline_params: the old name of ``pipeline_parameters``.
        :raises ParameterError: where a parameter does not exist, or has no value of its type.
        :raises MlPipelinesError: where the pipeline names something that the workspace does not have.
        """
        if not isinstance(config, Runnable):
            raise TypeError(
                f"Experiment.submit: expected a Pipeline or a PublishedPipeline, found {kind_of(config)}"
            )
        if pipeline_params is not None:
            if pipeline_parameters is not None:
                raise TypeError(
                    "Experiment.submit: pipeline_params is the old name of pipeline_parameters: give one"
                )
            pipeline_parameters = pipeline_params
        config.require_active()
        return submit_spec(
            self,
            config.to_spec(self.name),
            tags=tags,
            parameters=pipeline_parameters,
            continue_on_step_failure=continue_on_step_failure,
            regenerate_outputs=regenerate_outputs,
            parent_run_id=parent_run_id,
        )

    def get_runs(self) -> Iterator[PipelineRun]:
        """Yield the experiment's runs, the latest first."""
        from airflow_ml_pipelines.core.runs.folder import find_runs
        from dag_factory.runs.run import PipelineRun

        documents = [folder.read_run() for folder in find_runs(self.workspace.core.store)]
        for document in sorted(documents, key=lambda item: item.started, reverse=True):
            if document.experiment == self.name:
                yield PipelineRun(self, document.run, pipeline=document.pipeline)


def submit_spec(
    experiment: Experiment,
    spec: PipelineSpec,
    *,
    tags: Mapping[str, str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    continue_on_step_failure: bool | None = None,
    regenerate_outputs: bool = False,
    parent_run_id: str | None = None,
) -> PipelineRun:
    """Run what a pipeline or a published pipeline stands for; see :meth:`Experiment.submit`."""
    from dag_factory.runs.local import start_run
    from dag_factory.runs.names import require_names
    from dag_factory.runs.run import PipelineRun

    core = experiment.workspace.core
    require_names(core, spec)
    if core.server is not None:
        from dag_factory.runs.remote import submit_remotely

        remote = submit_remotely(
            core,
            spec,
            experiment=experiment.name,
            tags=tags,
            parameters=parameters,
            continue_on_step_failure=continue_on_step_failure,
            regenerate_outputs=regenerate_outputs,
            parent_run_id=parent_run_id,
        )
        return PipelineRun(experiment, remote.run, pipeline=remote.pipeline, remote=remote)
    labels = labels_of(tags)
    if parent_run_id is not None:
        labels["parent_run_id"] = str(parent_run_id)
    local = start_run(
        core,
        spec,
        parameters=parameter_values(parameters),
        experiment=experiment.name,
        regenerate_outputs=bool(
            expect("regenerate_outputs=…", regenerate_outputs, bool, what="True or False")
        ),
        continue_on_step_failure=continue_on_step_failure,
        tags=labels,
    )
    return PipelineRun(experiment, local.run.run, pipeline=local.run.pipeline)
