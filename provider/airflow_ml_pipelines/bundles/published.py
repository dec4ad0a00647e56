"""A DAG bundle of published pipelines."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

# not by way of _airflow: every task of an Airflow makes all its bundles, and only what a task of this one needs beyond a
# folder that is there is imported below
from airflow.dag_processing.bundles.base import BaseDagBundle  # noqa: TID253

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.publishing.dag_views import DagView
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["PublishedPipelinesBundle", "find_published_bundle", "published_file"]

_DAG_FILE = """\
# An Airflow DAG file of the published pipeline {pipeline!a}.
from dag_factory.dags.published_dag import load_published

load_published(globals(), {dag_id!a}, {entry!a}, workspace={workspace!a})
"""
_CLASS = "PublishedPipelinesBundle"
_REFRESH = 15


class PublishedPipelinesBundle(BaseDagBundle):  # type: ignore[misc]
    """Makes every published pipeline of a workspace that is not disabled a DAG, called like its id, and every schedule.

    A run keeps the DAGs that there were when it began, also where its pipeline is disabled meanwhile.

    .. code-block:: ini

        [dag_processor]
        dag_bundle_config_list = [{
            "name": "published",
            "classpath": "airflow_ml_pipelines.bundles.published.PublishedPipelinesBundle",
            "kwargs": {"refresh_interval": 15}}]

    :param workspace: the workspace's file or folder; None for the one that ``[ml_pipelines] workspace`` or
        ``ML_PIPELINES_WORKSPACE`` names.
    :param refresh_interval: seconds between two looks at what is published.
    :param kwargs: of every bundle.
    """

    supports_versioning = True

    def __init__(
        self, *, workspace: str | None = None, refresh_interval: int = _REFRESH, **kwargs: Any
    ) -> None:
        super().__init__(refresh_interval=refresh_interval, **kwargs)
        self._given = workspace
        self._opened: Workspace | None = None
        self._current: str | None = None

    @property
    def path(self) -> Path:
        """Where the DAG files are."""
        return Path(self.base_dir / "latest" if self.version is None else self.versions_dir / self.version)

    def initialize(self) -> None:
        """Make the DAG files, as far as they are not there."""
        if self.version is None:
            self.refresh()
        elif not self.path.is_dir():
            from airflow_ml_pipelines.core.publishing.dag_views import read_view

            self._make(read_view(self._workspace.store, self.version))
        super().initialize()

    def refresh(self) -> None:
        """Take what is published now, and leave the DAGs of which runs are under way.

        Airflow goes on with a run only as long as its DAG is there.
        """
        from airflow_ml_pipelines.core.publishing.dag_views import current_view, write_view

        view = current_view(self._workspace.store, _busy_dags(self.name))
        if view.digest != self._current:
            write_view(self._workspace.store, view)
            with self.lock():
                self._update(view)
            self._current = view.digest

    def get_current_version(self) -> Any:
        """Return the digest of the DAGs that there are."""
        return self.version or self._current

    @property
    def _workspace(self) -> Workspace:
        if self._opened is None:
            from airflow_ml_pipelines._tasks import open_workspace

            self._opened = open_workspace(self._given)
        return self._opened

    def _files(self, view: DagView) -> dict[str, str]:
        """Return the text of each DAG file."""
        import msgspec

        workspace = None if self._given is None else os.path.abspath(self._given)
        return {
            published_file(dag_id): _DAG_FILE.format(
                dag_id=dag_id, pipeline=entry.pipeline, entry=msgspec.to_builtins(entry), workspace=workspace
            )
            for dag_id, entry in view.dags.items()
        }

    def _make(self, view: DagView) -> None:
        """Make the folder of a version, as a whole."""
        self.versions_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=self.versions_dir) as name:
            folder = Path(name, "dags")
            folder.mkdir()
            for file, text in self._files(view).items():
                (folder / file).write_text(text, encoding="utf-8")
            try:
                folder.rename(self.path)
            except OSError:
                if not self.path.is_dir():  # or another process was quicker
                    raise

    def _update(self, view: DagView) -> None:
        """Make the folder of the latest version right; a file that is right is left alone."""
        folder = self.path
        folder.mkdir(parents=True, exist_ok=True)
        wanted = self._files(view)
        for entry in list(os.scandir(folder)):
            if entry.name in wanted and Path(entry.path).read_text(encoding="utf-8") == wanted[entry.name]:
                del wanted[entry.name]
            elif entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.name not in wanted:
                with suppress(FileNotFoundError):
                    os.unlink(entry.path)
        for file, text in wanted.items():
            draft = folder / f".{file}"
            draft.write_text(text, encoding="utf-8")
            draft.replace(folder / file)


def _busy_dags(bundle: str) -> set[str]:
    """Return the DAGs of a bundle that have runs which have not ended, none where Airflow's database can't be asked.

    The DAG processor can ask it, and nobody else looks for what is new.
    """
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import State
    from sqlalchemy import select
    from sqlalchemy.exc import SQLAlchemyError

    query = (
        select(DagRun.dag_id)
        .join(DagModel, DagModel.dag_id == DagRun.dag_id)
        .where(DagModel.bundle_name == bundle, DagRun.state.in_(State.unfinished_dr_states))
        .distinct()
    )
    try:
        with create_session() as session:
            return set(session.scalars(query))
    except (SQLAlchemyError, RuntimeError):  # the latter in a task
        return set()


def published_file(dag_id: str) -> str:
    """Return the name of a DAG's file in the bundle."""
    return f"{dag_id}.py"


def find_published_bundle() -> str | None:
    """Return the name under which Airflow's configuration has a bundle of published pipelines, None where it has none."""
    from airflow.configuration import conf

    try:
        bundles = json.loads(conf.get("dag_processor", "dag_bundle_config_list", fallback="") or "[]")
    except ValueError:
        return None
    for bundle in bundles:
        if str(bundle.get("classpath", "")).rpartition(".")[2] == _CLASS:
            return str(bundle["name"])
    return None
