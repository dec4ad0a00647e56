"""Pipeline parameters as Airflow has them: JSON schemas, and the Params of a DAG with the options of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.spec import ParameterSpec

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import PipelineSpec

__all__ = ["airflow_params", "parameter_schema", "run_option_schemas"]

_SECTION = "Pipeline parameters"
_OPTIONS_SECTION = "Run options"

_TEXT = {"type": "string", "minLength": 1}
_LOCATION = {
    "type": "object",
    "properties": {"datastore": {"type": ["string", "null"]}, "path": _TEXT},
    "required": ["path"],
    "additionalProperties": False,
}
_DATA_FORMS: tuple[dict[str, Any], ...] = (
    {
        "title": "A path on a datastore",
        "properties": {"datastore": _TEXT, "path": _TEXT},
        "required": ["path"],
        "additionalProperties": False,
    },
    {"title": "A URL", "properties": {"url": _TEXT}, "required": ["url"], "additionalProperties": False},
    {
        "title": "A registered dataset",
        "properties": {
            "type": {"const": "dataset"},
            "dataset": _TEXT,
            "version": {"type": ["integer", "null"], "minimum": 1},
        },
        "required": ["dataset"],
        "additionalProperties": False,
    },
    {
        "title": "A path on a datastore, as in calls of Azure ML endpoints",
        "properties": {"DataStoreName": _TEXT, "RelativePath": {"type": "string"}},
        "required": ["DataStoreName", "RelativePath"],
        "additionalProperties": False,
    },
    {
        "title": "Several paths, or a table",
        "properties": {
            "type": {"const": "data"},
            "locations": {"type": "array", "items": _LOCATION, "minItems": 1},
            "form": {"enum": ["auto", "file", "folder"]},
            "tabular": {"type": ["object", "null"]},
            "query": {"type": ["string", "null"]},
            "query_timeout": {"type": "number"},
        },
        "required": ["type", "locations"],
        "additionalProperties": False,
    },
)


def parameter_schema(spec: ParameterSpec) -> dict[str, Any]:
    """Return the JSON schema of a parameter's values, with what Airflow's form shows beside it."""
    if spec.type == "data":
        schema: dict[str, Any] = {"type": "object", "anyOf": [dict(form) for form in _DATA_FORMS]}
    else:
        schema = {"type": spec.type}
    if spec.enum:
        schema["enum"] = list(spec.enum)
    whole = spec.type == "integer"
    for name, bound in (("minimum", spec.minimum), ("maximum", spec.maximum)):
        if bound is not None:
            schema[name] = int(bound) if whole and bound == int(bound) else bound
    return schema


def run_option_schemas(spec: PipelineSpec, experiment: str | None = None) -> dict[str, dict[str, Any]]:
    """Return what a run takes besides the pipeline's parameters, with its defaults."""
    return {
        "regenerate_outputs": {
            "default": False,
            "type": "boolean",
            "title": "Regenerate outputs",
            "description": "Run every step, even where an earlier result could be reused.",
        },
        "continue_on_step_failure": {
            "default": spec.continue_on_step_failure,
            "type": "boolean",
            "title": "Continue on step failure",
            "description": "Go on with the steps that do not need a failed one.",
        },
        "experiment_name": {
            "default": experiment or spec.name,
            "type": "string",
            "minLength": 1,
            "title": "Experiment",
            "description": "What the run is listed under.",
        },
    }


def airflow_params(spec: PipelineSpec, experiment: str | None = None) -> dict[str, Any]:
    """Return the Params of a pipeline's DAG: its parameters, then the options of a run."""
    from airflow.sdk import Param

    params: dict[str, Any] = {}
    for parameter in spec.parameters:
        schema = parameter_schema(parameter)
        shown = {
            "title": parameter.title or parameter.name,
            "section": parameter.section or _SECTION,
        }
        if not parameter.required:
            schema["default"] = parameter.default
        params[parameter.name] = Param(description=parameter.description, **shown, **schema)
    for name, schema in run_option_schemas(spec, experiment).items():
        params[name] = Param(section=_OPTIONS_SECTION, **schema)
    return params
