"""Drafts of pipelines, as the code that writes pipelines sees them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import checked, core_of, kind_of
from dag_factory.runs.values import labels_of, parameter_values

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.publishing.drafts import DraftDocument
    from airflow_ml_pipelines.core.spec import PipelineSpec
    from dag_factory.pipelines.pipeline import Pipeline
    from dag_factory.publishing.published_pipeline import PublishedPipeline
    from dag_factory.runs.run import PipelineRun
    from dag_factory.workspace import Workspace

__all__ = ["PipelineDraft"]


class PipelineDraft:
    """A pipeline that is being prepared: kept in the workspace, changed, tried, and published in the end.

    :meth:`create` makes one, :meth:`get` opens one.
    """

    def __init__(self, workspace: Workspace, document: DraftDocument) -> None:
        self.workspace = workspace
        self._document = document

    def __repr__(self) -> str:
        return f"PipelineDraft(name={self.name!r}, id={self.id!r})"

    @classmethod
    @checked
    def create(
        cls,
        workspace: Workspace,
        pipeline: Pipeline | PublishedPipeline | PipelineRun,
        name: str | None = None,
        description: str | None = None,
        experiment_name: str | None = None,
        pipeline_parameters: Mapping[str, Any] | None = None,
        continue_on_step_failure: bool | None = None,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> PipelineDraft:
        """Keep a pipeline as a draft, with the files that it has now.

        :param pipeline: a pipeline, a published one, or the run of one.
        :param name: the pipeline's if left out.
        :param experiment_name: the experiment of runs that are started from it.
        :param pipeline_parameters: the values of such runs.
        :raises ParameterError: where a parameter does not exist, or has no value of its type.
        :raises MlPipelinesError: where a source folder or a script is missing.
        """
        from airflow_ml_pipelines.core.publishing.drafts import create_draft
        from airflow_ml_pipelines.core.publishing.published import check_name

        core = core_of("PipelineDraft.create(workspace=…)", workspace)
        spec = _spec(workspace, pipeline)
        document = create_draft(
            core.store,
            check_name(name or spec.family, "PipelineDraft.create(name=…)"),
            spec,
            description=description,
            experiment=experiment_name,
            parameters=_parameters(spec, pipeline_parameters or {}),
            continue_on_step_failure=continue_on_step_failure,
            tags=labels_of(tags),
            properties=labels_of(properties),
        )
        return cls(workspace, document)

    @classmethod
    @checked
    def get(cls, workspace: Workspace, id: str) -> PipelineDraft:  # noqa: A002 - the reference's name
        """Return a draft by its id. :raises WorkspaceError: where there is none."""
        from airflow_ml_pipelines.core.publishing.drafts import read_draft

        return cls(workspace, read_draft(core_of("PipelineDraft.get(workspace=…)", workspace).store, id))

    @classmethod
    @checked
    def list(cls, workspace: Workspace, tags: Mapping[str, str] | None = None) -> list[PipelineDraft]:
        """Return the drafts that have some tags, the oldest first."""
        from airflow_ml_pipelines.core.publishing.drafts import find_drafts

        wanted = labels_of(tags)
        found = find_drafts(core_of("PipelineDraft.list(workspace=…)", workspace).store)
        return [cls(workspace, item) for item in found if wanted.items() <= item.tags.items()]

    @property
    def id(self) -> str:
        """The id."""
        return self._document.id

    @property
    def name(self) -> str:
        """The name."""
        return self._document.name

    @property
    def description(self) -> str | None:
        """What it is for."""
        return self._document.description

    @property
    def tags(self) -> dict[str, str]:
        """Labels that can be changed."""
        return dict(self._document.tags)

    @property
    def properties(self) -> dict[str, str]:
        """Labels that can only be added."""
        return dict(self._document.properties)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameter values of runs that are started from it."""
        return dict(self._document.parameters)

    @checked
    def update(
        self,
        name: str | None = None,
        description: str | None = None,
        experiment_name: str | None = None,
        pipeline_parameters: Mapping[str, Any] | None = None,
        continue_on_step_failure: bool | None = None,
        tags: Mapping[str, str] | None = None,
        pipeline: Pipeline | PublishedPipeline | PipelineRun | None = None,
    ) -> None:
        """Change what is given; the rest stays.

        :raises ParameterError: where a parameter does not exist, or has no value of its type.
        """
        from airflow_ml_pipelines.core.publishing.drafts import change_draft

        spec = self._document.spec if pipeline is None else _spec(self.workspace, pipeline)
        given = {
            "name": name,
            "description": description,
            "experiment": experiment_name,
            "parameters": None if pipeline_parameters is None else _parameters(spec, pipeline_parameters),
            "continue_on_step_failure": continue_on_step_failure,
            "tags": None if tags is None else labels_of(tags),
            "spec": None if pipeline is None else spec,
        }
        fields = {field: value for field, value in given.items() if value is not None}
        self._document = change_draft(
            self.workspace.core.store, self.id, lambda last: msgspec.structs.replace(last, **fields)
        )

    @checked
    def add_properties(self, properties: Mapping[str, str]) -> None:
        """Add labels that are not changed any more. :raises DefinitionError: where one has another value already."""
        from airflow_ml_pipelines.core.publishing.drafts import change_draft

        def add(last: DraftDocument) -> DraftDocument:
            for key, value in labels_of(properties).items():
                if last.properties.get(key, value) != value:
                    raise DefinitionError(
                        f"property {key!r} of draft {self.name!r} is {last.properties[key]!r} and can't be changed"
                    )
            return msgspec.structs.replace(last, properties={**last.properties, **labels_of(properties)})

        self._document = change_draft(self.workspace.core.store, self.id, add)

    def submit_run(self) -> PipelineRun:
        """Run it, where :meth:`dag_factory.Experiment.submit` would; return its run at once."""
        from dag_factory.runs.experiment import Experiment, submit_spec

        draft = self._document
        return submit_spec(
            Experiment(self.workspace, draft.experiment or draft.name),
            draft.spec,
            tags=draft.tags,
            parameters=draft.parameters,
            continue_on_step_failure=draft.continue_on_step_failure,
        )

    def publish(self) -> PublishedPipeline:
        """Publish it, under its name and with its parameter values as the defaults."""
        draft = self._document
        parameters = tuple(
            msgspec.structs.replace(item, default=draft.parameters[item.name], required=False)
            if item.name in draft.parameters
            else item
            for item in draft.spec.parameters
        )
        return self.workspace.publish(
            msgspec.structs.replace(draft.spec, parameters=parameters),
            name=draft.name,
            description=draft.description,
            continue_on_step_failure=draft.continue_on_step_failure,
        )

    def delete(self) -> None:
        """Take it away."""
        from airflow_ml_pipelines.core.publishing.drafts import change_draft

        change_draft(
            self.workspace.core.store, self.id, lambda last: msgspec.structs.replace(last, deleted=True)
        )

    @checked
    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Write it as a YAML document.

        :param path: the file; ``<name>.pipeline.yaml`` if left out.
        """
        from dag_factory.definitions.definition import save_spec

        save_spec(self._document.spec, path or f"{self.name}.pipeline.yaml")


def _spec(workspace: Workspace, pipeline: Any) -> PipelineSpec:
    """Return a pipeline, pinned."""
    from airflow_ml_pipelines.core.publishing.pinned import pin_pipeline, pin_run
    from dag_factory.pipelines.pipeline import Pipeline
    from dag_factory.publishing.published_pipeline import PublishedPipeline
    from dag_factory.runs.run import PipelineRun

    if isinstance(pipeline, PublishedPipeline):
        return pipeline.to_spec()
    if isinstance(pipeline, PipelineRun):
        return pin_run(workspace.core, pipeline.folder)
    if isinstance(pipeline, Pipeline):
        return pin_pipeline(workspace.core, pipeline.to_spec())
    raise TypeError(
        f"PipelineDraft: expected a Pipeline, a PublishedPipeline or a PipelineRun, found {kind_of(pipeline)}"
    )


def _parameters(spec: PipelineSpec, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values that the pipeline takes, as documents have them."""
    from airflow_ml_pipelines.core.parameters import check_parameters

    given = parameter_values(values)
    optional = tuple(msgspec.structs.replace(item, required=False) for item in spec.parameters)
    checked_values = check_parameters(optional, given)
    return {name: checked_values[name] for name in given}
