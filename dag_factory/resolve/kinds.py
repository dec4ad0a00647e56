"""Turns what a definition says of steps that are no Python scripts into specs, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_ml_pipelines.core.databricks.rules import find_wrong, make_databricks
from airflow_ml_pipelines.core.spec import AdlaSpec, StepSpec
from airflow_ml_pipelines.written.problems import Path, Problem
from dag_factory.compute.libraries import make_libraries

if TYPE_CHECKING:
    from dag_factory.models.step import StepDefinition

__all__ = ["document_of_kind", "kind_path", "resolve_kind"]

_LISTS = {
    "maven": "maven_libraries",
    "pypi": "pypi_libraries",
    "cran": "rcran_libraries",
    "jar": "jar_libraries",
}
_NOT_ON_SPARK = {"script": "python_script_name", "parameters": "notebook_params"}


def resolve_kind(entry: StepDefinition, path: Path, problems: list[Problem]) -> dict[str, Any]:
    """Return the fields of a step's spec that its kind has; none for a Python script.

    :param problems: what does not go together is added to it.
    """
    if entry.databricks is not None and entry.adla is not None:
        problems.append(Problem((*path, "adla"), "the step has `databricks` too: leave out one", at_key=True))
    if entry.databricks is not None:
        return _databricks(entry, path, problems)
    if entry.adla is not None:
        return {"kind": "adla", "adla": AdlaSpec(**entry.adla.model_dump())}
    return {}


def kind_path(path: Path, entry: StepDefinition) -> Path:
    """Return where a step names its script."""
    notebook = entry.databricks is not None and entry.databricks.notebook_path is not None
    return (*path, "databricks", "notebook_path") if notebook else (*path, "script")


def _databricks(entry: StepDefinition, path: Path, problems: list[Problem]) -> dict[str, Any]:
    assert entry.databricks is not None
    given: dict[str, Any] = entry.databricks.model_dump(exclude_none=True)
    given["python_script_name"] = entry.script
    given["source_directory"] = None  # the pipeline may have one for its other steps
    notebook = "notebook_path" in given
    if entry.parameters:
        given["notebook_params"] = entry.parameters
    if entry.arguments and notebook:
        problems.append(
            Problem(
                (*path, "arguments"), "a notebook has widgets and no arguments: use `parameters`", at_key=True
            )
        )
    for wrong in find_wrong(given):
        field, message = wrong.field, wrong.message
        for name, reference in _NOT_ON_SPARK.items():
            message = message.replace(reference, name)
        at = {"python_script_name": ("script",), "notebook_params": ("parameters",)}.get(
            field, ("databricks", field)
        )
        there = at[0] != "databricks" or field in entry.databricks.model_fields_set
        problems.append(Problem((*path, *(at if there else ("databricks",))), message, at_key=True))
    for name in ("environment", "ignore" if not entry.script and not notebook else ""):
        if name and getattr(entry, name):
            message = "has no meaning for a step on a Spark cluster: its packages are in `databricks`"
            problems.append(Problem((*path, name), message, at_key=True))
    databricks, script = make_databricks(given, make_libraries("databricks", given))
    return {"kind": "databricks", "databricks": databricks, "script": script}


def document_of_kind(spec: StepSpec) -> dict[str, Any]:
    """Return the fields of a step's definition that its kind has."""
    if spec.adla is not None:
        return {"script": spec.script, "adla": msgspec.to_builtins(spec.adla)}
    if spec.databricks is None:
        return {"script": spec.script}
    fields: dict[str, Any] = msgspec.to_builtins(spec.databricks)
    form, path = fields.pop("form", "notebook"), fields.pop("path", None)
    for library in fields.pop("libraries", ()):
        ((kind, value),) = library.items()
        fields.setdefault(_LISTS.get(kind, "egg_libraries"), []).append(value)
    if "main_class" in fields:
        fields["main_class_name"] = fields.pop("main_class")
    if form == "notebook":
        return {"databricks": {"notebook_path": path or spec.script, **fields}}
    if path is not None:
        return {"databricks": {"python_script_path": path, **fields}}
    return {**({"script": spec.script} if spec.script else {}), "databricks": fields}
