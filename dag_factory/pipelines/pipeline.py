"""Pipelines: steps put together, ready to be run here, written down, or made a DAG."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError, MlPipelinesError
from dag_factory._check import checked, core_of, expect, kind_of
from dag_factory.calls import Call
from dag_factory.datastores.datastore import Datastore
from dag_factory.runs.runnable import Runnable
from dag_factory.steps.assemble import Assembly, StepSequence, assemble

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import PipelineSpec
    from dag_factory.definitions.definition import PipelineDefinition
    from dag_factory.publishing.published_pipeline import PublishedPipeline
    from dag_factory.runs.run import PipelineRun
    from dag_factory.steps.step import PipelineStep
    from dag_factory.workspace import Workspace

__all__ = ["Pipeline", "StepSequence"]

_UNNAMED = "pipeline"


class Pipeline(Runnable):
    """Steps and the order that their data gives them.

    What is wrong with the steps is said here; nothing is read from or written to a store before a run is submitted.

    :param workspace: what the pipeline's data, compute targets and environments are names of.
    :param steps: steps; outputs, which stand for the steps that make them; lists of these, whose steps may run at
        once; and :class:`StepSequence`, whose steps run one after the other.
    :param description: for people.
    :param default_datastore: where outputs that name no datastore are kept; the workspace's default if left out.
    :param default_source_directory: of steps that name none; the current folder if left out.
    :param resolve_closure: whether steps that others need belong to it even where they are not listed.
    :param name: what runs of it are kept under; that of the experiment if left out.
    :raises TypeError: where something is of a type that it can't be.
    :raises DefinitionError: for a cycle, an output that two steps make or none, a missing script, or parameters of one
        name that differ.
    """

    @checked
    def __init__(
        self,
        workspace: Workspace,
        steps: Sequence[Any] | StepSequence | PipelineStep,
        description: str | None = None,
        default_datastore: Datastore | str | None = None,
        default_source_directory: str | os.PathLike[str] | None = None,
        resolve_closure: bool = True,
        *,
        name: str | None = None,
    ) -> None:
        core_of("Pipeline(workspace=…)", workspace)
        if name is not None and not str(expect("Pipeline(name=…)", name, str, what="a name")).strip():
            raise DefinitionError("Pipeline(name=…): the name is empty")
        if default_datastore is not None and not isinstance(default_datastore, Datastore | str):
            raise TypeError(
                f"Pipeline(default_datastore=…): expected a Datastore or its name, found {kind_of(default_datastore)}"
            )
        self.workspace = workspace
        self.name = name
        self.description = description
        self._items = steps
        self._datastore = (
            default_datastore.name if isinstance(default_datastore, Datastore) else default_datastore
        )
        source = default_source_directory
        self._source = None if source is None else os.fspath(source)
        self._closure = resolve_closure
        self._bases = _bases()
        self._definition: PipelineDefinition | None = None
        self._assembly: Assembly | None = self._assemble()
        self._spec = self._assembly.spec

    @classmethod
    def from_definition(cls, workspace: Workspace, definition: PipelineDefinition) -> Pipeline:
        """Return the pipeline of a definition, such as a YAML document holds."""
        core_of("Pipeline.from_definition(workspace=…)", workspace)
        self = object.__new__(cls)
        self.workspace = workspace
        self.name = definition.name
        self.description = definition.description
        self._definition = definition
        self._assembly = None
        self._spec = definition.to_spec()
        return self

    @classmethod
    @checked
    def load_yaml(cls, workspace: Workspace, filename: str | os.PathLike[str]) -> Pipeline:
        """Return the pipeline that a YAML document describes.

        :raises DefinitionError: with file and line of all that is wrong in it.
        """
        from dag_factory.definitions.definition import PipelineDefinition

        return cls.from_definition(workspace, PipelineDefinition.from_yaml(Path(filename)))

    def __repr__(self) -> str:
        return f"Pipeline({[step.name for step in self._spec.steps]!r})"

    @property
    def steps(self) -> tuple[PipelineStep, ...]:
        """The steps, each after those that it needs; none where the pipeline was read from a document."""
        return self._assembly.steps if self._assembly else ()

    def to_spec(self, name: str | None = None) -> PipelineSpec:
        """Return what runs know of the pipeline.

        :param name: the name where the pipeline has none of its own.
        """
        import msgspec

        return msgspec.structs.replace(self._spec, name=self.name or name or _UNNAMED)

    def to_definition(self, name: str | None = None, **fields: Any) -> PipelineDefinition:
        """Return the pipeline as a definition, the model behind YAML documents and DAGs.

        :param name: the name where the pipeline has none of its own.
        :param fields: further fields of the definition: ``schedule``, ``tags``, ``owner`` …
        :raises DefinitionError: where a field does not exist or can't have its value.
        """
        from dag_factory.pipelines.describe import describe_pipeline, extend_definition

        if self._definition is not None:
            return extend_definition(self._definition, fields)
        return describe_pipeline(self.to_spec(name), fields, self._task_settings())

    def to_yaml(
        self, path: str | os.PathLike[str] | None = None, name: str | None = None, **fields: Any
    ) -> str:
        """Return the YAML document that describes the pipeline.

        :param path: a file to write it to, whose name is the pipeline's where it has none; source directories are
            then relative to its folder.
        :param fields: further fields of the definition, as :meth:`to_definition` takes them.
        """
        if path is None:
            return self.to_definition(name, **fields).to_yaml()
        from dag_factory.pipelines.describe import rebase_definition

        target = Path(path)
        definition = self.to_definition(name or target.name.partition(".")[0], **fields)
        text = rebase_definition(definition, target.absolute().parent).to_yaml()
        target.write_text(text, encoding="utf-8")
        return text

    def to_dag(self, dag_id: str | None = None, *, schedule: Any = None, **fields: Any) -> Any:
        """Return an Airflow DAG that runs the pipeline.

        Stand it in a variable of a DAG file.

        :param dag_id: the DAG's id; the pipeline's name if left out.
        :param schedule: a cron expression or preset, a ``timedelta``, a timetable, an asset, or a list of assets;
            None for runs by hand only.
        :param fields: further fields of the definition: ``tags``, ``start_date``, ``end_date``, ``catchup``,
            ``max_active_runs``, ``owner``, ``retries``, ``retry_delay``, ``pool``, ``queue``, ``timeout``, ``doc`` …
        :raises DefinitionError: where a field does not exist or can't have its value.
        """
        from dag_factory.pipelines.describe import make_dag

        return make_dag(self, dag_id, schedule, fields)

    def validate(self) -> list[MlPipelinesError]:
        """Return what is wrong with the pipeline now, and with the names that it has for things of the workspace."""
        try:
            if self._assembly is not None:
                self._assemble()
        except MlPipelinesError as error:
            return [error]
        from dag_factory.runs.names import check_names

        return check_names(self.workspace.core, self._spec)

    @checked
    def submit(
        self,
        experiment_name: str,
        pipeline_parameters: Mapping[str, Any] | None = None,
        continue_on_step_failure: bool | None = None,
        regenerate_outputs: bool = False,
        parent_run_id: str | None = None,
        credential_passthrough: bool | None = None,  # noqa: ARG002
    ) -> PipelineRun:
        """Run the pipeline in this process; return its run at once.

        See :meth:`dag_factory.Experiment.submit`.
        """
        from dag_factory.runs.experiment import Experiment

        return Experiment(self.workspace, experiment_name).submit(
            self,
            pipeline_parameters=pipeline_parameters,
            continue_on_step_failure=continue_on_step_failure,
            regenerate_outputs=regenerate_outputs,
            parent_run_id=parent_run_id,
        )

    @checked
    def publish(
        self,
        name: str | None = None,
        description: str | None = None,
        version: str | None = None,
        continue_on_step_failure: bool | None = None,
    ) -> PublishedPipeline:
        """Publish the pipeline: it can be run ever after as it is now, also when its source folders have gone.

        :param name: what it is published under; the pipeline's name if left out. Others may have the same.
        :param description: that of the pipeline if left out.
        :param version: a label.
        :param continue_on_step_failure: whether steps that don't need a failed one still run.
        :raises MlPipelinesError: where a source folder, a script, or something that it names in the workspace is
            missing.
        """
        from dag_factory.publishing.published_pipeline import publish_spec

        return publish_spec(
            self.workspace,
            self.to_spec(name),
            name=name,
            description=description,
            version=version,
            continue_on_step_failure=continue_on_step_failure,
        )

    def _task_settings(self) -> dict[str, Mapping[str, Any]]:
        assert self._assembly is not None
        ids = self._assembly.ids
        return {ids[step]: step.task_settings for step in self.steps if step.task_settings}

    def _assemble(self) -> Assembly:
        return assemble(
            self.name or _UNNAMED,
            self._items,
            description=self.description,
            default_datastore=self._datastore,
            source_directory=self._source,
            resolve_closure=self._closure,
            bases=self._bases,
        )


def _bases() -> list[Path]:
    """Return what relative source directories may be relative to: the current folder, else that of the caller's file.

    A scheduler imports a DAG file in a folder of its own choice.
    """
    bases = [Path.cwd()]
    call = Call.here()
    if call is not None and os.path.isfile(call.file):
        bases.append(Path(call.file).absolute().parent)
    return bases
