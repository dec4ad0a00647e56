"""Turns a pipeline of Azure ML into the document of a definition."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dag_factory.convert.data import compute_name, is_data, read_data, read_output
from dag_factory.convert.jobs import convert_job
from dag_factory.convert.parts import Part
from dag_factory.convert.ports import Context

__all__ = ["convert_pipeline"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_TYPES = ("string", "number", "integer", "boolean")
_REASONS = {
    "identity": "compute targets and datastores have their credentials",
    "services": "a pipeline has no services",
}
_SETTINGS = {"force_rerun": "it is an option of a run: --regenerate-outputs"}


def convert_pipeline(top: Part, target: Path) -> dict[str, Any]:
    """Return the document of the definition that a pipeline is.

    :param target: the folder of the new definition.
    """
    context = Context(target)
    document: dict[str, Any] = {}
    for field in ("$schema", "type", "version"):
        top.take(field)
    name, label = top.text("name"), top.text("display_name")
    if name is not None and _NAME.fullmatch(name):
        document["name"] = name
    elif name is not None:
        top.note(f"{name!r} can't be a pipeline's name: use letters, digits, `_`, `-` and `.`", "name")
    document |= _texts(description=top.text("description") or label, experiment=top.text("experiment_name"))
    if (tags := top.part("tags")) is not None:
        document["tags"] = [f"{key}:{value}" for key, value in tags.items()]
    document |= _texts(default_compute_target=compute_name(top, "compute"))
    if (settings := top.part("settings")) is not None:
        document |= _read_settings(settings)
    if (inputs := top.part("inputs")) is not None:
        document["parameters"] = {
            key: _parameter(inputs, key, value, context) for key, value in inputs.items()
        }
    if (outputs := top.part("outputs")) is not None:
        for key, value in outputs.items():
            context.outputs[key] = read_output(outputs.below(key, value)) if isinstance(value, dict) else {}
    document["steps"] = _read_jobs(top, context)
    top.note_rest(_REASONS)
    return document


def _texts(**fields: str | None) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}


def _read_settings(part: Part) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    store = part.text("default_datastore") or part.text("datastore")
    if store is not None:
        fields["default_datastore"] = store.removeprefix("azureml:")
    fields |= _texts(default_compute_target=compute_name(part, "default_compute"))
    if part.take("continue_on_step_failure") is True:
        fields["continue_on_step_failure"] = True
    if part.value.get("force_rerun") is False:
        part.take("force_rerun")
    part.note_rest(_SETTINGS)
    return fields


def _parameter(inputs: Part, name: str, value: Any, context: Context) -> Any:
    """Return a parameter that stands for an input of the pipeline."""
    if not isinstance(value, dict):
        context.parameters[name] = "value"
        if isinstance(value, list):
            inputs.note("expected a value or a mapping, found a list", name)
            return str(value)
        return value
    part = inputs.below(name, value)
    kind = value.get("type")
    if is_data(kind) or kind is None:
        context.parameters[name] = "data"
        mode = part.text("mode")
        if mode is not None:
            context.modes[name] = mode
        data = read_data(part)
        part.note_rest({"optional": "a run has to name the data, or the parameter has a default"})
        return {"type": "data"} | ({"default": data} if data else {})
    context.parameters[name] = "value"
    part.take("type")
    if kind not in _TYPES:
        part.note(f"there is no type {kind!r}: it is taken as text", "type")
        kind = "string"
    fields = {"type": kind}
    for old, new in (
        ("default", "default"),
        ("min", "minimum"),
        ("max", "maximum"),
        ("enum", "enum"),
        ("description", "description"),
    ):
        if (found := part.take(old)) is not None:
            fields[new] = found
    part.note_rest({"optional": "a parameter has a default, or a run has to give a value"})
    return fields


def _read_jobs(top: Part, context: Context) -> dict[str, Any]:
    jobs = top.part("jobs")
    if jobs is None:
        return {}
    parts = {}
    for name, value in jobs.items():
        step = _UNSAFE.sub("_", name).lstrip("-") or "step"
        step = f"{step}_step" if step == "plan" else step
        context.jobs[name] = step
        if isinstance(value, dict):
            parts[step] = jobs.below(name, value)
        else:
            jobs.note("expected a mapping", name)
    return {step: convert_job(step, part, context) for step, part in parts.items()}
