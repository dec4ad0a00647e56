"""Makes DAGs of all pipeline definitions of a folder, in a DAG file of one line.

::

    from dag_factory import load_pipelines  # an Airflow DAG file

    load_pipelines()

Airflow reads a file as a DAG file where it has the words *airflow* and *dag* in it, hence the comment.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError, MlPipelinesError
from airflow_ml_pipelines.written.problems import Problem
from dag_factory.definition import PipelineDefinition
from dag_factory.yaml_io import SUFFIXES, pipeline_name

if TYPE_CHECKING:
    from airflow.sdk import DAG

__all__ = ["find_pipeline_files", "load_pipelines"]

_IGNORE_FILE = ".airflowignore"
_NAME_LINE = re.compile(rb"^name:[ \t]*([\"']?)([A-Za-z0-9_.-]+)\1[ \t]*(?:#.*)?\r?$", re.MULTILINE)
_MAY_BE_NAME = re.compile(rb"^(?:name[ \t]*:|<<|[^\s#A-Za-z_])", re.MULTILINE)
"""A line at the margin that may give the name in another way: a field in quotes, ``{``, ``<<``, ``? name``."""


def load_pipelines(
    folder: str | os.PathLike[str] | None = None,
    *,
    workspace: str | os.PathLike[str] | None = None,
    namespace: MutableMapping[str, Any] | None = None,
) -> dict[str, DAG]:
    """Make a DAG of every ``*.pipeline.yaml`` in a folder and below, and let Airflow find them.

    Hidden folders are left out, and what a ``.airflowignore`` in the folder or below names. In a task only what
    that task needs of its DAG is made. A definition that is wrong does not keep the others from being made: Airflow shows an import error
    for its file (:mod:`dag_factory.broken`). Where no definition is right, the DAG file has the import error.

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


def find_pipeline_files(folder: Path) -> list[Path]:
    """Return the definitions in a folder and below, in the order of their paths."""
    return sorted(_walk(folder, [], set()))


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
        from dag_factory.broken import broken_dag

        dags: dict[str, DAG] = {}
        origins: dict[str, Path] = {}
        broken: dict[Path, Exception] = {}
        for file in files:
            try:
                definition = PipelineDefinition.from_yaml(file)
                name = definition.name
                if name in origins:
                    other = self._shown(origins[name])
                    definition.refuse(
                        [Problem(("name",), f"{other} has the name {name!r} already: take another")]
                    )
                dags[name] = self._build(definition)
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
        from dag_factory.broken import broken_dag, broken_dag_id

        for file in files:
            if broken_dag_id(self._shown(file)) == dag_id:
                try:
                    self._build(PipelineDefinition.from_yaml(file))
                except Exception as error:  # noqa: BLE001 - the DAG of a broken definition is what is wanted
                    return {dag_id: broken_dag(self._shown(file), self._text(file, error))}
        likely = [file for file in files if pipeline_name(file) == dag_id]
        for file in dict.fromkeys((*likely, *files)):
            name = _name_in(file)
            if name not in (dag_id, None):
                continue
            try:
                definition = PipelineDefinition.from_yaml(file)
            except DefinitionError:
                if name is None and file not in likely:
                    continue  # most likely another pipeline
                raise
            if definition.name == dag_id:
                return {dag_id: self._build(definition, task_id)}
        return {}

    def _build(self, definition: PipelineDefinition, task_id: str | None = None) -> DAG:
        from dag_factory.compile import build_dag

        return build_dag(definition, workspace=self.workspace, task_id=task_id)

    def _shown(self, file: Path) -> str:
        return Path(os.path.relpath(file, self.here)).as_posix()

    def _text(self, file: Path, error: Exception) -> str:
        """Return what is wrong with a definition, with paths that are the same in every checkout."""
        shown = self._shown(file)
        text = str(error) if isinstance(error, MlPipelinesError) else f"{type(error).__name__}: {error}"
        text = text.replace(str(file), shown).replace(f"{self.here}{os.sep}", "")
        return text if shown in text else f"{shown}: {text}"


def _name_in(file: Path) -> str | None:
    """Return the name that a definition has; None where that can't be told without reading it as YAML."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    if found := _NAME_LINE.search(data):
        return found[2].decode()
    return None if _MAY_BE_NAME.search(data) else pipeline_name(file)


# --- the folder ---------------------------------------------------------------------------------------------------


def _walk(folder: Path, ignored: list[tuple[Path, Callable[[str], bool]]], seen: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in seen:  # a link to a folder above
        return
    seen.add(real)
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    if any(entry.name == _IGNORE_FILE for entry in entries):
        ignored = [*ignored, (folder, _read_rules(folder / _IGNORE_FILE))]
    for entry in entries:
        path = folder / entry.name
        is_folder = entry.is_dir()
        if any(
            rules(path.relative_to(top).as_posix() + ("/" if is_folder else "")) for top, rules in ignored
        ):
            continue
        if is_folder:
            if not entry.name.startswith(".") and entry.name != "__pycache__":
                yield from _walk(path, ignored, seen)
        elif entry.name.endswith(SUFFIXES) and not entry.name.startswith("."):
            yield path


def _read_rules(file: Path) -> Callable[[str], bool]:
    """Return what tells whether an ``.airflowignore`` names a path, in the syntax that Airflow is configured for."""
    from airflow.configuration import conf

    lines = file.read_text(encoding="utf-8").splitlines()
    if conf.get("core", "dag_ignore_file_syntax", fallback="glob") == "regexp":
        patterns = [re.compile(text) for line in lines if (text := re.sub(r"\s*#.*", "", line))]
        return lambda path: any(pattern.search(path) for pattern in patterns)
    from pathspec import GitIgnoreSpec

    rules = GitIgnoreSpec.from_lines(lines)
    return lambda path: bool(rules.match_file(path))
