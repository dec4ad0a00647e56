"""Published pipelines, as the code that writes pipelines sees them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import WorkspaceError
from dag_factory._check import checked, core_of, expect
from dag_factory.runs.runnable import Runnable

if TYPE_CHECKING:
    import builtins

    from airflow_ml_pipelines.core.publishing.published import PublishedDocument
    from airflow_ml_pipelines.core.spec import PipelineSpec
    from dag_factory.runs.run import PipelineRun
    from dag_factory.workspace import Workspace

__all__ = ["PublishedPipeline", "publish_spec"]


class PublishedPipeline(Runnable):
    """A pipeline that was published: it runs as it was then, whatever has become of its source folders.

    :meth:`dag_factory.Pipeline.publish` makes one, :meth:`get` opens one.
    """

    def __init__(self, workspace: Workspace, document: PublishedDocument) -> None:
        self.workspace = workspace
        self._document = document

    def __repr__(self) -> str:
        return f"PublishedPipeline(name={self.name!r}, id={self.id!r}, status={self.status!r})"

    @classmethod
    @checked
    def get(cls, workspace: Workspace, id: str) -> PublishedPipeline:  # noqa: A002 - the reference's name
        """Return a published pipeline by its id.

        :raises WorkspaceError: where there is none, or it was deleted.
        """
        from airflow_ml_pipelines.core.publishing.published import read_published

        core = core_of("PublishedPipeline.get(workspace=…)", workspace)
        return cls(
            workspace,
            read_published(core.store, expect("PublishedPipeline.get(id=…)", id, str, what="an id")),
        )

    @classmethod
    @checked
    def list(cls, workspace: Workspace, active_only: bool = True) -> list[PublishedPipeline]:
        """Return the workspace's published pipelines, by their names and numbers.

        :param active_only: whether those that are disabled are left out.
        """
        from airflow_ml_pipelines.core.publishing.published import find_published

        core = core_of("PublishedPipeline.list(workspace=…)", workspace)
        return [cls(workspace, item) for item, _ in find_published(core.store, active_only=active_only)]

    @property
    def id(self) -> str:
        """The id: the name and a number; that of the DAG as well."""
        return self._document.id

    @property
    def name(self) -> str:
        """What it was published under."""
        return self._document.name

    @property
    def version(self) -> str | None:
        """The label that it was given."""
        return self._document.version

    @property
    def description(self) -> str | None:
        """What it is for."""
        return self._document.spec.description

    @property
    def continue_on_step_failure(self) -> bool:
        """Whether steps that don't need a failed one still run."""
        return self._document.spec.continue_on_step_failure

    @property
    def endpoint(self) -> str:
        """The address that starts a run of it, with a POST.

        :raises WorkspaceError: where neither the workspace file nor the environment names an Airflow server.
        """
        from dag_factory.runs.remote import server_of

        return server_of(self.workspace.core).address("pipelines", self.id)

    @property
    def graph_id(self) -> str:
        """The digest of the definition."""
        return self._document.spec.digest

    @property
    def status(self) -> str:
        """``Active``, ``Disabled`` or ``Deleted``."""
        from airflow_ml_pipelines.core.publishing.published import read_status

        return read_status(self.workspace.core.store, self._document)

    def get_step_names(self) -> builtins.list[str]:
        """Return the names of the steps, each after those that it needs."""
        return [step.name for step in self._document.spec.steps]

    def to_spec(self, name: str | None = None) -> PipelineSpec:  # noqa: ARG002 - as Pipeline has it
        """Return what runs know of the pipeline."""
        return self._document.spec

    # --- what can be done with it --------------------------------------------------------------------------------

    @checked
    def submit(
        self,
        workspace: Workspace,
        experiment_name: str,
        pipeline_parameters: Mapping[str, Any] | None = None,
        parent_run_id: str | None = None,
        continue_on_step_failure: bool | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        regenerate_outputs: bool = False,
    ) -> PipelineRun:
        """Run it; return its run at once.

        It runs on the Airflow server that the workspace file names, in this process where that names none. See
        :meth:`dag_factory.Experiment.submit`.

        :raises WorkspaceError: where it is disabled or deleted.
        :raises ServerError: where the server can't be reached, or refuses.
        """
        from dag_factory.runs.experiment import Experiment, submit_spec

        self.require_active()
        experiment = Experiment(workspace, experiment_name)
        return submit_spec(
            experiment,
            self._document.spec,
            tags=tags,
            parameters=pipeline_parameters,
            continue_on_step_failure=continue_on_step_failure,
            regenerate_outputs=regenerate_outputs,
            parent_run_id=parent_run_id,
        )

    def require_active(self) -> None:
        """Raise a :class:`WorkspaceError` where it can't be run."""
        status = self.status
        if status != "Active":
            hint = ": call enable() first" if status == "Disabled" else ""
            raise WorkspaceError(f"published pipeline {self.id!r} is {status.lower()}{hint}")

    def enable(self) -> None:
        """Let it be run again."""
        self._set("Active")

    def disable(self) -> None:
        """Let it not be run until :meth:`enable` is called."""
        self._set("Disabled")

    def delete(self) -> None:
        """Take it away; what its runs made stays.

        :raises WorkspaceError: where it is a version of an endpoint.
        """
        from airflow_ml_pipelines.core.publishing.endpoints import find_endpoints

        for endpoint in find_endpoints(self.workspace.core.store, active_only=False):
            if self.id in endpoint.versions and endpoint.status != "Archived":
                raise WorkspaceError(
                    f"published pipeline {self.id!r} can't be deleted: it is a version of endpoint {endpoint.name!r}; "
                    "archive that first, or disable the pipeline"
                )
        self._set("Deleted")

    @checked
    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Write it as a YAML document.

        :param path: the file; ``<name>.pipeline.yaml`` if left out.
        """
        from dag_factory.definitions.definition import save_spec

        save_spec(self._document.spec, path or f"{self.name}.pipeline.yaml")

    def _set(self, status: Any) -> None:
        from airflow_ml_pipelines.core.publishing.published import read_status, write_status

        store = self.workspace.core.store
        if read_status(store, self._document) == "Deleted":
            raise WorkspaceError(f"published pipeline {self.id!r} was deleted")
        write_status(store, self._document, status)


def publish_spec(workspace: Workspace, spec: PipelineSpec, **options: Any) -> PublishedPipeline:
    """Publish a pipeline as it is now.

    :param options: see :func:`airflow_ml_pipelines.core.publishing.published.publish`.
    """
    from airflow_ml_pipelines.core.publishing.pinned import pin_pipeline
    from dag_factory.runs.names import require_names

    require_names(workspace.core, spec)
    return workspace.publish(pin_pipeline(workspace.core, spec), **options)
