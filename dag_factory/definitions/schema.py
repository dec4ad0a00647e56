"""The JSON schemas of pipeline definitions and workspace files."""

from __future__ import annotations

from typing import Any

__all__ = ["pipeline_schema", "workspace_schema"]

_WORK = ("script", "transfer", "databricks")
"""The fields of a step of which it has one, what it does."""


def pipeline_schema() -> dict[str, Any]:
    """Return the JSON schema of ``*.pipeline.yaml``.

    What a definition has to say may be said by the file that it extends, and its name by the name of its file.
    """
    from airflow_ml_pipelines.written.extends import FIELD
    from airflow_ml_pipelines.written.schema import json_schema
    from dag_factory.definitions.definition import PipelineDefinition

    schema = json_schema(PipelineDefinition, "ML pipeline")
    schema["required"].remove("name")
    other = {"type": "string", "minLength": 1, "description": "A file with defaults, relative to this one."}
    schema["properties"] = {FIELD: other, **schema["properties"]}
    del schema["$defs"]["StepDefinition"]["required"]
    required = {"anyOf": [{"required": [field]} for field in _WORK]}
    schema["if"] = {"required": [FIELD]}
    schema["else"] = {"properties": {"steps": {"additionalProperties": required}}}
    return schema


def workspace_schema() -> dict[str, Any]:
    """Return the JSON schema of ``workspace.yaml``."""
    from airflow_ml_pipelines.workspace_model import WorkspaceFile
    from airflow_ml_pipelines.written.schema import json_schema

    schema = json_schema(WorkspaceFile, "Workspace of ML pipelines")
    schema["type"] = ["object", "null"]  # an empty file is a workspace too
    return schema
