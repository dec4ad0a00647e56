"""Makes the DAG of one definition, for the DAG file that a bundle makes of it.

A :class:`~airflow_ml_pipelines.bundles.pipelines.PipelinesBundle` shows Airflow a DAG file for each definition, which
calls :func:`load_dag_file`. So what is wrong with a definition is an import error of its own.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError, MlPipelinesError
from airflow_ml_pipelines.definition_files import name_in
from airflow_ml_pipelines.written.problems import Problem
from dag_factory.definitions.definition import PipelineDefinition

if TYPE_CHECKING:
    from airflow.sdk import DAG

__all__ = ["error_text", "load_dag_file", "make_dag", "refuse_name", "warm_up"]


def load_dag_file(
    namespace: MutableMapping[str, Any],
    file: str,
    shown: str,
    *,
    workspace: str | None = None,
    taken_by: str | None = None,
) -> None:
    """Make the DAG of a definition, unless it is another that is asked for.

    :param namespace: where Airflow looks for DAGs: the variables of the DAG file.
    :param file: the definition.
    :param shown: what errors call it: its path in the bundle.
    :param workspace: the workspace's file or folder; see :func:`dag_factory.build_dag`.
    :param taken_by: another definition that has the same name.
    :raises DefinitionError: that names everything that is wrong.
    """
    from airflow.sdk import get_parsing_context

    wanted = get_parsing_context()
    path = Path(file)
    if wanted.dag_id is None:
        if not path.exists():  # removed since Airflow looked for DAG files
            return
    elif name_in(path) not in (wanted.dag_id, None):
        return
    try:
        definition = PipelineDefinition.from_yaml(path)
        if taken_by is not None:
            refuse_name(definition, taken_by)
        dag = make_dag(definition, workspace, wanted.task_id if definition.name == wanted.dag_id else None)
    except MlPipelinesError as error:
        raise DefinitionError(error_text(error, path, shown)) from None
    except Exception as error:
        raise DefinitionError(error_text(error, path, shown)) from error
    namespace[dag.dag_id] = dag


def make_dag(
    definition: PipelineDefinition, workspace: str | os.PathLike[str] | None, task_id: str | None = None
) -> DAG:
    """Return the DAG of a definition, with its file as the DAG's code.

    :param task_id: see :func:`dag_factory.build_dag`.
    """
    from dag_factory.dags.compile import build_dag

    return build_dag(definition, workspace=workspace, task_id=task_id, code=definition.source.file)


def refuse_name(definition: PipelineDefinition, other: str) -> None:
    """Raise the error of a definition whose name another one has already.

    :param other: the file of that one.
    """
    message = f"{other} has the name {definition.name!r} already: take another"
    definition.refuse([Problem(("name",), message)])


def error_text(error: Exception, file: Path, shown: str) -> str:
    """Return what is wrong with a definition, with paths that are the same in every checkout."""
    text = str(error) if isinstance(error, MlPipelinesError) else f"{type(error).__name__}: {error}"
    text = text.replace(str(file), shown)
    if str(file).endswith(f"{os.sep}{shown}"):
        text = text.replace(str(file).removesuffix(shown), "")
    return text if shown in text else f"{shown}: {text}"


def warm_up() -> None:
    """Import and make what every definition needs, so that processes which are forked from this one have it already."""
    definition = PipelineDefinition.from_document({"name": "warm-up", "steps": {"step": {"script": "-"}}})
    spec = definition.to_spec(check_files=False)
    from dag_factory.dags.compile import build_dag

    build_dag(spec)
