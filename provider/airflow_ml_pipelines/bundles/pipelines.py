"""A DAG bundle of pipeline definitions, each a DAG file of its own."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

# not by way of _airflow, which tasks and bundles would then pay for together
from airflow.dag_processing.bundles.base import BaseDagBundle  # noqa: TID253
from airflow.dag_processing.bundles.local import LocalDagBundle  # noqa: TID253

from airflow_ml_pipelines.bundles.view import View, remove_orphans
from airflow_ml_pipelines.core.errors import DefinitionError, did_you_mean
from airflow_ml_pipelines.definition_files import Heads

__all__ = ["PipelinesBundle"]

_KEYS = ("classpath", "kwargs")
_log = logging.getLogger(__name__)


class PipelinesBundle(BaseDagBundle):  # type: ignore[misc]
    """Makes every ``*.pipeline.yaml`` of a folder a DAG file of its own, beside the DAG files in Python there.

    So what is wrong with a definition is its own import error, and its YAML is the code that Airflow shows. The folder
    is a local one, or that of another bundle, whose versions are kept: round a ``GitDagBundle``, a run takes the
    definitions and scripts of the commit that it began with.

    .. code-block:: ini

        [dag_processor]
        dag_bundle_config_list = [{
            "name": "pipelines",
            "classpath": "airflow_ml_pipelines.bundles.pipelines.PipelinesBundle",
            "kwargs": {"folder": "/opt/airflow/pipelines"}}]

    What a ``.airflowignore`` names is left out, and so are hidden folders.

    :param folder: the folder; the DAGs folder where neither this nor ``bundle`` is given.
    :param bundle: another bundle, as Airflow's configuration has it: its ``classpath`` and ``kwargs``.
    :param workspace: the workspace's file or folder, relative to the folder; None for the one that
        ``[ml_pipelines] workspace`` names, else the nearest from each definition's folder upwards.
    :param kwargs: of every bundle, such as ``refresh_interval``.
    :raises DefinitionError: where the parameters don't go together.
    """

    def __init__(
        self,
        *,
        folder: str | os.PathLike[str] | None = None,
        bundle: Mapping[str, Any] | None = None,
        workspace: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wrapped = self._wrap(folder, bundle)
        self.supports_versioning = self.wrapped.supports_versioning
        self._workspace = None if workspace is None else os.fspath(workspace)
        self._heads = Heads()

    @property
    def path(self) -> Path:
        """Where Airflow looks for DAG files: a view of the folder."""
        return self._view.path

    def initialize(self) -> None:
        """Make the view, as far as it is not there.

        :raises AirflowException: where it can't be made; any other error would end the DAG processor of Airflow 3.1.
        """
        self.wrapped.initialize()
        try:
            if self.version is not None:
                self._view.make()
            else:
                self._view.fill()
        except (DefinitionError, OSError) as error:
            from airflow_ml_pipelines._airflow import AirflowException

            raise AirflowException(f"bundle {self.name!r}: {error}") from error
        super().initialize()

    def refresh(self) -> None:
        """Take the latest state of the folder into the view."""
        self.wrapped.refresh()
        self._view.update(self._heads)
        remove_orphans(self._view)
        _warm_up()

    def get_current_version(self) -> Any:
        """Return the wrapped bundle's version."""
        return self.wrapped.get_current_version()

    def view_url(self, version: str | None = None) -> str | None:
        """Return where the wrapped bundle's version can be looked at."""
        url: str | None = self.wrapped.view_url(version)
        return url

    def view_url_template(self) -> str | None:
        """Return the template of where the wrapped bundle's versions can be looked at."""
        template: str | None = self._view_url_template or self.wrapped.view_url_template()
        return template

    @property
    def subdir(self) -> str | None:
        """What such a template may ask for."""
        return getattr(self.wrapped, "subdir", None)

    @property
    def _view(self) -> View:
        return View(Path(os.path.abspath(self.wrapped.path)), self.base_dir / "views", self._workspace)

    def _wrap(self, folder: Any, bundle: Any) -> BaseDagBundle:
        head = f"bundle {self.name!r}"
        if bundle is None:
            if folder is not None and not isinstance(folder, str | os.PathLike):
                raise DefinitionError(f"{head}: folder: expected a path, found {folder!r}")
            path = None if folder is None else os.path.expanduser(folder)
            return LocalDagBundle(name=self.name, version=self.version, path=path)
        if folder is not None:
            raise DefinitionError(f"{head}: give a folder or a bundle, not both: a bundle has its own folder")
        example = '{"classpath": "airflow.providers.git.bundles.git.GitDagBundle", "kwargs": {…}}'
        if not isinstance(bundle, Mapping) or not isinstance(bundle.get("classpath"), str):
            raise DefinitionError(f"{head}: bundle: expected such as {example}, found {bundle!r}")
        for key in bundle:
            if key not in _KEYS:
                raise DefinitionError(f"{head}: bundle: there is no {key!r}.{did_you_mean(str(key), _KEYS)}")
        wrapped_class = _bundle_class(bundle["classpath"], head)
        return wrapped_class(name=self.name, version=self.version, **dict(bundle.get("kwargs") or {}))


def _bundle_class(path: str, head: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        hint = ""
        if path.startswith("airflow.providers.git."):
            hint = ": install airflow-provider-ml-pipelines[git]"
        raise DefinitionError(f"{head}: bundle: can't import {path!r}: {error}{hint}") from None
    if not (isinstance(found, type) and issubclass(found, BaseDagBundle)):
        raise DefinitionError(f"{head}: bundle: {path!r} is no DAG bundle")
    return found


@functools.cache
def _warm_up() -> None:
    """Import here what every DAG file needs: Airflow forks the processes that read them from this one."""
    try:
        import_module("dag_factory.dags.dag_file").warm_up()
    except Exception:  # noqa: BLE001 - without it reading them takes longer, and nothing else
        _log.exception("Can't prepare the reading of pipeline definitions")
