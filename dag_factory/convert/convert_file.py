"""Converts a file: a pipeline job or component, a schedule of one, or a single command job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.written.source import Finding
from dag_factory.convert.jobs import convert_job
from dag_factory.convert.parts import Document, Notes, Part
from dag_factory.convert.pipelines import convert_pipeline
from dag_factory.convert.ports import Context
from dag_factory.convert.schedules import read_trigger

__all__ = ["Conversion", "convert_file"]


class Conversion(NamedTuple):
    """A definition made of a file of Azure ML.

    :param text: the YAML text.
    :param findings: what could not be carried over, in the order of the files.
    """

    text: str
    findings: tuple[Finding, ...]


def convert_file(file: Path, target: Path | None = None) -> Conversion:
    """Return the definition that a file of Azure ML CLI v2 stands for.

    :param target: the folder that the definition is to be in, which source directories are relative to; that of the
        file if left out.
    :raises DefinitionError: where the file can't be read, or is none of Azure ML's pipelines.
    """
    from dag_factory.definitions.definition import PipelineDefinition

    notes = Notes()
    folder = file.parent if target is None else target
    document = _convert(Document(file, notes).top, folder)
    named = "name" in document
    try:
        definition = PipelineDefinition.from_document({"name": "unnamed", **document})
    except DefinitionError as error:
        lines = "\n".join(f"{file}: {line}" for line in str(error).splitlines())
        raise DefinitionError(f"{lines}\nthis is what the file would become: correct it there") from None
    text = definition.to_yaml()
    if not named:  # the name of the file that it is written to
        text = text.replace("name: unnamed\n", "", 1)
    findings = notes.findings()
    return Conversion(_heading(file, findings) + text, findings)


def _convert(top: Part, target: Path) -> dict[str, Any]:
    if "create_job" in top.value:
        return _convert_schedule(top, target)
    if "jobs" in top.value:
        return convert_pipeline(top, target)
    if "command" in top.value and top.value.get("type") in (None, "command"):
        experiment = top.text("experiment_name")
        name = top.document.file.name.partition(".")[0]
        steps = {"steps": {name: convert_job(name, top, Context(target))}}
        return {"experiment": experiment, **steps} if experiment else steps
    raise DefinitionError(
        f"{top.document.file}: expected a pipeline of Azure ML CLI v2 (`type: pipeline` with `jobs:`), a command job, "
        "or a schedule (`create_job:`)"
    )


def _convert_schedule(top: Part, target: Path) -> dict[str, Any]:
    for field in ("$schema", "name", "display_name", "description", "version"):
        top.take(field)
    created = top.take("create_job")
    part = top.below("create_job", created) if isinstance(created, dict) else None
    job = created if part is None else part.take("job")
    if part is not None and "jobs" in part.value:
        document = convert_pipeline(part, target)
    elif isinstance(job, str) and not job.startswith("azureml:"):
        file = top.folder / job.removeprefix("file:")
        document = _convert(Document(Path(os.path.normpath(file)), top.document.notes).top, target)
    else:
        raise DefinitionError(
            f"{top.document.file}: its job is not in a file: expected `create_job` to name a pipeline's file, found {job!r}"
        )
    if part is not None:
        _override(document, part)
    trigger = top.part("trigger")
    if trigger is not None:
        document |= read_trigger(trigger)
    top.note_rest({})
    return document


def _override(document: dict[str, Any], part: Part) -> None:
    """Change what a schedule changes of its pipeline."""
    part.take("type"), part.take("$schema")
    if (experiment := part.text("experiment_name")) is not None:
        document["experiment"] = experiment
    inputs = part.part("inputs")
    parameters = document.get("parameters", {})
    for name, value in inputs.items() if inputs else ():
        if isinstance(value, dict) or name not in parameters:
            assert inputs is not None
            inputs.note("not carried over: change the default of the parameter", name, at_key=True)
        elif isinstance(parameters[name], dict):
            parameters[name]["default"] = value
        else:
            parameters[name] = value
    part.note_rest({})


def _heading(file: Path, findings: tuple[Finding, ...]) -> str:
    lines = [f"converted from {file.name}"]
    if findings:
        lines += ["", "not carried over:"]
        for item in findings:
            lines.append(f"- {os.path.basename(item.file)}:{item.line}: {item.message}")
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)
