"""Writes definitions as YAML, short where the format has a short form."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.written.values import FLOAT
from dag_factory.models.scalars import duration_text, type_of

if TYPE_CHECKING:
    from dag_factory.definitions.definition import PipelineDefinition

__all__ = ["document", "write_definition"]

_WIDTH = 100
_DURATIONS = ("timeout", "retry_delay", "every")
_PLAIN_BLOCK = re.compile(r"(?:[!-~\u00a1-\u02ff\u0370-\u1fff][ -~\u00a1-\u02ff\u0370-\u1fff]*\n?)+")


def write_definition(definition: PipelineDefinition) -> str:
    """Return the YAML text that reads as a definition."""
    import yaml

    text: str = yaml.dump(
        document(definition),
        Dumper=_dumper(),
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=10**6,
    )
    return text


def document(definition: PipelineDefinition) -> dict[str, Any]:
    """Return the document that reads as a definition, without what is as it is by default."""
    fields = definition.model_dump(exclude_defaults=True, by_alias=True)
    written: dict[str, Any] = {"schema_version": definition.schema_version}
    for name, value in fields.items():
        if name == "parameters":
            written[name] = {key: _parameter(definition, key, item) for key, item in value.items()}
        elif name == "steps":
            written[name] = {key: _step(item) for key, item in value.items()}
        elif name == "schedule":
            written[name] = value["cron"] if value.keys() == {"cron"} else _fields(value)
        elif name == "default_environment":
            written[name] = _environment(value)
        elif name == "environments":
            written[name] = {key: _environment(item) for key, item in value.items()}
        else:
            written |= _fields({name: value})
    return written


def _fields(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: duration_text(value) if name in _DURATIONS else _plain(value) for name, value in fields.items()
    }


def _step(fields: dict[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "inputs":
            written[name] = {key: _input(item) for key, item in value.items()}
        elif name == "outputs":
            written[name] = {key: _output(item) for key, item in value.items()}
        elif name == "environment":
            written[name] = _environment(value)
        elif name != "script" or value or not {"transfer", "databricks"} & fields.keys():
            written |= _fields({name: value})
    return written


def _parameter(definition: PipelineDefinition, name: str, fields: dict[str, Any]) -> Any:
    """Return a parameter; only its default where the rest follows from it."""
    kind = definition.parameters[name].type
    default = fields.get("default")
    rest = {key: _plain(value) for key, value in fields.items() if key != "type"}
    if type_of(default) != kind:
        return {"type": kind, **rest}
    if rest.keys() == {"default"} and kind != "data" and not isinstance(default, list | tuple):
        return rest["default"]
    return rest


def _input(fields: dict[str, Any]) -> Any:
    if fields.keys() == {"from"} and "${{" in fields["from"]:
        return fields["from"]
    if fields.keys() == {"data"} and "${{" not in fields["data"] and "://" not in fields["data"]:
        return fields["data"]
    if fields.keys() == {"url"} and "://" in fields["url"] and "${{" not in fields["url"]:
        return fields["url"]
    return _plain(fields)


def _output(fields: dict[str, Any]) -> Any:
    written = _plain(fields)
    if fields.get("register", {}).keys() == {"name"}:
        written["register"] = fields["register"]["name"]
    return written


def _environment(fields: dict[str, Any]) -> Any:
    name = fields.get("name", "")
    if name and ":" not in name and fields.keys() <= {"name", "version"} and fields.get("version") != "":
        return ":".join(fields.values())
    return _plain(fields)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        midnight = value.tzinfo is UTC and value.time() == time()
        return value.date().isoformat() if midnight else value.isoformat()
    return value


@functools.cache
def _dumper() -> Any:
    """Return a dumper that puts text in quotes where YAML 1.1 or 1.2 would read something else."""
    import yaml

    base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    dumper: Any = type("PipelineDumper", (base,), {"ignore_aliases": lambda _self, _data: True})
    number = re.compile(rf"(?:{FLOAT.pattern}|0o[0-7]+)\Z")
    dumper.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    dumper.add_representer(str, _text)
    dumper.add_representer(list, _list)
    return dumper


def _text(dumper: Any, value: str) -> Any:
    block = "\n" in value and _PLAIN_BLOCK.fullmatch(value)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if block else None)


def _list(dumper: Any, value: list[Any]) -> Any:
    """Return a list in one line where it has only short values."""
    flat = all(isinstance(item, str | int | float) or item is None for item in value)
    short = flat and sum(len(str(item)) + 4 for item in value) <= _WIDTH
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=short)
