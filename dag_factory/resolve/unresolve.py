"""Turns a spec back into a document, so that a pipeline made in code can be written down."""

from __future__ import annotations

from typing import Any

import msgspec

from airflow_ml_pipelines.core.spec import (
    DEFAULT_ENVIRONMENT,
    Argument,
    Data,
    DataParameter,
    EnvironmentSpec,
    InputPath,
    InputSpec,
    OutputPath,
    OutputSpec,
    ParameterSpec,
    ParameterValue,
    PipelineSpec,
    RegisteredDataset,
    StepOutput,
    StepSpec,
    TabularFormat,
    Text,
    TransferSpec,
)
from dag_factory.resolve.bindings import Binding, escape, format_segments
from dag_factory.resolve.kinds import document_of_kind

__all__ = ["document_of"]


def document_of(spec: PipelineSpec) -> dict[str, Any]:
    """Return the document of a definition whose ``to_spec`` is a spec (steps in the order of the spec)."""
    document: dict[str, Any] = {"name": spec.name}
    for field in ("description", "default_datastore"):
        if getattr(spec, field) is not None:
            document[field] = getattr(spec, field)
    if spec.continue_on_step_failure:
        document["continue_on_step_failure"] = True
    if spec.parameters:
        document["parameters"] = {item.name: _parameter(item) for item in spec.parameters}
    document["steps"] = {step.id: _step(step) for step in spec.steps}
    return document


def _parameter(spec: ParameterSpec) -> dict[str, Any]:
    fields = {
        "type": spec.type,
        "default": spec.default,
        "enum": list(spec.enum),
        "minimum": spec.minimum,
        "maximum": spec.maximum,
        "description": spec.description,
        "title": spec.title,
        "section": spec.section,
    }
    return {name: value for name, value in fields.items() if value not in (None, [])}


def _step(spec: StepSpec) -> dict[str, Any]:
    environment = spec.environment
    fields: dict[str, Any]
    if spec.transfer is not None:
        fields = {
            "transfer": _transfer(spec, spec.transfer),
            "name": spec.name if spec.name != spec.id else None,
            "allow_reuse": None if spec.allow_reuse else False,
            "version": spec.version,
            "after": list(spec.after),
        }
        return {name: value for name, value in fields.items() if value not in (None, [], {})}
    fields = {
        **document_of_kind(spec),
        "name": spec.name if spec.name != spec.id else None,
        "source_directory": spec.source_directory if spec.source_directory != "." else None,
        "arguments": [_argument(item) for item in spec.arguments],
        "inputs": {item.name: _input(item) for item in spec.inputs},
        "outputs": {item.name: _output(item) for item in spec.outputs},
        "parameters": {name: _step_parameter(value) for name, value in spec.parameters.items()},
        "environment": _environment(environment) if environment != DEFAULT_ENVIRONMENT else None,
        "compute_target": spec.compute_target,
        "allow_reuse": None if spec.allow_reuse else False,
        "version": spec.version,
        "hash_paths": list(spec.hash_paths),
        "ignore": list(spec.ignore),
        "after": list(spec.after),
        "timeout": spec.timeout,
    }
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def _transfer(spec: StepSpec, transfer: TransferSpec) -> dict[str, Any]:
    (source,), (output,) = spec.inputs, spec.outputs
    read, written = _input(source), _output(output)
    read.pop("mode", None)
    if transfer.table is not None:
        written = {
            "datastore": transfer.database,
            "table": transfer.table,
            "pipeline_output": output.pipeline_output,
        }
    fields = {
        "source": read,
        "destination": {name: value for name, value in written.items() if value is not None},
        "source_type": transfer.source_type,
        "destination_type": transfer.destination_type,
        "delete_extra": transfer.delete_extra or None,
        "shards": transfer.shards if transfer.shards != 1 else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _argument(argument: Argument) -> str:
    segments: list[str | Binding] = []
    for segment in argument:
        match segment:
            case Text(text=text):
                segments.append(text)
            case ParameterValue(parameter=name):
                segments.append(Binding("parameters", name))
            case InputPath(input=name):
                segments.append(Binding("inputs", name))
            case OutputPath(output=name):
                segments.append(Binding("outputs", name))
    return format_segments(segments)


def _step_parameter(value: ParameterValue | str | float | bool) -> str | float | bool:
    if isinstance(value, ParameterValue):
        return str(Binding("parameters", value.parameter))
    return escape(value) if isinstance(value, str) else value


def _input(spec: InputSpec) -> dict[str, Any]:
    source = spec.source
    fields: dict[str, Any]
    table = False
    match source:
        case StepOutput():
            fields = {"from": str(Binding("steps", source.output, source.step))}
        case DataParameter():
            fields = {"from": str(Binding("parameters", source.parameter))}
        case RegisteredDataset():
            fields = {"dataset": source.dataset, "version": source.version}
        case Data():
            fields = _data(source)
            table = source.tabular is not None
    fields |= {
        "mode": None if table and spec.mode == "direct" else spec.mode,
        "path_on_compute": spec.path_on_compute,
        "overwrite": spec.overwrite or None,
        "fingerprint": spec.fingerprint if spec.fingerprint != "content" else None,
    }
    if fields["mode"] == "mount":
        del fields["mode"]
    return {name: value for name, value in fields.items() if value is not None}


def _data(data: Data) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    places = data.locations
    if data.query is not None:
        fields = {"datastore": places[0].datastore, "query": data.query, "query_timeout": data.query_timeout}
        table = {} if data.tabular is None else _tabular(data.tabular)
        table.pop("format", None)
        return {**fields, **table}
    if len(places) == 1 and places[0].is_url:
        fields["url"] = places[0].path
    elif len({place.datastore for place in places}) == 1:
        fields["datastore"] = places[0].datastore
        paths = [place.path for place in places]
        fields |= {"path": paths[0]} if len(paths) == 1 else {"paths": paths}
    else:
        fields["paths"] = [
            place.path if place.datastore is None else {"datastore": place.datastore, "path": place.path}
            for place in places
        ]
    if data.tabular is not None:
        return {**fields, "type": "tabular", **_tabular(data.tabular)}
    if data.partition_format is not None:
        fields["partition_format"] = data.partition_format
    return fields if data.form == "auto" else {**fields, "type": data.form}


def _tabular(tabular: TabularFormat) -> dict[str, Any]:
    options: dict[str, Any] = msgspec.to_builtins(tabular)
    return options


def _output(spec: OutputSpec) -> dict[str, Any]:
    register = spec.register
    fields: dict[str, Any] = {
        "mode": spec.mode if spec.mode != "mount" else None,
        "datastore": spec.datastore,
        "path": spec.path,
        "source": spec.source,
        "create": None if spec.create else False,
        "overwrite": spec.overwrite or None,
        "globs": list(spec.globs) or None,
        "register": None
        if register is None
        else register.name
        if register.description is None and not register.tags
        else {"name": register.name, "description": register.description, "tags": register.tags},
        "tabular": None if spec.tabular is None else _tabular(spec.tabular),
        "partition_format": spec.partition_format,
        "pipeline_output": spec.pipeline_output,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _environment(environment: EnvironmentSpec | str) -> Any:
    if isinstance(environment, str):
        return environment if ":" in environment else f"{environment}:latest"
    fields = msgspec.to_builtins(environment)
    if environment.user_managed and (
        environment.python
        or environment.conda
        or environment.pip
        or environment.image
        or environment.dockerfile
    ):
        return fields
    # a name alone would be read as that of a registered environment
    return {"user_managed": environment.user_managed, **fields}
