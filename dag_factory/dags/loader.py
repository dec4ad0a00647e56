"""Makes DAGs of all pipeline definitions of a folder, in a DAG file of one line.

::

    from dag_factory import load_pipelines  # an Airflow DAG file

    load_pipelines()

Airflow reads a file as a DAG file where it has the words *airflow* and *dag* in it, hence the comment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.definition_files import find_pipeline_files, name_in, pipeline_name
from dag_factory.dags.dag_file import error_text, make_dag, refuse_name
from dag_factory.definitions.definition import PipelineDefinition

if TYPE_CHECKING:
    from airflow.sdk import DAG

__all__ = ["load_pipelines"]


def load_pipelines(
    folder: str | os.PathLike[str] | None = None,
    *,
    workspace: str | os.PathLike[str] | None = None,
    namespace: MutableMapping[str, Any] | None = None,
) -> dict[str, DAG]:
    """Make a DAG of every ``*.pipeline.yaml`` in a folder and below, and let Airflow find them.

    Hidden folders are left out, and what a ``.airflowignore`` in the folder or below names. In a task only what
    that task needs of its DAG is made. A definition that is wrong does not keep the others from being made: Airflow shows an import error
    for its file (:mod:`dag_factory.dags.broken`). Where no definition is right, the DAG file has the import error.

    :param folder: relative to the folder of the file that calls; that folder itself where it is left out.
    :param workspace: the workspace's file or folder, relative as well; see :func:`dag_factory.build_dag`.
    :param namespace: where Airflow looks for DAGs; the variables of the module that calls where it is left out.
    :return: the DAGs by their ids.
    :raises DefinitionError: where there is no such folder, no definition is right, or the one of the task is wrong.
    """
    caller = sys._getframe(1).f_globals  # noqa: SLF001 - so that a DAG file needs one line
    here = Path(caller.get("__file__") or "load.py").absolute().parent
    root = here / (folder or ".")
    if not root.is_dir():
        raise DefinitionError(f"load_pipelines(folder={str(folder)!r}): there is no folder {root}")
    loader = _Loader(here, root, None if workspace is None else here / workspace)
    dags = loader.load()
    (caller if namespace is None else namespace).update(dags)
    return dags


class _Loader:
    """Makes the DAGs.

    :param here: the folder of the DAG file.
    :param root: the folder with the definitions.
    """

    def __init__(self, here: Path, root: Path, workspace: Path | None) -> None:
        self.here = here
        self.root = root
        self.workspace = workspace

    def load(self) -> dict[str, DAG]:
        from airflow.sdk import get_parsing_context

        files = find_pipeline_files(self.root)
        wanted = get_parsing_context()
        return (
            self._load_one(wanted.dag_id, wanted.task_id, files) if wanted.dag_id else self._load_all(files)
        )

    def _load_all(self, files: list[Path]) -> dict[str, DAG]:
        from dag_factory.dags.broken import broken_dag

        dags: dict[str, DAG] = {}
        origins: dict[str, Path] = {}
        broken: dict[Path, Exception] = {}
        for file in files:
            try:
                definition = PipelineDefinition.from_yaml(file)
                name = definition.name
                if name in origins:
                    refuse_name(definition, self._shown(origins[name]))
                dags[name] = make_dag(definition, self.workspace)
                origins[name] = file
            except Exception as error:  # noqa: BLE001 - no definition may hide the others
                broken[file] = error
        if broken and not dags:
            raise DefinitionError("\n".join(self._text(file, error) for file, error in broken.items()))
        for file, reason in broken.items():
            dag = broken_dag(self._shown(file), self._text(file, reason))
            dags.setdefault(dag.dag_id, dag)
        return dags

    def _load_one(self, dag_id: str, task_id: str | None, files: list[Path]) -> dict[str, DAG]:
        """Make what a task needs of its DAG, if possible without a look at the other definitions."""
        from dag_factory.dags.broken import broken_dag, broken_dag_id

        for file in files:
            if broken_dag_id(self._shown(file)) == dag_id:
                try:
                    make_dag(PipelineDefinition.from_yaml(file), self.workspace)
                except Exception as error:  # noqa: BLE001 - the DAG of a broken definition is what is wanted
                    return {dag_id: broken_dag(self._shown(file), self._text(file, error))}
        likely = [file for file in files if pipeline_name(file) == dag_id]
        for file in dict.fromkeys((*likely, *files)):
            name = name_in(file)
            if name not in (dag_id, None):
                continue
            try:
                definition = PipelineDefinition.from_yaml(file)
            except DefinitionError:
                if name is None and file not in likely:
                    continue  # most likely another pipeline
                raise
            if definition.name == dag_id:
                return {dag_id: make_dag(definition, self.workspace, task_id)}
        return {}

    def _shown(self, file: Path) -> str:
        return Path(os.path.relpath(file, self.here)).as_posix()

    def _text(self, file: Path, error: Exception) -> str:
        return error_text(error, file, self._shown(file))
