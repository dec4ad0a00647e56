"""Runs a Databricks notebook in this process, with ``dbutils``, ``spark`` and ``display``.

As a program: ``python -m airflow_ml_pipelines.runtime.notebook NOTEBOOK [WIDGETS] [RESULT]``. WIDGETS is a JSON object of
texts. What the notebook gives to ``dbutils.notebook.exit`` is written to the file RESULT.

Cells run one after the other in one namespace. Of the magics there are ``%run``, ``%sql``, ``%python`` and those for text
(``%md``, ``%html``); a Spark session is made where a notebook first asks for one.
"""

from __future__ import annotations

import builtins
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from airflow_ml_pipelines.core.databricks.notebook import Cell, join_path, read_cells, split_sql
from airflow_ml_pipelines.core.errors import DefinitionError, MlPipelinesError

__all__ = ["NotebookExit", "main", "run_notebook"]

_TEXTS = frozenset({"md", "html", "md-sandbox"})
_LAST_SECONDS = 20
_NAMED = re.compile(r"(?<![:\w]):(\w+)")


class NotebookExit(BaseException):
    """A notebook has ended itself by ``dbutils.notebook.exit``.

    :ivar value: what it gave.
    """

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value


def run_notebook(path: str, widgets: Mapping[str, str]) -> str | None:
    """Run a notebook and return what it exited with, None where it ran to its end.

    :raises DefinitionError: where it can't be read, or has a magic that there is not.
    """
    notebook = _Notebook(path, dict(widgets))
    try:
        notebook.run(path)
    except NotebookExit as ended:
        return ended.value
    return None


class _Notebook:
    """A notebook that runs: its namespace, and what it finds there."""

    def __init__(self, path: str, widgets: dict[str, str]) -> None:
        self.path = path
        self.dbutils = _Utilities(self, widgets)
        self.names: dict[str, Any] = {
            "__name__": "__main__",
            "__file__": path,
            "__builtins__": _Builtins(self).names,
            "dbutils": self.dbutils,
            "display": _display,
            "displayHTML": _display,
            "getArgument": self.dbutils.widgets.argument,
        }
        self._runs: list[str] = []

    def run(self, path: str) -> None:
        """Run the cells of a notebook in this one's namespace."""
        if path in self._runs:
            raise DefinitionError(f"notebook {path} runs itself by %run")
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError as error:
            raise DefinitionError(f"notebook {path} can't be read: {error.strerror}") from None
        self._runs.append(path)
        for cell in read_cells(source, path):
            self._run_cell(cell, path)
        self._runs.pop()

    def _run_cell(self, cell: Cell, path: str) -> None:
        if cell.kind in _TEXTS:
            return
        if cell.kind == "run":
            with self.dbutils.widgets.set(cell.given):
                self.run(find_notebook(join_path(path, cell.text), path))
        elif cell.kind == "sql":
            values = self.dbutils.widgets.getAll()
            for statement in split_sql(cell.text):
                used = {name: values[name] for name in _NAMED.findall(statement) if name in values}
                _display(self.spark.sql(statement, args=used) if used else self.spark.sql(statement))
        elif cell.kind == "python":
            # the line numbers of errors are those of the file
            code = compile("\n" * (cell.line - 1) + cell.text, path, "exec")
            exec(code, self.names)  # noqa: S102 - that is what a notebook is for
        else:
            raise DefinitionError(
                f"notebook {path}, line {cell.line}: there is no %{cell.kind} outside of Databricks"
                + (": name the packages in pypi_libraries" if cell.kind == "pip" else "")
            )

    @property
    def spark(self) -> Any:
        """The Spark session."""
        from pyspark.sql import SparkSession

        return SparkSession.builder.getOrCreate()


class _Builtins:
    """Python's own names, and those that a notebook has besides, made when they are first asked for."""

    def __init__(self, notebook: _Notebook) -> None:
        made = {
            "spark": lambda: notebook.spark,
            "sc": lambda: notebook.spark.sparkContext,
            "sql": lambda: notebook.spark.sql,
        }

        class Names(dict):  # type: ignore[type-arg]
            def __missing__(self, name: str) -> Any:
                if name not in made:
                    raise KeyError(name)
                return made[name]()

        self.names = Names(vars(builtins))


def find_notebook(path: str, by: str = "") -> str:
    """Return the file of a notebook that is named without its ending.

    :param by: the notebook that names it: a path from the top of its workspace is one from a folder that it is in.
    """
    tops, folder = [""], os.path.dirname(os.path.abspath(by)) if by else ""
    while by and os.path.isabs(path) and folder != os.path.dirname(folder):
        tops.insert(-1, folder)
        folder = os.path.dirname(folder)
    places = (f"{top}{path}{ending}" for top in tops for ending in ("", ".py", ".ipynb"))
    return next((place for place in places if os.path.isfile(place)), path)


class _Utilities:
    """``dbutils``: widgets and notebooks."""

    def __init__(self, notebook: _Notebook, widgets: dict[str, str]) -> None:
        self.widgets = _Widgets(widgets)
        self.notebook = _NotebookUtilities(notebook)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"dbutils.{name} is there on Databricks alone: here are dbutils.widgets and dbutils.notebook; files are read and "
            "written by Spark or Python, and secrets are given as variables (spark_env_variables)"
        )


class _Widgets:
    """``dbutils.widgets``: what the notebook was given, else the defaults that it declares."""

    def __init__(self, given: dict[str, str]) -> None:
        self._given = given
        self._defaults: dict[str, str] = {}

    def text(self, name: str, defaultValue: str = "", label: str = "") -> None:  # noqa: ARG002, N803
        self._defaults[name] = str(defaultValue)

    def dropdown(self, name: str, defaultValue: str, choices: Any, label: str = "") -> None:  # noqa: ARG002, N803
        self._defaults[name] = str(defaultValue)

    combobox = multiselect = dropdown

    @contextmanager
    def set(self, given: Mapping[str, str]) -> Iterator[None]:
        before = dict(self._given)
        self._given.update(given)
        try:
            yield
        finally:
            self._given.clear()
            self._given.update(before)

    def argument(self, name: str, default: str | None = None) -> str:
        return self.getAll().get(name, default) if default is not None else self.get(name)

    def get(self, name: str) -> str:
        for values in (self._given, self._defaults):
            if name in values:
                return values[name]
        known = ", ".join(sorted({*self._given, *self._defaults})) or "none"
        raise ValueError(f"InputWidgetNotDefined: there is no widget {name!r}. There are: {known}")

    getArgument = get  # noqa: N815 - Databricks' name

    def getAll(self) -> dict[str, str]:  # noqa: N802 - Databricks' name
        return {**self._defaults, **self._given}

    def remove(self, name: str) -> None:
        self._defaults.pop(name, None)

    def removeAll(self) -> None:  # noqa: N802 - Databricks' name
        self._defaults.clear()


class _NotebookUtilities:
    """``dbutils.notebook``."""

    def __init__(self, notebook: _Notebook) -> None:
        self._notebook = notebook

    def exit(self, value: Any = "") -> None:
        raise NotebookExit(str(value))

    def run(self, path: str, timeout_seconds: int = 0, arguments: Mapping[str, Any] | None = None) -> str:  # noqa: ARG002
        widgets = {name: str(value) for name, value in (arguments or {}).items()}
        by = self._notebook.path
        return run_notebook(find_notebook(join_path(by, path), by), widgets) or ""


def _display(value: Any = None, *_: Any, **__: Any) -> None:
    show = getattr(value, "show", None)
    if callable(show):
        show()
    else:
        print(value)  # noqa: T201 - that is what it is for


def _end_spark() -> None:
    """End the session that a notebook never ends itself, and wait for the end of its JVM."""
    if "pyspark" not in sys.modules:
        return
    from pyspark import SparkContext

    context, gateway = SparkContext._active_spark_context, SparkContext._gateway  # noqa: SLF001 - there is no other way
    with suppress(Exception):  # what the notebook made is there already
        if context is not None:
            context.stop()
        process = getattr(gateway, "proc", None)
        if process is not None:
            process.stdin.close()
            process.wait(_LAST_SECONDS)


def main(arguments: list[str]) -> int:
    """Run the notebook that the arguments name."""
    path, widgets, result = [*arguments, "", ""][:3]
    try:
        value = run_notebook(find_notebook(path), json.loads(widgets or "{}"))
    except MlPipelinesError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        _end_spark()
    if result and value is not None:
        os.makedirs(os.path.dirname(os.path.abspath(result)), exist_ok=True)
        with open(result, "w", encoding="utf-8", errors="replace") as file:
            file.write(value)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
