"""What Airflow's DAG processor makes of DAG files, in this process and without a database."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

__all__ = ["Parsed", "bag", "dag_files", "parse", "process"]


class Parsed(NamedTuple):
    """What Airflow learns of DAG files.

    :param dags: the serialised DAGs by their ids.
    :param errors: the import errors by the files that they are listed under.
    """

    dags: dict[str, dict[str, Any]]
    errors: dict[str, str]


def dag_files(folder: Path) -> list[str]:
    """Return the DAG files that Airflow finds in a bundle's folder, relative to it."""
    from airflow.utils.file import list_py_file_paths

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Airflow uses what pathspec has deprecated
        files = list_py_file_paths(folder, safe_mode=True)
    return sorted(str(Path(file).relative_to(folder)) for file in files)


def bag(file: Path, bundle: Path) -> Any:
    """Return the DAG bag of a DAG file, as the DAG processor and the tasks make it."""
    options = {"dag_folder": str(file), "bundle_path": bundle}
    try:
        from airflow.dag_processing.dagbag import BundleDagBag
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import BundleDagBag

        return BundleDagBag(**options)
    return BundleDagBag(**options, bundle_name="test")


def process(found: Any) -> Parsed:
    """Return what the DAG processor reports of a bag."""
    from airflow.dag_processing.processor import _serialize_dags

    log = SimpleNamespace(exception=logging.getLogger(__name__).debug)
    dags, errors = _serialize_dags(found, log)
    return Parsed({dag.dag_id: dag.data["dag"] for dag in dags}, found.import_errors | errors)


def parse(folder: Path) -> Parsed:
    """Return what the DAG processor reports of all DAG files of a bundle's folder."""
    parsed = Parsed({}, {})
    for name in dag_files(folder):
        one = process(bag(folder / name, folder))
        parsed.dags.update(one.dags)
        parsed.errors.update(one.errors)
    return parsed
