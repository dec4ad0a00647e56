"""The DAG that stands for a definition that no DAG can be made of."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import DAG

__all__ = ["IMPORT_ERROR_TAG", "broken_dag", "broken_dag_id"]

IMPORT_ERROR_TAG = "import-error"
"""The tag of such a DAG."""

_TASK = "definition"


def broken_dag_id(file: str) -> str:
    """Return the id of the DAG that stands for a file: its path, with ``.`` between the folders."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", file.replace("/", "."))[-200:]


def broken_dag(file: str, text: str) -> DAG:
    """Return a DAG that tells what is wrong with a definition, on its page and by its one task, which fails.

    :param file: the definition's path, relative to the folder that all come from.
    """
    from airflow.sdk import DAG

    fence = "```"
    while fence in text:
        fence += "`"
    dag: DAG = DAG(
        broken_dag_id(file),
        description=f"Import error: {text.splitlines()[0] if text else file}"[:500],
        schedule=None,
        tags=[IMPORT_ERROR_TAG],
        doc_md=f"No DAG can be made of `{file}`:\n\n{fence}text\n{text}\n{fence}\n\nCorrect the file; this DAG then goes.",
    )
    _operator()(task_id=_TASK, dag=dag, message=text, retries=0)
    return dag


@functools.cache
def _operator() -> Any:
    from airflow_ml_pipelines._airflow import AirflowFailException, BaseOperator

    class BrokenDefinitionOperator(BaseOperator):  # type: ignore[misc]
        """Fails with what is wrong with a definition.

        :param message: what is wrong. A template field by name only, so that a change of it makes a new DAG version.
        """

        template_fields = ("message",)

        def __init__(self, *, message: str, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.message = message

        def render_template_fields(self, *_: Any, **__: Any) -> None:
            """Leave the text as it is."""

        def execute(self, context: Any) -> None:  # noqa: ARG002
            """Fail."""
            raise AirflowFailException(self.message)

    return BrokenDefinitionOperator
