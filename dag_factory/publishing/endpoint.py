"""Pipeline endpoints, as the code that writes pipelines sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_ml_pipelines.core.errors import WorkspaceError
from dag_factory._check import checked, core_of, expect, kind_of, warn
from dag_factory.publishing.published_pipeline import PublishedPipeline
from dag_factory.runs.runnable import Runnable

if TYPE_CHECKING:
    import builtins

    from airflow_ml_pipelines.core.publishing.endpoints import EndpointDocument
    from dag_factory.pipelines.pipeline import Pipeline
    from dag_factory.runs.run import PipelineRun
    from dag_factory.workspace import Workspace

__all__ = ["PipelineEndpoint"]


class PipelineEndpoint:
    """A stable name for a pipeline whose published versions come and go.

    :meth:`publish` makes one, :meth:`get` opens one. Versions are called ``"0"``, ``"1"``, … in the order in which they
    were added; one of them is the default.
    """

    def __init__(self, workspace: Workspace, document: EndpointDocument) -> None:
        self.workspace = workspace
        self._known = document

    def __repr__(self) -> str:
        return (
            f"PipelineEndpoint(name={self.name!r}, id={self.id!r}, default_version={self.default_version!r})"
        )

    @classmethod
    @checked
    def publish(
        cls, workspace: Workspace, name: str, description: str | None, pipeline: Pipeline | PublishedPipeline
    ) -> PipelineEndpoint:
        """Make an endpoint with a pipeline as its version ``"0"``.

        :param pipeline: one that is published already, or one that is published for it, under the endpoint's name.
        :raises WorkspaceError: where there is an endpoint of that name.
        """
        from airflow_ml_pipelines.core.publishing.endpoints import create_endpoint

        core = core_of("PipelineEndpoint.publish(workspace=…)", workspace)
        expect("PipelineEndpoint.publish(name=…)", name, str, what="a name")
        try:
            taken = cls.get(workspace, name=name, _published=False)
        except WorkspaceError:
            published = _published(pipeline, name)
            return cls(workspace, create_endpoint(core.store, name, published.id, description))
        raise WorkspaceError(
            f"there is an endpoint {taken.name!r} in the workspace already: add a version to it with add_default(…), "
            "or take another name"
        )

    @classmethod
    @checked
    def get(
        cls,
        workspace: Workspace,
        id: str | None = None,  # noqa: A002 - the reference's name
        name: str | None = None,
        *,
        _published: bool = True,
    ) -> Any:
        """Return an endpoint by its id or its name.

        Where no endpoint but a published pipeline has the name, the latest one of it is returned, with a warning.

        :raises WorkspaceError: where there is none.
        """
        from airflow_ml_pipelines.core.publishing.endpoints import read_endpoint

        core = core_of("PipelineEndpoint.get(workspace=…)", workspace)
        if (id is None) == (name is None):
            raise TypeError("PipelineEndpoint.get: give an id or a name")
        try:
            return cls(workspace, read_endpoint(core.store, identity=id, name=name))
        except WorkspaceError:
            latest = _latest(workspace, name) if name is not None and _published else None
            if latest is None:
                raise
            warn(
                f"there is no endpoint {name!r}; this is the published pipeline of that name, {latest.id!r}: "
                "PublishedPipeline.get(workspace, id) is the way to it"
            )
            return latest

    @classmethod
    @checked
    def list(
        cls, workspace: Workspace, active_only: bool = True, max_results: int = 100
    ) -> list[PipelineEndpoint]:
        """Return the workspace's endpoints, by name.

        :param active_only: whether those that are disabled or archived are left out.
        :param max_results: how many at most.
        """
        from itertools import islice

        from airflow_ml_pipelines.core.publishing.endpoints import find_endpoints

        core = core_of("PipelineEndpoint.list(workspace=…)", workspace)
        found = find_endpoints(core.store, active_only=active_only)
        return [cls(workspace, document) for document in islice(found, max_results)]

    # --- what it is ----------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The id, which stays when the name is changed."""
        return self._known.id

    @property
    def name(self) -> str:
        """The name."""
        return self._document().name

    @property
    def description(self) -> str | None:
        """What it is for."""
        return self._known.description

    @property
    def status(self) -> str:
        """``Active``, ``Disabled`` or ``Archived``."""
        return self._document().status

    @property
    def endpoint(self) -> str:
        """The address that starts a run of the default version, with a POST; of another with ``/<version>`` after it.

        :raises WorkspaceError: where neither the workspace file nor the environment names an Airflow server.
        """
        from dag_factory.runs.remote import server_of

        return server_of(self.workspace.core).address("endpoints", self.id)

    @property
    def default_version(self) -> str:
        """The version that runs where none is named."""
        return self._document().default

    def get_default_version(self) -> str:
        """Return the version that runs where none is named."""
        return self.default_version

    @checked
    def get_pipeline(self, version: str | None = None) -> PublishedPipeline:
        """Return the published pipeline of a version; of the default one if left out.

        :raises WorkspaceError: where there is no such version.
        """
        return PublishedPipeline.get(self.workspace, self._document().pipeline(_version(version)))

    def list_versions(self) -> builtins.list[str]:
        """Return the versions, in the order in which they were added."""
        return [str(number) for number in range(len(self._document().versions))]

    @checked
    def list_pipelines(self, active_only: bool = True) -> builtins.list[PublishedPipeline]:
        """Return the published pipeline of each version.

        :param active_only: whether those that are disabled are left out.
        """
        found = [PublishedPipeline.get(self.workspace, item) for item in self._document().versions]
        return [item for item in found if not active_only or item.status == "Active"]

    # --- changing it ---------------------------------------------------------------------------------------------

    @checked
    def add(self, pipeline: Pipeline | PublishedPipeline) -> None:
        """Add a pipeline as the next version; the default stays."""
        self._add(pipeline, default=False)

    @checked
    def add_default(self, pipeline: Pipeline | PublishedPipeline) -> None:
        """Add a pipeline as the next version and make that the default."""
        self._add(pipeline, default=True)

    @checked
    def set_default(self, pipeline: PublishedPipeline) -> None:
        """Make the version of a published pipeline the default.

        :raises WorkspaceError: where it is none of the versions.
        """
        from airflow_ml_pipelines.core.errors import did_you_mean

        expect(
            "PipelineEndpoint.set_default(pipeline=…)",
            pipeline,
            PublishedPipeline,
            what="a PublishedPipeline",
        )
        versions = self._document().versions
        if pipeline.id not in versions:
            raise WorkspaceError(
                f"published pipeline {pipeline.id!r} is no version of endpoint {self.name!r}: add it with "
                f"add_default(…).{did_you_mean(pipeline.id, versions)}"
            )
        self.set_default_version(str(versions.index(pipeline.id)))

    @checked
    def set_default_version(self, version: str) -> None:
        """Make a version the default. :raises WorkspaceError: where there is no such version."""
        wanted = _version(version)

        def change(last: EndpointDocument) -> EndpointDocument:
            last.pipeline(wanted)
            return msgspec.structs.replace(last, default=wanted)

        self._change(change)

    @checked
    def set_name(self, name: str) -> None:
        """Give the endpoint another name. :raises WorkspaceError: where another one has it."""
        from airflow_ml_pipelines.core.publishing.endpoints import rename_endpoint

        self._known = rename_endpoint(self.workspace.core.store, self.id, name)

    def enable(self) -> None:
        """Let it be run again."""
        self._set("Active")

    def disable(self) -> None:
        """Let it not be run until :meth:`enable` is called."""
        self._set("Disabled")

    def archive(self) -> None:
        """Disable it and free its name."""
        from airflow_ml_pipelines.core.publishing.endpoints import archive_endpoint

        self._known = archive_endpoint(self.workspace.core.store, self.id)

    @checked
    def reactivate(self, name: str) -> None:
        """Bring it back from the archive, under a name. :raises WorkspaceError: where another one has the name."""
        from airflow_ml_pipelines.core.publishing.endpoints import reactivate_endpoint

        self._known = reactivate_endpoint(self.workspace.core.store, self.id, name)

    # --- running it ----------------------------------------------------------------------------------------------

    @checked
    def submit(
        self,
        experiment_name: str,
        pipeline_parameters: Mapping[str, Any] | None = None,
        parent_run_id: str | None = None,
        pipeline_version: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
    ) -> PipelineRun:
        """Run a version of it; return its run at once.

        See :meth:`dag_factory.PublishedPipeline.submit`.

        :param pipeline_version: the default version if left out.
        :raises WorkspaceError: where the endpoint or the version's pipeline is disabled, or there is no such version.
        """
        status = self.status
        if status != "Active":
            raise WorkspaceError(f"endpoint {self.name!r} is {status.lower()}: call enable() first")
        return self.get_pipeline(pipeline_version).submit(
            self.workspace,
            experiment_name,
            pipeline_parameters,
            parent_run_id,
            tags={**(tags or {}), "pipeline_endpoint": self.id},
        )

    # --- within --------------------------------------------------------------------------------------------------

    def _document(self) -> EndpointDocument:
        from airflow_ml_pipelines.core.publishing.endpoints import read_endpoint

        self._known = read_endpoint(self.workspace.core.store, identity=self.id)
        return self._known

    def _add(self, pipeline: Pipeline | PublishedPipeline, *, default: bool) -> None:
        from airflow_ml_pipelines.core.publishing.endpoints import add_version

        published = _published(pipeline, self.name)
        self._known = add_version(self.workspace.core.store, self.id, published.id, default=default)

    def _set(self, status: Any) -> None:
        from airflow_ml_pipelines.core.publishing.endpoints import switch_endpoint

        self._known = switch_endpoint(self.workspace.core.store, self.id, status)

    def _change(self, change: Any) -> None:
        from airflow_ml_pipelines.core.publishing.endpoints import change_endpoint

        self._known = change_endpoint(self.workspace.core.store, self.id, change)


def _published(pipeline: Pipeline | PublishedPipeline, name: str) -> PublishedPipeline:
    if isinstance(pipeline, PublishedPipeline):
        pipeline.require_active()
        return pipeline
    if isinstance(pipeline, Runnable):
        return pipeline.publish(name=pipeline.name or name)
    raise TypeError(
        f"PipelineEndpoint: expected a Pipeline or a PublishedPipeline, found {kind_of(pipeline)}"
    )


def _latest(workspace: Workspace, name: str) -> PublishedPipeline | None:
    found = [item for item in PublishedPipeline.list(workspace) if item.name == name]
    return found[-1] if found else None


def _version(version: Any) -> Any:
    """Return a version as text; people write numbers."""
    if isinstance(version, int) and not isinstance(version, bool):
        return str(version)
    return expect("version", version, str, type(None), what="a version such as '0'")
