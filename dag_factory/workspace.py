"""The workspace, as the code that writes pipelines sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import WorkspaceError
from dag_factory._check import checked, expect

if TYPE_CHECKING:
    import airflow_ml_pipelines.core.workspaces.workspace as core
    from airflow_ml_pipelines.core.spec import PipelineSpec
    from dag_factory.compute.environment import Environment
    from dag_factory.compute.target import ComputeTarget
    from dag_factory.datasets.dataset import FileDataset, TabularDataset
    from dag_factory.datastores.datastore import Datastore
    from dag_factory.publishing.published_pipeline import PublishedPipeline
    from dag_factory.runs.experiment import Experiment

__all__ = ["Workspace"]

_FILE = "workspace.yaml"


class Workspace:
    """What pipelines are made in: datastores, compute targets, environments, datasets and runs, each by its name.

    Open one with :meth:`from_config`, make one with :meth:`create`.

    :param core: the workspace as runs know it.
    """

    def __init__(self, core: core.Workspace) -> None:
        self.core = core

    def __repr__(self) -> str:
        return f"Workspace({self.name!r}, {self.core.root.url!r})"

    @classmethod
    @checked
    def from_config(cls, path: str | Path | None = None, auth: Any = None) -> Workspace:  # noqa: ARG003
        """Open the workspace that a file describes.

        :param path: the file, or a folder that has a ``workspace.yaml``; if left out the one that
            ``ML_PIPELINES_WORKSPACE`` names, else the nearest from the current folder upwards.
        :param auth: has no meaning here; datastores name what opens them.
        :raises WorkspaceError: where there is no such file, or something in it is wrong.
        """
        from airflow_ml_pipelines.workspace_file import load_workspace

        return cls(load_workspace(path))

    @classmethod
    @checked
    def create(
        cls,
        name: str,
        auth: Any = None,  # noqa: ARG003
        subscription_id: str | None = None,  # noqa: ARG003
        resource_group: str | None = None,  # noqa: ARG003
        location: str | None = None,  # noqa: ARG003
        create_resource_group: bool = True,  # noqa: ARG003
        sku: str = "basic",  # noqa: ARG003
        tags: Mapping[str, str] | None = None,  # noqa: ARG003
        friendly_name: str | None = None,  # noqa: ARG003
        storage_account: str | None = None,  # noqa: ARG003
        key_vault: str | None = None,  # noqa: ARG003
        app_insights: str | None = None,  # noqa: ARG003
        container_registry: str | None = None,  # noqa: ARG003
        exist_ok: bool = False,
        show_output: bool = True,
        *,
        folder: str | Path | None = None,
        root: str | Mapping[str, Any] | None = None,
    ) -> Workspace:
        """Make a workspace: a ``workspace.yaml`` and, beside it, the folder in which everything is kept.

        What only has a meaning in a cloud (the subscription, the resource group, the region …) is accepted and makes
        no difference.

        :param exist_ok: whether one of the same name may be there already, which is opened then.
        :param show_output: whether to say where it is.
        :param folder: where to make it; the current folder if left out.
        :param root: where everything is kept instead: a URL or a path, or ``{"url": …, "connection": …}``; that which the
            variable ``ML_PIPELINES_ROOT`` has, if left out.
        :raises WorkspaceError: where there is one already.
        """
        from airflow_ml_pipelines.workspace_file import create_workspace_file, load_workspace

        expect("Workspace.create(name=…)", name, str, what="a name")
        place = Path(folder or ".").absolute()
        file = place / _FILE
        if file.exists():
            found = cls(load_workspace(file))
            if not exist_ok:
                raise WorkspaceError(
                    f"there is a workspace already, {found.name!r} ({file}): open it with Workspace.from_config(), "
                    "or give exist_ok=True"
                )
            if found.name != name:
                raise WorkspaceError(
                    f"there is a workspace already ({file}), and its name is {found.name!r}, not {name!r}: "
                    "make the new one in another folder"
                )
            return found
        create_workspace_file(place, name, root=root)
        if show_output:
            print(f"workspace {name!r} is in {file}")  # noqa: T201
        return cls(load_workspace(file))

    @property
    def name(self) -> str:
        """The workspace's name."""
        return self.core.name

    @property
    def datastores(self) -> dict[str, Datastore]:
        """Every datastore by its name."""
        from dag_factory.datastores.datastore import Datastore

        return {name: Datastore(self, name) for name in self.core.datastores()}

    @property
    def compute_targets(self) -> dict[str, ComputeTarget]:
        """Every compute target by its name."""
        from dag_factory.compute.target import open_target

        return {name: open_target(self, spec) for name, spec in self.core.compute_targets().items()}

    @property
    def environments(self) -> dict[str, Environment]:
        """The latest version of every environment by its name."""
        from dag_factory.compute.environment import Environment

        return {name: Environment.from_spec(spec) for name, spec in self.core.environments().items()}

    @property
    def datasets(self) -> dict[str, FileDataset | TabularDataset]:
        """The latest version of every registered dataset by its name."""
        from dag_factory.datasets.dataset import open_dataset

        return {name: open_dataset(self, record) for name, record in self.core.datasets().items()}

    @checked
    def experiment(self, name: str) -> Experiment:
        """Return an experiment by its name; it is there as soon as it has a run."""
        from dag_factory.runs.experiment import Experiment

        return Experiment(self, name)

    @property
    def experiments(self) -> dict[str, Experiment]:
        """Every experiment that has a run, by its name."""
        from airflow_ml_pipelines.core.runs.folder import find_runs

        names = {folder.read_run().experiment for folder in find_runs(self.core.store)}
        return {name: self.experiment(name) for name in sorted(names)}

    def publish(self, spec: PipelineSpec, **options: Any) -> PublishedPipeline:
        """Publish a pipeline that is pinned to its files and environments already.

        :param options: see :func:`airflow_ml_pipelines.core.publishing.published.publish`.
        """
        from airflow_ml_pipelines.core.publishing.published import publish
        from dag_factory.publishing.published_pipeline import PublishedPipeline

        return PublishedPipeline(self, publish(self.core, spec, **options))

    def get_default_datastore(self) -> Datastore:
        """Return the datastore that is used where none is named."""
        from dag_factory.datastores.datastore import Datastore

        return Datastore(self, self.core.default_datastore)

    @checked
    def set_default_datastore(self, name: str | Datastore) -> None:
        """Make a datastore the one that is used where none is named.

        :raises WorkspaceError: where there is none of that name, or the workspace file says which one it is.
        """
        self.core.set_default_datastore(name if isinstance(name, str) else name.name)
