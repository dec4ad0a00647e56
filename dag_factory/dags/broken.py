"""What Airflow is shown of a definition that no DAG can be made of: an import error of its own.

A DAG file that raises loses all its DAGs, and Airflow has no door through which a DAG file could hand over an error
for another file. So the DAG that stands for a broken definition refuses to be serialised by the DAG processor, which
then lists the error under the definition's own path, and leaves the other DAGs of the file as they are. Tried on
Airflow 3.1.8 and 3.3.2. Everywhere else, as in ``airflow dags reserialize``, it is a DAG like any other: it is called
like its file, has the tag ``import-error``, tells on its page what is wrong, and fails with it when it runs.

The DAG processor forgets such an error when it looks for new DAG files (``refresh_interval``) and finds it again when
it reads the DAG file the next time.
"""

from __future__ import annotations

import functools
import posixpath
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import DAG

__all__ = ["IMPORT_ERROR_TAG", "broken_dag", "broken_dag_id"]

IMPORT_ERROR_TAG = "import-error"
"""The tag of such a DAG."""

_TASK = "definition"
_PROCESSOR = ("airflow.dag_processing.processor", "_serialize_dags")
_DEPTH = 20


def broken_dag_id(file: str) -> str:
    """Return the id of the DAG that stands for a file: its path, with ``.`` between the folders."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", file.replace("/", ".")).lstrip(".-")[-200:]


def broken_dag(file: str, text: str) -> DAG:
    """Return the DAG that stands for a broken definition.

    :param file: the definition's path, relative to the folder of the DAG file.
    :param text: what is wrong.
    """
    fence = "```"
    while fence in text:
        fence += "`"
    dag_class, operator_class = _classes()
    dag: DAG = dag_class(
        broken_dag_id(file),
        description=f"Import error: {text.splitlines()[0] if text else file}"[:500],
        schedule=None,
        tags=[IMPORT_ERROR_TAG],
        doc_md=f"No DAG can be made of `{file}`:\n\n{fence}text\n{text}\n{fence}\n\nCorrect the file, and this DAG goes.",
    )
    dag.broken_file, dag.broken_text = file, text
    operator_class(task_id=_TASK, dag=dag, message=text, retries=0)
    return dag


@functools.cache
def _classes() -> tuple[Any, Any]:
    from airflow.exceptions import SerializationError
    from airflow.sdk import DAG

    from airflow_ml_pipelines._airflow import AirflowFailException, BaseOperator

    class BrokenDefinitionError(SerializationError):  # type: ignore[misc]
        """What is wrong with a definition; serialisation lets its own errors through as they are."""

    BrokenDefinitionError.__qualname__ = "BrokenDefinitionError"

    class BrokenDag(DAG):  # type: ignore[misc]
        """A DAG that the DAG processor lists as an import error of another file."""

        def resolve_template_files(self) -> None:
            """Take the definition's path in place of the DAG file's, which Airflow has just set."""
            super().resolve_template_files()
            for name in ("fileloc", "relative_fileloc"):
                folder = posixpath.dirname(getattr(self, name) or "")
                setattr(self, name, posixpath.normpath(posixpath.join(folder, self.broken_file)))

        def get_serialized_fields(self) -> Any:
            """Refuse to be serialised by the DAG processor."""
            if _called_by_processor():
                self.fileloc = self.relative_fileloc  # under which Airflow 3.1 lists the error
                raise BrokenDefinitionError(self.broken_text)
            return super().get_serialized_fields()

    class BrokenDefinitionOperator(BaseOperator):  # type: ignore[misc]
        """Fails with what is wrong with a definition.

        :param message: what is wrong; a template field by name only, so that a change of it makes a new DAG version.
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

    return BrokenDag, BrokenDefinitionOperator


def _called_by_processor() -> bool:
    frame: Any = sys._getframe(1)  # noqa: SLF001 - the DAG processor is told from other callers by its function
    for _ in range(_DEPTH):
        if frame is None:
            return False
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) == _PROCESSOR:
            return True
        frame = frame.f_back
    return False
